import { describe } from '../core/catalogue.ts';
import { type Failure, failureOf } from '../core/errors.ts';
import type { RunEnded } from '../core/run.ts';
import { settleWaiting } from '../pipeline/recover.ts';
import type { Scheduler, SchedulerSink } from '../scheduler/scheduler.ts';
import type { Log } from './log.ts';
import { recovery } from './services/backup.ts';
import type { Context, State } from './services/context.ts';

/** Readings that wait for the repository, and ends of runs that wait for the ledger, while the daemon runs. */
export interface Waiting {
  /** Looks whether they can be stored now; what is in their way is told once. Call it every second or so. */
  tick(): void;
  /** Before a run of a device: what waits of it comes before what is read now. Never rejects. */
  before(device: string): Promise<void>;
  /** A run is over. */
  ended(ended: RunEnded): void;
  /** Resolves when nothing is being stored any more, and begins nothing again. */
  stop(): Promise<void>;
}

/** What it works with. */
export interface WaitingHands {
  readonly context: Context;
  readonly state: State;
  readonly scheduler: Pick<Scheduler, 'hold' | 'state'>;
  readonly sink: Pick<SchedulerSink, 'runEnded'>;
  readonly log: Log;
}

/** How often is looked, on the monotonic clock; and how much later where a store took the question and not the reading. */
const lookEveryMs = 10_000;
const restMs = 60_000;
/** So many devices at once share the flushes of one batch of commits. */
const atOnce = 16;

export function createWaiting({ context, state, scheduler, sink, log }: WaitingHands): Waiting {
  const { clock } = context;
  const { ledger, repository, spool } = state;
  /** Names of devices of which something may wait. */
  const devices = new Set<string>();
  let nextMs = Number.NEGATIVE_INFINITY;
  let told: string | null = null;
  let stopped = false;
  let last: Promise<void> = Promise.resolve();
  let queued = 0;

  function blocked(failure: Failure, waiting: number): void {
    nextMs = clock.monotonicMs() + lookEveryMs;
    if (failure.code === told) return;
    told = failure.code;
    const { code, message, todo } = describe(failure);
    log.warn('readings wait for the repository', { code, error: message, todo, waiting });
  }

  function store(deviceIds: ReadonlySet<string>): Promise<boolean> {
    return recovery(context, state).then(async (hands) => {
      const ended = await settleWaiting(deviceIds, ...hands);
      for (const run of ended) sink.runEnded(run);
      const failed = ended.find(({ settled }) => isStores(settled));
      if (failed !== undefined) nextMs = clock.monotonicMs() + restMs;
      return failed === undefined;
    });
  }

  /** Every device that is not being read now. */
  async function look(): Promise<void> {
    const live = new Set(scheduler.state().running.map(({ runId }) => runId));
    const unwritten = ledger.running().filter(({ runId }) => !live.has(runId));
    const { entries } = await spool.standing();
    if (unwritten.length === 0 && entries === 0) {
      devices.clear();
      return;
    }
    const waiting = (entries === 0 ? [] : await spool.outline()).filter(({ runId }) => !live.has(runId));
    for (const { deviceName } of waiting) devices.add(deviceName);
    const ids = [...new Set([...unwritten, ...waiting].map(({ deviceId }) => deviceId))];
    if (ids.length === 0) return;
    try {
      await repository.ready();
    } catch (error) {
      blocked(failureOf(error), waiting.length);
      return;
    }
    for (let from = 0; from < ids.length && !stopped; from += atOnce) {
      const some = await Promise.all(ids.slice(from, from + atOnce).map(storeHeld));
      if (some.includes(false)) return;
    }
    if (told !== null) log.info('readings that waited are stored', { devices: ids.length });
    told = null;
  }

  async function storeHeld(deviceId: string): Promise<boolean> {
    const hold = scheduler.hold([deviceId]);
    try {
      return hold.held.has(deviceId) ? await store(hold.held) : true;
    } finally {
      hold.release();
    }
  }

  /** One look after the other. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    queued += 1;
    last = last
      .then(() => (stopped ? undefined : work()))
      .catch((error: unknown) => blocked(failureOf(error), devices.size))
      .finally(() => {
        queued -= 1;
      });
    return last;
  }

  return {
    tick() {
      if (stopped || queued > 0 || clock.monotonicMs() < nextMs) return;
      nextMs = clock.monotonicMs() + lookEveryMs;
      void inTurn(look);
    },
    async before(device) {
      const id = devices.has(device) ? ledger.device(device)?.id : undefined;
      if (id === undefined || told !== null) return;
      await inTurn(async () => {
        await repository.ready();
        if (await store(new Set([id]))) devices.delete(device);
      });
    },
    ended({ device, settled }) {
      if (isStores(settled)) devices.add(device);
    },
    async stop() {
      stopped = true;
      await last;
    },
  };
}

/** What did not reach the repository, or whose end did not reach the ledger. */
function isStores(settled: RunEnded['settled']): boolean {
  return settled.outcome === 'failed' && /^(?:store|record)\./.test(settled.failure.code);
}
