import type { Failure, Restorable } from '../core/errors.ts';
import type { Trigger } from '../core/run.ts';
import type { KnownDevice, RunRow, SealedCopy, Version } from './ledger.ts';
import type { Row } from './statements.ts';

/** The columns that `runFrom` reads; the table is called `run`, its device `device`. */
export const runColumns = `run.id, run.device, device.name, device.platform, device.grp, run.slot_ms, run.trigger,
  run.state, run.error_code, run.error_detail, run.started_at_ms, run.ended_at_ms, run.commit_id,
  run.restorable, run.restorable_because, run.accepted_at_ms`;

export function runFrom(row: Row): RunRow {
  return {
    runId: text(row.id),
    deviceId: text(row.device),
    device: text(row.name),
    platform: text(row.platform),
    group: text(row.grp),
    slotMs: numberOrNull(row.slot_ms),
    trigger: text(row.trigger) as Trigger,
    state: text(row.state) as RunRow['state'],
    failure: failureFrom(row),
    startedAtMs: Number(row.started_at_ms),
    endedAtMs: numberOrNull(row.ended_at_ms),
    commit: textOrNull(row.commit_id),
    restorable: textOrNull(row.restorable) as Restorable | null,
    restorableBecause: textOrNull(row.restorable_because),
    acceptedAtMs: numberOrNull(row.accepted_at_ms),
  };
}

/** From the columns `error_code` and `error_detail`. */
export function failureFrom(row: Row): Failure | null {
  if (row.error_code === null || row.error_code === undefined) return null;
  return { code: row.error_code, detail: JSON.parse(text(row.error_detail)) } as unknown as Failure;
}

export function deviceFrom(row: Row): KnownDevice {
  return {
    id: text(row.id),
    name: text(row.name),
    platform: text(row.platform),
    group: text(row.grp),
    retiredMs: numberOrNull(row.retired_at_ms),
    hostname: textOrNull(row.hostname),
    serials: JSON.parse(text(row.serials)) as readonly string[],
    hostnames: JSON.parse(text(row.hostnames)) as Readonly<Record<string, string>>,
  };
}

export function versionFrom(row: Row): Version {
  return {
    deviceId: text(row.device),
    artefact: text(row.artefact),
    commit: text(row.commit_id),
    path: text(row.path),
    runId: text(row.run_id),
    atMs: Number(row.at_ms),
    bytes: numberOrNull(row.bytes),
  };
}

export function sealedFrom(row: Row): SealedCopy {
  return {
    deviceId: text(row.device),
    artefact: text(row.artefact),
    runId: text(row.run_id),
    digest: text(row.digest),
    atMs: Number(row.at_ms),
  };
}

export function text(value: Row[string] | undefined): string {
  return String(value);
}

export function textOrNull(value: Row[string] | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

export function numberOrNull(value: Row[string] | undefined): number | null {
  return typeof value === 'number' ? value : null;
}
