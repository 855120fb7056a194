import type { Scheduler } from '../scheduler/scheduler.ts';
import type { Syslog } from '../syslog/syslog.ts';
import type { OwnedContext } from './context.ts';
import type { Log } from './log.ts';
import type { Configuration, State } from './services/context.ts';
import { settleLives } from './services/lives.ts';

/** Moves and retirements while the daemon runs. */
export interface Lives {
  /**
   * What a configuration that was just taken over asks for: retirements that are due, and one commit for all moves.
   * Never rejects. Call it in turn.
   */
  settle(configuration: Configuration): Promise<void>;
  /** Looks whether the day of a retirement has come, or something was left for later. Call it every second or so. */
  tick(): void;
}

/** What moves and retirements touch. */
export interface LivesHands {
  readonly context: OwnedContext;
  readonly state: State;
  readonly scheduler: Scheduler;
  readonly syslog: Pick<Syslog, 'configure'>;
  readonly log: Log;
  readonly inTurn: Turns;
}

/** Does one thing after the other. */
export type Turns = <Answer>(work: () => Promise<Answer>) => Promise<Answer>;

/** Whoever takes over a configuration does it in turn: two that overlap could end with the older one in use. */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}

/** How soon what was left for later is tried again. */
const againMs = 10_000;

export function createLives(hands: LivesHands): Lives {
  const { context, state, scheduler, syslog, log, inTurn } = hands;
  const { clock } = context;
  /** The next retirement of a device that is still in use; null: none is planned. */
  let nextMs: number | null = null;
  /** When something that was left is tried again, on the monotonic clock; null: nothing is left. */
  let againAtMs: number | null = null;
  /** Runs that began before the configuration in use: their readings go where their devices were. */
  let before: ReadonlySet<string> = new Set();
  let underWay = false;

  async function carryOut(configuration: Configuration, since: ReadonlySet<string>): Promise<void> {
    before = since;
    const left = await settleLives(configuration, state, context, log, (ids) => scheduler.hold(ids));
    const names = new Set(configuration.devices.map(({ name }) => name));
    const planned = configuration.retired.filter(({ name }) => names.has(name)).map(({ sinceMs }) => sinceMs);
    nextMs = planned.length === 0 ? null : planned.reduce((a, b) => Math.min(a, b));
    againAtMs = left > 0 || before.size > 0 ? clock.monotonicMs() + againMs : null;
  }

  function running(): readonly string[] {
    return scheduler.state().running.map(({ runId }) => runId);
  }

  /** Takes the devices whose day has come off the schedule, as a reload without their lines would. */
  async function keepUp(): Promise<void> {
    const now = await context.configuration();
    const due = new Set(
      now.retired.filter(({ sinceMs }) => sinceMs <= clock.nowMs()).map(({ name }) => name),
    );
    const devices = now.devices.filter(({ name }) => !due.has(name));
    const next = { ...now, devices };
    if (devices.length < now.devices.length) {
      scheduler.reload(devices, now.settings.workers);
      context.adopt(next);
      syslog.configure(devices, now.settings.syslog);
    }
    await carryOut(next, new Set(running().filter((runId) => before.has(runId))));
  }

  return {
    settle: (configuration) => carryOut(configuration, new Set(running())),
    tick() {
      const isDue = nextMs !== null && nextMs <= clock.nowMs();
      const isLeft = againAtMs !== null && againAtMs <= clock.monotonicMs();
      if (underWay || !(isDue || isLeft)) return;
      underWay = true;
      void inTurn(keepUp)
        .catch((thrown: unknown) => log.unexpected('devices could not be retired or moved', thrown))
        .finally(() => {
          underWay = false;
        });
    },
  };
}
