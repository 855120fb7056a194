/**
 * The daemon of the demo: the real one, on a wall clock that is ahead by the milliseconds in
 * $DEMO_AHEAD_MS, so that nobody has to wait for the night.
 */
import { systemClock } from '../src/core/clock.ts';
import { compose } from '../src/daemon/compose.ts';

const aheadMs = Number(process.env.DEMO_AHEAD_MS);
const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

await using services = compose({ configFile: null, logLines: true }, process.env, clock);
await services.daemon({ stop: stop.signal, onAbort: () => {}, onReload: () => {} });
