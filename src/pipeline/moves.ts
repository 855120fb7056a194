import type { Clock } from '../core/clock.ts';
import { counted } from '../core/units.ts';
import type { Place } from '../ledger/lives.ts';
import type { SettleHands } from './settle.ts';

/** What files are moved and taken away with. */
export interface MoveHands extends Pick<SettleHands, 'ledger' | 'repository' | 'artefactPath'> {
  readonly clock: Clock;
}

/** A device whose files lie where its name or its group put them before. */
export interface Misplaced {
  readonly deviceId: string;
  readonly name: string;
  readonly group: string;
  readonly files: readonly (Place & { readonly to: string })[];
}

/** Every device whose name or group changed since its files were written, ordered by name. */
export function misplaced({ ledger, artefactPath }: MoveHands): readonly Misplaced[] {
  const files = ledger.lives.places().flatMap((place) => {
    const to = artefactPath(place.group, place.name, place.artefact);
    return to === place.path ? [] : [{ ...place, to }];
  });
  return [...Map.groupBy(files, ({ deviceId }) => deviceId)].flatMap(([deviceId, mine]) => {
    const [first] = mine;
    return first === undefined ? [] : [{ deviceId, name: first.name, group: first.group, files: mine }];
  });
}

/**
 * Moves the files of these devices in one commit, and notes where they lie; after a crash between the two, `rebuild`
 * finds the commit. Nothing of them may be stored meanwhile: no run, no acceptance. Returns the commit; null where
 * there was nothing to move. Throws BackupError `store.*` or `record.*`.
 */
export async function moveAll(devices: readonly Misplaced[], hands: MoveHands): Promise<string | null> {
  const files = devices.flatMap((device) => device.files);
  const found = await hands.repository.blobs(files.map(({ version }) => version));
  // A text that git does not have (a history that was cut short) is written by the next reading.
  const moved = files.flatMap((file, index) => {
    const blob = found[index] ?? null;
    return blob === null ? [] : [{ ...file, blob }];
  });
  if (moved.length === 0) return null;
  const atMs = hands.clock.nowMs();
  const ids = new Set(moved.map(({ deviceId }) => deviceId));
  const told = devices.filter(({ deviceId }) => ids.has(deviceId));
  const { commit, foreignTip } = await hands.repository.commit({
    subject: () => subjectOf(told),
    body: moved.map(({ path, to }) => `${path} -> ${to}`).join('\n'),
    trailers: told.flatMap(deviceTrailers),
    atMs,
    files: [],
    remove: moved.map(({ path }) => path),
    blobs: moved.map(({ to, blob }) => ({ path: to, blob })),
  });
  if (foreignTip !== null) hands.ledger.record('foreign-tip', atMs, { kept: foreignTip, commit });
  const places = moved.map(({ deviceId, artefact, to }) => ({ deviceId, artefact, path: to }));
  hands.ledger.lives.moved({ atMs, commit, places });
  return commit;
}

/**
 * Takes the files of a device off main in one commit; what they were stays in the history. Nothing of the device may
 * be stored meanwhile. Returns the commit; null where it has no file. Throws BackupError `store.*` or `record.*`.
 */
export async function retire(
  { id, name, platform }: { readonly id: string; readonly name: string; readonly platform: string },
  sinceMs: number,
  hands: MoveHands,
): Promise<string | null> {
  const paths = hands.ledger.lives.places().flatMap(({ deviceId, path }) => (deviceId === id ? [path] : []));
  const present = await hands.repository.blobs(paths.map((path) => ({ commit: null, path })));
  const remove = paths.filter((_path, index) => present[index] !== null);
  const atMs = hands.clock.nowMs();
  let commit: string | null = null;
  if (remove.length > 0) {
    const committed = await hands.repository.commit({
      subject: () => `${name}: retired`,
      body: `Not read any more since ${new Date(sinceMs).toISOString().slice(0, 10)} (UTC)`,
      trailers: [...deviceTrailers({ deviceId: id, name }), ['Platform', platform]],
      atMs,
      files: [],
      remove,
    });
    commit = committed.commit;
    if (committed.foreignTip !== null)
      hands.ledger.record('foreign-tip', atMs, { kept: committed.foreignTip, commit });
  }
  hands.ledger.lives.retire({ deviceId: id, sinceMs, atMs, commit });
  return commit;
}

function subjectOf(devices: readonly Misplaced[]): string {
  const [first, ...others] = devices;
  if (first === undefined || others.length > 0) return `${counted(devices.length, 'device')} moved`;
  const [, before] = first.files[0]?.path.split('/') ?? [];
  return before === first.name
    ? `${first.name}: moved to ${first.group}`
    : `${first.name}: renamed from ${before}`;
}

function deviceTrailers({
  deviceId,
  name,
}: {
  readonly deviceId: string;
  readonly name: string;
}): (readonly [string, string])[] {
  return [['Device', name], ...(deviceId === name ? [] : [['Device-Id', deviceId] as const])];
}
