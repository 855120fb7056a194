import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Services } from '../../src/cli/services.ts';
import { remoteServices } from '../../src/daemon/remote.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import type { BenchPart, Measured, Scale } from '../part.ts';
import { makePast, type PastReading, pastRunId } from '../scale/past.ts';
import { quickest, runCommand, startDaemon } from '../scale/program.ts';
import { inventoryText, makeWorkplace, quietSlot, type Workplace } from '../scale/workplace.ts';

const part: BenchPart = {
  name: 'history',
  about:
    'What a person waits for after 100 000 commits, of a device that moved to another group: log, show, diff.',
  run,
};
export default part;

/** Commits of the device that is asked about; as many of every other one as are left. */
const ofOne = 200;

async function run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]> {
  if (scale === 'smoke') return ratios(say);
  const found = await measure(10_000, 100_000, say);
  return (Object.keys(names) as (keyof Figures)[]).map((key) => ({
    what: `${names[key]}, after 100 000 commits`,
    value: found[key],
    unit: 'ms',
    limit: key === 'logMs' ? { atMost: 100 } : null,
    note: key === 'logMs' ? 'all that the command asks the daemon, over its socket' : null,
  }));
}

/** Ten times the commits may not cost ten times the time. */
async function ratios(say: (line: string) => void): Promise<readonly Measured[]> {
  const small = await measure(20, 400, say);
  const large = await measure(20, 4_000, say);
  return (['logCommandMs', 'showMs', 'diffMs'] as const).map((key) => ({
    what: `${names[key]}, 4000 commits against 400`,
    ...{ value: large[key] / small[key], unit: 'x', limit: { atMost: 3 }, note: null },
  }));
}

interface Figures {
  readonly versionMs: number;
  readonly logMs: number;
  readonly logCommandMs: number;
  readonly logAloneMs: number;
  readonly showMs: number;
  readonly diffMs: number;
}

const names: Readonly<Record<keyof Figures, string>> = {
  versionMs: 'The command alone (`--version`)',
  logMs: '`log NAME`: its answer',
  logCommandMs: '`log NAME`, the whole command',
  logAloneMs: '`log NAME` without a daemon',
  showMs: '`show NAME`, an old version',
  diffMs: '`diff NAME`, two old versions',
};

async function measure(count: number, commits: number, say: (line: string) => void): Promise<Figures> {
  // Of a smoke test once: it is about what is grossly broken.
  const many = count === 10_000;
  const { schedule, lastMs } = quietSlot(Date.now());
  using place = await makeWorkplace(count, 100, schedule);
  say(`${commits} commits of ${count} devices: making them`);
  const readings = pastOf(place, commits, lastMs);
  await makePast(place, readings, 1_000);
  const name = await moveOne(place);
  const own = readings.filter(({ device }) => device.name === name);
  const [old, older] = [own[10]?.runId ?? '', own[5]?.runId ?? ''];

  const command = async (...args: string[]) => {
    const { code, stdout, wallMs } = await runCommand(place, args);
    if (code !== 0 || stdout === '') throw new Error(`${args.join(' ')}: exit code ${code}`);
    return wallMs;
  };
  const log = async () => {
    const { code, stdout, wallMs } = await runCommand(place, ['log', name, '--json']);
    const found = (JSON.parse(stdout) as unknown[]).length;
    if (code !== 0 || found !== own.length) throw new Error(`log: ${found} versions, exit code ${code}`);
    return wallMs;
  };
  say(`${commits} commits: the commands`);
  const versionMs = await quickest(many ? 5 : 1, () => command('--version'));
  const logAloneMs = await quickest(many ? 3 : 1, log);
  await using daemon = await startDaemon(place);
  say(`${commits} commits: ready after ${Math.round(daemon.readyMs)} ms`);
  const logCommandMs = await quickest(many ? 5 : 1, log);
  const showMs = await quickest(many ? 3 : 1, () => command('show', name, old));
  const diffMs = await quickest(many ? 3 : 1, () => command('diff', name, older, old));
  // What the command asks the daemon, without the start of a program.
  const services = remoteServices(join(place.state, 'control.sock'), {} as Services);
  const logMs = await quickest(many ? 5 : 1, async () => {
    const began = performance.now();
    await services.fleet();
    const [versions] = await Promise.all([services.versions(name), services.held(name)]);
    const messages = await services.messages(versions.map(({ commit }) => commit));
    if (messages.size !== own.length) throw new Error(`log: ${messages.size} messages`);
    return performance.now() - began;
  });
  return { versionMs, logMs, logCommandMs, logAloneMs, showMs, diffMs };
}

/** Oldest first; each device once at the end, so that all of them are up to date. */
function pastOf(place: Workplace, commits: number, lastMs: number): readonly PastReading[] {
  const { devices } = place;
  const first = devices[0];
  const before = commits - devices.length;
  const readings: PastReading[] = [];
  for (let index = 0; index < commits; index++) {
    const isLast = index >= before;
    const oneOfMany = !isLast && index % Math.max(1, Math.floor(before / (ofOne - 1))) === 0;
    const device = oneOfMany ? first : devices[(isLast ? index - before : index) % devices.length];
    if (device === undefined) continue;
    const atMs = isLast ? lastMs + 60_000 + (index - before) * 20 : lastMs - (commits - index) * 60_000;
    const slotMs = isLast ? lastMs : null;
    readings.push({ device, runId: pastRunId(index, atMs), slotMs, atMs, edit: index });
  }
  return readings;
}

/** The first device goes to the folder of another group, in one commit, as the product does it. */
async function moveOne(place: Workplace): Promise<string> {
  const [one] = place.devices;
  if (one === undefined) throw new Error('there is no device');
  const moved = { ...one, group: 'moved' };
  const repository = await openRepository({ dir: place.repository });
  const from = artefactPath(one.group, one.name, 'running-config');
  const to = artefactPath(moved.group, one.name, 'running-config');
  const text = (await repository.read(null, from)) ?? '';
  const atMs = Date.now();
  const { commit } = await repository.commit({
    subject: () => `${one.name}: moved to ${moved.group}`,
    ...{ body: '', trailers: [], atMs, files: [{ path: to, text }], remove: [from] },
  });
  using ledger = openLedger(place.ledger);
  const { id } = ledger.register({ ...moved, platform: 'cisco_asa', formerly: [], atMs });
  ledger.lives.moved({ atMs, commit, places: [{ deviceId: id, artefact: 'running-config', path: to }] });
  writeFileSync(join(place.dir, 'devices.yaml'), inventoryText([moved, ...place.devices.slice(1)]));
  return one.name;
}
