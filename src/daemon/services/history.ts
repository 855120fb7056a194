import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { unseal, unsealArchive } from '../../artefacts/unseal.ts';
import type {
  Comparison,
  DeviceStatus,
  Held,
  Message,
  RunEntry,
  RunsFilter,
  SealedBytes,
  Unsealed,
} from '../../cli/services.ts';
import { OperationError } from '../../core/errors.ts';
import type { SpoolEntry } from '../../core/run.ts';
import { artefactPath } from '../../gitstore/paths.ts';
import type { PlannedDevice } from '../../inventory/precedence.ts';
import type { ArchiveAttempt } from '../../ledger/archives.ts';
import type { Ledger, RunRow, Summary, Version } from '../../ledger/ledger.ts';
import type { AbsentRow } from '../../ledger/slots.ts';
import { statusOf } from '../../ledger/status.ts';
import { settle } from '../../pipeline/settle.ts';
import { createCalendar } from '../../scheduler/calendar.ts';
import type { Scheduler } from '../../scheduler/scheduler.ts';
import { standingOf } from '../../scheduler/standing.ts';
import { openSealedToRead } from '../vault.ts';
import { type Context, driverOf, knownDevice, type State } from './context.ts';
import { diffAside } from './diff.ts';

/** Of a device that was retired, or left the inventory. */
const notOnSchedule = { missed: false, late: false, nextRunMs: null, dueMs: null };

/** More runs than a person reads; a script narrows by device and time. */
const listedRuns = 100_000;

/** What a day's worth of slots costs to compute is kept for the next question. */
const calendar = createCalendar();
/** Ten thousand devices must not hold up the event loop. */
const devicesAtOnce = 250;

/**
 * Where each device stands, in the order of the inventory; then those that only the ledger knows. `present` tells what the process that keeps the
 * schedule knows of a device; null where none does.
 */
export async function status(
  context: Context,
  names: readonly string[],
  present: Scheduler['present'] | null = null,
): Promise<readonly DeviceStatus[]> {
  const found: DeviceStatus[] = [];
  for await (const some of standings(context, names, present))
    for (const { status } of some) found.push(status);
  return found;
}

/** Where one device stands, and what that was computed from. */
export interface DeviceStanding {
  readonly status: DeviceStatus;
  /** Null where the ledger does not know the device. */
  readonly deviceId: string | null;
  readonly summary: Summary | null;
}

/** The same in parts, between which others have their turn; each part is of one moment. */
export async function* standings(
  context: Context,
  names: readonly string[],
  present: Scheduler['present'] | null,
): AsyncGenerator<readonly DeviceStanding[]> {
  const { devices } = await context.configuration();
  const { ledger } = await context.state();
  const nowMs = context.clock.nowMs();
  const wanted = new Set(names);
  const chosen = devices.filter((device) => wanted.has(device.name));
  const running = new Map(ledger.running().map((run) => [run.deviceId, run]));
  const archived = ledger.archives.standings();
  // One question for a fleet; a device that is asked about by itself may have had another name.
  const ids = present === null && chosen.length > 1 ? ledger.idsByName() : new Map<string, string>();
  const idOf = (name: string): string | null => ids.get(name) ?? ledger.device(name)?.id ?? null;
  for (let from = 0; from < chosen.length; from += devicesAtOnce) {
    await setImmediate();
    const some = chosen.slice(from, from + devicesAtOnce);
    const lines = onSchedule(some, ledger, idOf, running, present, nowMs);
    yield statusesOf(lines, ledger, archived);
  }
  const inInventory = new Set(devices.map(({ name }) => name));
  const lines: Line[] = [];
  for (const name of wanted) {
    const gone = inInventory.has(name) ? null : ledger.device(name);
    if (gone?.name !== name) continue;
    const { id, platform, group } = gone;
    lines.push({ name, platform, group, enabled: false, archives: [], known: id, schedule: notOnSchedule });
  }
  yield statusesOf(lines, ledger, archived);
}

type Line = Parameters<typeof statusOf>[0][number];

function onSchedule(
  devices: readonly PlannedDevice[],
  ledger: Ledger,
  idOf: (name: string) => string | null,
  running: ReadonlyMap<string, RunRow>,
  present: Scheduler['present'] | null,
  nowMs: number,
): readonly Line[] {
  const known = new Map(devices.map(({ name }) => [name, present?.(name) ?? null]));
  const ids = new Map<string, string | null>(
    devices.flatMap(({ name }) => (known.get(name) === null ? [[name, idOf(name)] as const] : [])),
  );
  const asked = [...ids.values()].filter((id) => id !== null);
  const histories = new Map(
    (asked.length === 0 ? [] : ledger.slots.historiesOf(asked, nowMs)).map((history) => [
      history.deviceId,
      history,
    ]),
  );
  return devices.map((device) => {
    const { name, platform, group, enabled, archives } = device;
    const id = ids.get(name) ?? known.get(name)?.history.deviceId ?? null;
    const nobody = { upSinceMs: nowMs, paused: false, absences: [], running: running.get(id ?? '') ?? null };
    const here = known.get(name) ?? nobody;
    const history = 'history' in here ? here.history : (histories.get(id ?? '') ?? null);
    const schedule = standingOf(calendar, device, history, here, nowMs);
    return { name, platform, group, enabled, archives, known: id, schedule };
  });
}

