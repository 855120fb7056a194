import type { SlotWrite } from '../ledger/slots.ts';
import type { Decision } from './due.ts';

/** What has to be written of these decisions, in their order. */
export function writesOf(deviceId: string, decisions: readonly Decision[]): readonly SlotWrite[] {
  return decisions.flatMap((decision) => (decision.kind === 'start' ? [] : [{ deviceId, ...decision }]));
}

/** Writes that end a slot. */
export type EndWrite = Exclude<SlotWrite, { kind: 'record' }>;

export function endsIn(writes: readonly SlotWrite[]): readonly EndWrite[] {
  return writes.filter((write) => write.kind !== 'record');
}
