import type { Restorable } from '../core/errors.ts';
import type { Trigger } from '../core/run.ts';
import type { StoredCommit } from '../gitstore/repository.ts';
import type { StoredDevice, StoredMove, StoredReading } from '../ledger/rebuilding.ts';

/** Takes the path of an artefact apart; null for a path that is none. */
export type PlaceOf = (
  path: string,
) => { readonly group: string; readonly device: string; readonly artefact: string } | null;

/** What a commit says that happened. */
export type Claim =
  | { readonly kind: 'reading'; readonly reading: StoredReading }
  | { readonly kind: 'move'; readonly move: StoredMove }
  | {
      readonly kind: 'retirement';
      readonly retirement: StoredDevice & { readonly commit: string; readonly atMs: number };
    };

/** Clocks are never quite right. */
const skewMs = 60_000;
/** A slot is started within days of its time, or never. */
const longestWaitMs = 31 * 86_400_000;

const name = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const deviceId = /^[a-z0-9][a-z0-9._-]{0,62}(?:~\d{1,9})?$/;
const platform = /^[a-z0-9_]{1,64}$/;
const runId = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{8}$/;
const word = /^[\w.:-]{1,128}$/;
const digest = /^[0-9a-f]{64}$/;
const triggers: readonly string[] = [
  'schedule',
  'retry',
  'catch-up',
  'manual',
  'change',
  'job',
] satisfies Trigger[];
const worths: readonly string[] = ['yes', 'partial', 'no'] satisfies Restorable[];

/**
 * What a commit of ours claims; null for any other commit, and for one that says what cannot be: a name that is none,
 * a file of another device, a time that is still to come. A commit can be made by anybody who can write to the
 * repository, so nothing in it is believed that another word of it contradicts.
 */
export function claimOf(commit: StoredCommit, placeOf: PlaceOf, nowMs: number): Claim | null {
  if (!commit.isOurs || commit.atMs > nowMs + skewMs) return null;
  const devices = devicesIn(commit);
  const [first, ...others] = devices ?? [];
  if (devices === null || first === undefined) return null;
  const written = commit.written.flatMap((path) => placed(path, placeOf));
  if (written.length !== commit.written.length) return null;
  if (commit.trailers.some(([key]) => key === 'Run-Id'))
    return others.length > 0 ? null : reading(commit, first, written, placeOf, nowMs);
  const { atMs } = commit;
  if (written.length > 0) {
    const groups = devices.map((device) => ({
      ...device,
      places: written.filter((place) => place.device === device.name),
    }));
    const moved = groups.flatMap(({ places, ...device }) => {
      const [place] = places;
      return place === undefined ? [] : [{ ...device, group: place.group, places }];
    });
    return { kind: 'move', move: { commit: commit.commit, atMs, devices: moved } };
  }
  const isOwn = commit.removed.every((path) => placeOf(path)?.device === first.name);
  if (others.length > 0 || commit.removed.length === 0 || !isOwn) return null;
  return { kind: 'retirement', retirement: { ...first, commit: commit.commit, atMs } };
}

interface Written {
  readonly group: string;
  readonly device: string;
  readonly artefact: string;
  readonly path: string;
}

function placed(path: string, placeOf: PlaceOf): readonly Written[] {
  const place = placeOf(path);
  return place === null ? [] : [{ ...place, path }];
}