function statusesOf(
  lines: readonly Line[],
  ledger: Ledger,
  archived: Parameters<typeof statusOf>[2],
): readonly DeviceStanding[] {
  if (lines.length === 0) return [];
  const summaries = ledger.summaries(lines.flatMap(({ known }) => known ?? []));
  return statusOf(lines, summaries, archived).map((status, index) => {
    const deviceId = lines[index]?.known ?? null;
    return { status, deviceId, summary: summaries.get(deviceId ?? '') ?? null };
  });
}

export async function runs(context: Context, filter: RunsFilter): Promise<readonly RunEntry[]> {
  const { ledger } = await context.state();
  const deviceIds =
    filter.devices === null ? null : filter.devices.flatMap((name) => ledger.device(name)?.id ?? []);
  const isAbsent = (state: RunEntry['state']) => state === 'missed' || state === 'skipped';
  const states = filter.states?.filter((state) => !isAbsent(state)) ?? null;
  const absences = filter.states?.filter(isAbsent) ?? (['missed', 'skipped'] as const);
  const rows = ledger.runs({ ...filter, deviceIds, states, limit: listedRuns });
  const slots = ledger.slots.absent({ ...filter, deviceIds, states: absences, limit: listedRuns });
  const at = (entry: RunEntry) => entry.startedAtMs ?? entry.endedAtMs ?? 0;
  return [...rows.map((row): RunEntry => ({ ...row, cause: null })), ...slots.map(absentEntry)]
    .sort((a, b) => at(b) - at(a))
    .slice(0, listedRuns);
}

/** A slot that no run served; it carries the deadline as its time. */
function absentEntry(row: AbsentRow): RunEntry {
  const { deviceId, device, platform, group, slotMs, end, deadlineMs, count } = row;
  return {
    ...{ deviceId, device, platform, group, slotMs, state: end.state, cause: end.cause, slots: count },
    ...{ runId: null, trigger: null, failure: null, startedAtMs: null, endedAtMs: deadlineMs },
    ...{ commit: null, restorable: null, restorableBecause: null, acceptedAtMs: null },
  };
}

export async function run(context: Context, runId: string): Promise<RunRow | null> {
  return (await context.state()).ledger.run(runId);
}

/** Every version of every artefact of a device, newest first; empty for a device that was never read. */
export async function versions(context: Context, device: string): Promise<readonly Version[]> {
  const { ledger } = await context.state();
  const known = ledger.device(device);
  if (known === null) return [];
  return ledger
    .artefactNames(known.id)
    .flatMap((artefact) => ledger.versions(known.id, artefact))
    .sort((a, b) => b.atMs - a.atMs);
}

export async function held(context: Context, device: string): Promise<readonly Held[]> {
  const state = await context.state();
  const known = state.ledger.device(device);
  if (known === null) return [];
  const entries = await state.spool.held(known.id);
  return entries.flatMap((entry) => {
    const failure = state.ledger.run(entry.runId)?.failure ?? null;
    return failure === null ? [] : [{ entry, failure }];
  });
}

/** Throws OperationError where the ledger names a text that git does not hold. */
export async function text(context: Context, version: Version): Promise<string> {
  const { repository } = await context.state();
  const found = await repository.read(version.commit, version.path);
  if (found !== null) return found;
  throw new OperationError(
    `${version.path} is not in commit ${version.commit}`,
    'the repository and the ledger do not belong together: restore both from the same backup',
  );
}

/** Subject and trailers of each commit. */
export async function messages(
  context: Context,
  commits: readonly string[],
): Promise<ReadonlyMap<string, Message>> {
  const { repository } = await context.state();
  const found = await repository.messages(commits);
  return new Map([...found].map(([commit, full]) => [commit, parseMessage(full)]));
}

/** Trailers are the last paragraph. */
function parseMessage(full: string): Message {
  const paragraphs = full.trimEnd().split('\n\n');
  const trailers = (paragraphs.length > 1 ? (paragraphs.at(-1) ?? '') : '')
    .split('\n')
    .flatMap((line): [string, string][] => {
      const match = /^([A-Za-z-]+): (.*)$/.exec(line);
      return match === null ? [] : [[match[1] ?? '', match[2] ?? '']];
    });
  return { subject: full.split('\n', 1)[0] ?? '', trailers };
}

