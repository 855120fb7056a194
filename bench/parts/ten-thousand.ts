import { systemClock } from '../../src/core/clock.ts';
import { createContext } from '../../src/daemon/context.ts';
import { newRunId } from '../../src/daemon/run-id.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createCalendar } from '../../src/scheduler/calendar.ts';
import { createScheduler } from '../../src/scheduler/loop.ts';
import type { BenchPart, Measured, Scale } from '../part.ts';
import { BenchClock } from '../scale/clock.ts';
import { makePast, pastRunId } from '../scale/past.ts';
import { quickest, runCommand, startDaemon } from '../scale/program.ts';
import { makeWorkplace, quietSlot, type Workplace } from '../scale/workplace.ts';

const perGroup = 100;

const part: BenchPart = {
  name: 'ten-thousand',
  about:
    'A daemon with ten thousand devices: start, tick, /metrics, status, and what each does to the event loop.',
  run,
};
export default part;

async function run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]> {
  if (scale === 'smoke') return ratios(say);
  const found = await measure(10_000, say);
  const limits: Readonly<Record<keyof Figures, number>> = {
    ...{ readyMs: 5_000, startLagMs: 0, metricsMs: 1_000, metricsLagMs: 100, idleLagMs: 100 },
    ...{ statusByDaemonMs: 1_000, statusLagMs: 100, statusAloneMs: 1_000, ticksMs: 50, fallDueMs: 50 },
  };
  return (Object.keys(names) as (keyof Figures)[]).map((key) => ({
    what: names[key],
    value: found[key],
    unit: 'ms',
    limit: limits[key] === 0 ? null : { atMost: limits[key] },
    note: null,
  }));
}

/** A tenth of the devices may not cost more than all of them: growth that is not in proportion shows here. */
async function ratios(say: (line: string) => void): Promise<readonly Measured[]> {
  const small = await measure(100, say);
  const large = await measure(1_000, say);
  const keys = ['readyMs', 'metricsMs', 'statusByDaemonMs', 'statusAloneMs'] as const;
  return keys.map((key) => ({
    what: `${names[key]}, 1000 devices against 100`,
    value: large[key] / small[key],
    unit: 'x',
    limit: { atMost: 12 },
    note: null,
  }));
}

/** Of a smoke test once: it is about what is grossly broken. */
function times(count: number): number {
  return count === 10_000 ? 3 : 1;
}

interface Figures {
  readonly readyMs: number;
  readonly startLagMs: number;
  readonly idleLagMs: number;
  readonly metricsMs: number;
  readonly metricsLagMs: number;
  readonly statusByDaemonMs: number;
  readonly statusLagMs: number;
  readonly statusAloneMs: number;
  readonly ticksMs: number;
  readonly fallDueMs: number;
}

const names: Readonly<Record<keyof Figures, string>> = {
  readyMs: 'Start to ready',
  startLagMs: 'Event loop held up while starting',
  idleLagMs: 'Event loop held up in idle seconds',
  metricsMs: '/metrics',
  metricsLagMs: 'Event loop held up by /metrics',
  statusByDaemonMs: '`status`, answered by the daemon',
  statusLagMs: 'Event loop held up by `status`',
  statusAloneMs: '`status` without a daemon',
  ticksMs: 'A tick with nothing due, the longest of 60',
  fallDueMs: 'A tick while every device falls due, the longest',
};

async function measure(count: number, say: (line: string) => void): Promise<Figures> {
  const { schedule, lastMs } = quietSlot(Date.now());
  using place = await makeWorkplace(count, perGroup, schedule);
  say(`${count} devices: making their past`);
  const readings = place.devices.map((device, index) => {
    const atMs = lastMs + 60_000 + index * 20;
    return { device, runId: pastRunId(index, atMs), slotMs: lastMs, atMs, edit: 1 };
  });
  await makePast(place, readings, 2_000);
  // The first start registers what it keeps of each device; what is measured is every later one.
  await (await startDaemon(place))[Symbol.asyncDispose]();

  say(`${count} devices: a command alone, then the daemon`);
  const status = async () => {
    const { code, stdout, wallMs } = await runCommand(place, ['status']);
    if (code !== 0 || !stdout.includes(`${count} devices, all ok`)) {
      throw new Error(`status: exit code ${code}: ${stdout.slice(-300)}`);
    }
    return wallMs;
  };
  const statusAloneMs = await quickest(times(count), status);
  const daemonFigures = await withDaemon(place, count, status, say);
  return { ...daemonFigures, statusAloneMs, ...(await ticks(place, lastMs)) };
}

async function withDaemon(
  place: Workplace,
  count: number,
  status: () => Promise<number>,
  say: (line: string) => void,
) {
  await using daemon = await startDaemon(place);
  const { longestMs: startLagMs, rssBytes, cpuMs } = await daemon.probe();
  say(
    `${count} devices: ready after ${Math.round(daemon.readyMs)} ms, ${Math.round(cpuMs)} ms of CPU, RSS ${Math.round(rssBytes / 1e6)} MB`,
  );
  await new Promise((resolve) => setTimeout(resolve, count === 10_000 ? 5_000 : 1_000));
  const { longestMs: idleLagMs } = await daemon.probe();
  const scrape = async () => {
    const { body, wallMs } = await daemon.get('/metrics');
    const series = body.match(/^roundsman_device_info\{/gm)?.length;
    if (series !== count) throw new Error(`/metrics shows ${series} devices`);
    return wallMs;
  };
  const metricsMs = await quickest(times(count) + 2, scrape);
  const { longestMs: metricsLagMs } = await daemon.probe();
  const statusByDaemonMs = await quickest(times(count), status);
  const { longestMs: statusLagMs } = await daemon.probe();
  const readyMs = daemon.readyMs;
  return { readyMs, startLagMs, idleLagMs, metricsMs, metricsLagMs, statusByDaemonMs, statusLagMs };
}

/** The scheduler alone, on the ledger of this place and a clock of ours; its runs never end. */
async function ticks(place: Workplace, lastMs: number): Promise<Pick<Figures, 'ticksMs' | 'fallDueMs'>> {
  await using context = createContext({ configFile: place.config, logLines: true }, {}, systemClock);
  const { devices } = await context.configuration();
  using ledger = openLedger(place.ledger);
  // A minute before the next slot.
  const clock = new BenchClock(lastMs + 86_400_000 - 65_000);
  const scheduler = createScheduler({
    ...{ clock, ledger, devices: devices as readonly PlannedDevice[], workers: 32 },
    calendar: createCalendar(),
    runner: () => new Promise(() => {}),
    sink: {
      runStarted: () => {},
      runEnded: () => {},
      slotMissed: () => {},
      slotSkipped: () => {},
      clockJumped: () => {},
      failed: (thrown) => {
        throw thrown;
      },
    },
    newRunId: () => newRunId(clock.nowMs()),
  });
  scheduler.tick();
  const ticksMs = await longestTick(clock, 60, () => scheduler.tick());
  const fallDueMs = await longestTick(clock, 120, () => scheduler.tick());
  return { ticksMs, fallDueMs };
}

async function longestTick(clock: BenchClock, count: number, tick: () => void): Promise<number> {
  let longest = 0;
  for (let index = 0; index < count; index++) {
    clock.advance(1_000);
    const began = performance.now();
    tick();
    longest = Math.max(longest, performance.now() - began);
    longest = Math.max(longest, clock.runDue());
    await new Promise((resolve) => setImmediate(resolve));
  }
  return longest;
}