function reading(
  commit: StoredCommit,
  device: StoredDevice,
  written: readonly Written[],
  placeOf: PlaceOf,
  nowMs: number,
): Claim | null {
  const run = trailer(commit, 'Run-Id') ?? '';
  const startedAtMs = startOf(run);
  const readAtMs = Math.max(commit.atMs, startedAtMs ?? 0);
  const groups = new Set(written.map(({ group }) => group));
  // One that only lost an artefact wrote none.
  const group = written[0]?.group ?? placeOf(commit.removed[0] ?? '')?.group;
  const said = {
    platform: trailer(commit, 'Platform') ?? '',
    trigger: trailer(commit, 'Trigger') ?? '',
    restorable: trailer(commit, 'Restorable') ?? '',
    rules: trailer(commit, 'Rules') ?? '',
    maskKey: trailer(commit, 'Mask-Key') ?? '',
  };
  const isSound =
    startedAtMs !== null &&
    startedAtMs <= commit.atMs + skewMs &&
    startedAtMs <= nowMs + skewMs &&
    groups.size <= 1 &&
    written.every((place) => place.device === device.name) &&
    platform.test(said.platform) &&
    triggers.includes(said.trigger) &&
    worths.includes(said.restorable) &&
    word.test(said.rules) &&
    word.test(said.maskKey);
  if (!isSound || group === undefined) return null;
  return {
    kind: 'reading',
    reading: {
      ...device,
      ...{ commit: commit.commit, runId: run, group, startedAtMs, readAtMs },
      ...{ platform: said.platform, rules: said.rules, maskKey: said.maskKey },
      trigger: said.trigger as Trigger,
      restorable: said.restorable as Restorable,
      acceptedBy: trailer(commit, 'Accepted-By'),
      slotMs: slotOf(commit, startedAtMs),
      model: trailer(commit, 'Model'),
      serial: trailer(commit, 'Serial'),
      version: trailer(commit, 'OS-Version'),
      written: written.map(({ artefact, path }) => ({
        artefact,
        path,
        sealed: sealedOf(commit, artefact, written),
      })),
      removed: commit.removed,
    },
  };
}

/** Each `Device` with the `Device-Id` behind it; null where one is not what it should be. */
function devicesIn({ trailers }: StoredCommit): readonly StoredDevice[] | null {
  const found: { name: string; deviceId: string }[] = [];
  for (const [key, value] of trailers) {
    if (key === 'Device') found.push({ name: value, deviceId: value });
    const last = found.at(-1);
    if (key === 'Device-Id' && last !== undefined) last.deviceId = value;
  }
  const isSound = found.every((one) => name.test(one.name) && deviceId.test(one.deviceId));
  const isOnce = new Set(found.map((one) => one.deviceId)).size === found.length;
  return isSound && isOnce ? found : null;
}

/** Null where it is absent, or there twice with different values. */
function trailer({ trailers }: StoredCommit, key: string): string | null {
  const values = new Set(trailers.filter(([one]) => one === key).map(([, value]) => value));
  const [value] = values;
  return values.size === 1 && value !== undefined && value !== '' ? value : null;
}

/** When a run began, as its id says; null for an id that is none. */
function startOf(run: string): number | null {
  const [, year, month, day, hours, minutes, seconds] = runId.exec(run) ?? [];
  const startedAtMs = Date.parse(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(startedAtMs) ? null : startedAtMs;
}

/**
 * Null also for one that cannot be: later than the start, or so long before it that no run would have been started for
 * it any more. A reading that a person accepted served no slot.
 */
function slotOf(commit: StoredCommit, startedAtMs: number): number | null {
  const slotMs = Date.parse(trailer(commit, 'Slot') ?? '');
  if (Number.isNaN(slotMs) || trailer(commit, 'Accepted-By') !== null) return null;
  return slotMs <= startedAtMs + 1_000 && slotMs > startedAtMs - longestWaitMs ? slotMs : null;
}

/** The digests stand in the order of the artefacts; with more than one, each behind its `Artefact`. */
function sealedOf({ trailers }: StoredCommit, artefact: string, written: readonly Written[]): string | null {
  const all = trailers.filter(([key]) => key === 'Sealed').map(([, value]) => value);
  const [only] = all;
  if (all.length === 1 && written.length === 1 && only !== undefined) return digest.test(only) ? only : null;
  const at = trailers.findIndex(([key, value]) => key === 'Artefact' && value === artefact);
  const [key, value = ''] = trailers[at + 1] ?? [];
  return at >= 0 && key === 'Sealed' && digest.test(value) ? value : null;
}