export async function compareTexts(
  context: Context,
  device: string,
  before: string,
  after: string,
): Promise<Comparison> {
  const configuration = await context.configuration();
  const state = await context.state();
  const driver = driverOf(configuration, knownDevice(state, device).platform);
  const diff = await diffAside(driver, before, after);
  const note = after.includes('<secret:rotating>')
    ? 'secrets shown as <secret:rotating> are encrypted anew at every reading: a change of one cannot be seen'
    : null;
  return { diff, note };
}

/**
 * Makes a quarantined run the last good one. Where an earlier attempt came as far as the commit, that
 * commit is taken up, not made twice; where recovery has closed it in the meantime, nothing is left to do. `by` is
 * recorded.
 */
export async function accept(context: Context, device: string, runId: string, by: string): Promise<string> {
  const configuration = await context.configuration();
  const state = await context.changing();
  const known = knownDevice(state, device);
  const before = state.ledger.run(runId);
  if (before?.deviceId === known.id && before.acceptedAtMs !== null && before.commit !== null)
    return before.commit;
  const found = (await state.spool.held(known.id)).find((held) => held.runId === runId);
  if (found === undefined) {
    throw new OperationError(
      `run ${runId} of ${device} is not in quarantine`,
      `list what is: roundsman runs ${device} --failed`,
    );
  }
  if (found.platform !== known.platform) {
    throw new OperationError(
      `run ${runId} read a ${found.platform}, and ${device} is a ${known.platform} now`,
      `read the new one: roundsman backup ${device}`,
    );
  }
  // Where the device is now: it may have moved since it was read.
  const entry: SpoolEntry = { ...found, group: known.group, deviceName: known.name };
  const paths = new Map(
    entry.artefacts.map(({ name }) => [name, artefactPath(entry.group, entry.deviceName, name)]),
  );
  const commit = (await state.repository.findRun(runId)) ?? (await commitHeld());
  state.ledger.acceptRun({
    runId,
    atMs: context.clock.nowMs(),
    by,
    commit,
    paths,
  });
  await state.spool.release(known.id);
  return commit;

  async function commitHeld(): Promise<string> {
    const driver = driverOf(configuration, known.platform);
    const expect = { hostname: null, serials: [] };
    const { settled } = await settle(entry, driver, expect, by, {
      ...state,
      artefactPath,
    });
    if (settled.outcome === 'changed' || settled.outcome === 'unchanged') return settled.commit;
    throw new OperationError(`run ${runId} could not be accepted`, `read ${device} again`);
  }
}

/** The sealed copy as it is; null where nothing is sealed. */
export async function sealed(
  context: Context,
  device: string,
  artefact: string,
  runId: string | null,
): Promise<SealedBytes | null> {
  const { settings } = await context.configuration();
  const state: State = await context.state();
  const copy = state.ledger.sealed(knownDevice(state, device).id, artefact, runId);
  if (copy === null) return null;
  return { bytes: await openSealedToRead(settings).read(copy.digest), runId: copy.runId };
}

/** The exact bytes that the device gave; null where nothing is sealed. */
export async function restore(
  context: Context,
  device: string,
  artefact: string,
  runId: string | null,
  identityFile: string,
): Promise<Unsealed | null> {
  const copy = await sealed(context, device, artefact, runId);
  return copy === null
    ? restoreArchive(context, device, artefact, runId, identityFile)
    : opened(copy, identityFile);
}

/** An archive, in this run or (null) the newest; null where there is none. */
async function restoreArchive(
  context: Context,
  device: string,
  name: string,
  runId: string | null,
  identityFile: string,
): Promise<Unsealed | null> {
  const { settings } = await context.configuration();
  const state = await context.state();
  const kept = state.ledger.archives.kept(knownDevice(state, device).id, name, runId);
  if (kept === null || kept.sealed === null) return null;
  const bytes = await openSealedToRead(settings).read(kept.sealed.digest);
  return { bytes: await unsealArchive(bytes, await identityIn(identityFile)), runId: kept.runId };
}

/** The archives of a device that are kept, newest first. */
export async function archives(context: Context, device: string): Promise<readonly ArchiveAttempt[]> {
  const { ledger } = await context.state();
  const known = ledger.device(device);
  return known === null ? [] : ledger.archives.list(known.id);
}

/** Opens a sealed copy with an age identity file. Throws OperationError where the file does not do. */
export async function opened(copy: SealedBytes, identityFile: string): Promise<Unsealed> {
  return { bytes: await unseal(copy.bytes, await identityIn(identityFile)), runId: copy.runId };
}

async function identityIn(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new OperationError(
      `the identity ${file} cannot be read`,
      'name the file that `roundsman init` told you to keep elsewhere: --identity FILE',
      { cause: error },
    );
  });
}
