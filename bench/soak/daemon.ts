/**
 * The daemon as it is composed for everybody, in a process of its own, with a clock that the soak drives over IPC.
 * Needs `--expose-gc`; arguments: the settings, and the instant that it is at the start.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { localServices } from '../../src/daemon/compose.ts';
import { createContext } from '../../src/daemon/context.ts';
import { housekeeping } from '../../src/daemon/housekeeping.ts';
import { SoakClock } from './clock.ts';
import type { Held, Order, Told } from './protocol.ts';

/** Shorter than what the scheduler takes for a process that was frozen. */
const stepMs = 100_000;

const [configFile = '', startMs = '0'] = process.argv.slice(2);
process.umask(0o077);
const clock = new SoakClock(Number(startMs));
const context = createContext({ configFile, logLines: true }, process.env, clock);
const stop = new AbortController();
let reload: (() => void) | null = null;

const ledger = async (): Promise<DatabaseSync> =>
  new DatabaseSync(join((await context.configuration()).settings.stateDir, 'ledger.db'), { readOnly: true });

const tell = (told: Told): void => void process.send?.(told);

const daemon = localServices(context, process.env)
  .daemon({
    stop: stop.signal,
    onAbort: () => {},
    onReload: (then) => {
      reload = then;
    },
  })
  .finally(() => context[Symbol.asyncDispose]());

/** Nothing of a session is under way: its run waits for its next attempt. */
function isWaiting(): boolean {
  const busy = [
    'TCPSocketWrap',
    'TCPConnectWrap',
    'ProcessWrap',
    'FSReqPromise',
    'FSReqCallback',
    'ZlibStream',
  ];
  return !process.getActiveResourcesInfo().some((kind) => busy.includes(kind));
}

/** What keeps time from being skipped: sessions, and slots that wait for one. */
async function until(atMs: number): Promise<void> {
  const rows = await ledger();
  const running = rows.prepare("SELECT count(*) AS n FROM run WHERE state = 'running'");
  const open = rows.prepare('SELECT count(*) AS n FROM slot WHERE state IS NULL');
  const some = (of: typeof open): boolean => Number(of.get()?.n) > 0;
  try {
    while (clock.nowMs() < atMs) {
      if (some(running)) {
        await setTimeout(20);
        if (isWaiting()) clock.skip(500);
      } else {
        clock.skip(Math.min(some(open) ? 1_000 : stepMs, Math.max(1, atMs - clock.nowMs())));
        await setImmediate();
      }
      await setImmediate();
    }
  } finally {
    rows.close();
  }
}

async function held(): Promise<Held> {
  // What was closed lately is let go of by callbacks of its own.
  await setTimeout(300);
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await setTimeout(50);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  const resources: { [kind: string]: number } = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return { rssBytes: rss, heapBytes: heapUsed, externalBytes: external, resources, planned: clock.planned };
}

async function obey(order: Order): Promise<void> {
  if (order.does === 'stop') {
    stop.abort();
    await daemon;
    process.disconnect();
    return;
  }
  if (order.does === 'sample') {
    tell({ is: 'held', held: await held() });
    return;
  }
  if (order.does === 'until') await until(order.atMs);
  if (order.does === 'housekeeping') await housekeeping(context);
  if (order.does === 'reload') reload?.();
  tell({ is: 'done', nowMs: clock.nowMs() });
}

process.on('message', (order: Order) => void obey(order));
// Whoever drives the clock is gone.
process.on('disconnect', () => {
  if (!stop.signal.aborted) process.exit(1);
});
