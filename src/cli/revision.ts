import { OperationError, UsageError } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { instant } from '../core/units.ts';
import type { Version } from '../ledger/ledger.ts';
import type { Held, RunEntry, Services } from './services.ts';
import { parseInstant } from './time.ts';

export const principalArtefact = 'running-config';

/** One reading of one artefact: a version in the repository, or a quarantined text. */
export type Reading =
  | { readonly kind: 'version'; readonly version: Version }
  | { readonly kind: 'held'; readonly held: Held; readonly text: string };

/** All readings of one artefact that can be named, newest first. */
export interface Shelf {
  readonly device: string;
  readonly artefact: string;
  readonly versions: readonly Version[];
  /** Those of other artefacts too: a commit or a run may have changed only one of them. */
  readonly all: readonly Version[];
  readonly held: readonly Held[];
}

/** Throws UsageError where the device has no such artefact, OperationError where it has no version at all. */
export async function openShelf(services: Services, device: string, artefact: string): Promise<Shelf> {
  const [all, held] = await Promise.all([services.versions(device), services.held(device)]);
  const names = new Set([
    ...all.map((version) => version.artefact),
    ...held.flatMap(({ entry }) => entry.artefacts.map(({ name }) => name)),
  ]);
  if (names.size === 0)
    throw new OperationError(
      `there is no copy of ${device} yet`,
      `run \`roundsman backup ${device}\`; \`roundsman runs ${device}\` says what happened so far`,
    );
  if (!names.has(artefact)) {
    const near = nearest(artefact, names);
    const meant = near === null ? '' : `did you mean "${near}"? `;
    throw new UsageError(
      `${device} has no artefact "${artefact}"`,
      `${meant}\`--artefact\` takes one of ${[...names].join(', ')}`,
    );
  }
  const versions = all.filter((version) => version.artefact === artefact);
  return { device, artefact, versions, all, held };
}

/** What a revision names. */
export interface Named {
  /** The run that was named, or that read what was named. It may have found the reading's version unchanged. */
  readonly runId: string;
  readonly reading: Reading;
}

/** The reading that `revision` names, see `findNamed`. Undefined: the newest version. */
export async function find(services: Services, shelf: Shelf, revision: string | undefined): Promise<Reading> {
  if (revision === undefined) return { kind: 'version', version: newest(shelf) };
  return (await findNamed(services, shelf, revision)).reading;
}

/**
 * What `revision` names: a commit or the beginning of one (4 digits or more), a run id or the beginning
 * of one, or an RFC 3339 instant (what was current then). A commit or run that did not change this
 * artefact names the version that was current with it. Throws UsageError where nothing, or more than one
 * thing, is named.
 */
export async function findNamed(services: Services, shelf: Shelf, revision: string): Promise<Named> {
  const atMs = parseInstant(revision);
  if (atMs !== null) {
    const version = currentAt(shelf, atMs);
    return { runId: version.runId, reading: { kind: 'version', version } };
  }
  const word = revision.toLowerCase();
  if (word.length >= 4) {
    const runs = (
      await services.runs({ devices: [shelf.device], states: readings, sinceMs: null, untilMs: null })
    ).filter(({ runId }) => runId?.toLowerCase().startsWith(word) === true);
    const begun = byPrefix(shelf, word, runs);
    const whole = [...begun].filter(([runId]) => runId.toLowerCase() === word);
    const named = whole.length > 0 ? whole : [...begun];
    if (named.length > 1)
      throw new UsageError(
        `"${revision}" is the beginning of more than one version or run of ${shelf.device}`,
        'write more of it',
      );
    for (const [runId, reading] of named) return { runId, reading: reading() };
    for (const { runId, state } of runs)
      throw new UsageError(
        `run ${runId} left no copy of ${shelf.device}: it is ${state}`,
        `\`roundsman log ${shelf.device}\` lists what can be named`,
      );
  }
  throw new UsageError(
    `${shelf.device} has no version "${revision}"`,
    `\`roundsman log ${shelf.device}\` lists what can be named: a commit, a run id or an instant such as 2026-03-01T02:00:00Z`,
  );
}

/** States of runs, as opposed to slots that no run served. */
const readings = ['running', 'changed', 'unchanged', 'failed', 'quarantined'] as const;

/** What a `diff` of one revision compares with: the version before it, or the last good one for a held text. */
export function predecessor(shelf: Shelf, reading: Reading): Version | null {
  if (reading.kind === 'held') return shelf.versions[0] ?? null;
  const index = shelf.versions.indexOf(reading.version);
  return shelf.versions[index + 1] ?? null;
}

/** Throws OperationError where nothing good was read yet. */
export function newest(shelf: Shelf): Version {
  const version = shelf.versions[0];
  if (version === undefined)
    throw new OperationError(
      `there is no good copy of ${shelf.artefact} of ${shelf.device} yet`,
      `\`roundsman runs ${shelf.device}\` says what happened so far`,
    );
  return version;
}

/** By run id, each thing that begins with `word`: its reading of this artefact. */
function byPrefix(shelf: Shelf, word: string, runs: readonly RunEntry[]): Map<string, () => Reading> {
  const named = new Map<string, () => Reading>();
  for (const version of shelf.all)
    if (version.commit.startsWith(word) || version.runId.toLowerCase().startsWith(word))
      named.set(version.runId, () => ({ kind: 'version', version: inForceWith(shelf, version) }));
  for (const held of shelf.held)
    if (held.entry.runId.toLowerCase().startsWith(word))
      named.set(held.entry.runId, () => ({ kind: 'held', held, text: heldText(shelf, held) }));
  for (const { runId, commit } of runs) {
    // One that changed something is a version, or left none that can be shown.
    const confirmed = shelf.all.find((version) => version.commit === commit);
    if (runId !== null && confirmed !== undefined && !named.has(runId))
      named.set(runId, () => ({ kind: 'version', version: inForceWith(shelf, confirmed) }));
  }
  return named;
}

function heldText(shelf: Shelf, held: Held): string {
  const artefact = held.entry.artefacts.find(({ name }) => name === shelf.artefact);
  if (artefact !== undefined) return artefact.masked;
  throw new UsageError(
    `run ${held.entry.runId} read no ${shelf.artefact}`,
    `\`--artefact\` takes one of ${held.entry.artefacts.map(({ name }) => name).join(', ')}`,
  );
}

/** This artefact's own version of that commit, else the one that was current then. */
function inForceWith(shelf: Shelf, version: Version): Version {
  const own = shelf.versions.find(({ commit }) => commit === version.commit);
  return own ?? currentAt(shelf, version.atMs);
}

function currentAt(shelf: Shelf, atMs: number): Version {
  const version = shelf.versions.find((candidate) => candidate.atMs <= atMs);
  if (version !== undefined) return version;
  const first = shelf.versions.at(-1);
  throw new UsageError(
    `there was no copy of ${shelf.artefact} of ${shelf.device} at ${instant(atMs)}`,
    first === undefined
      ? `run \`roundsman backup ${shelf.device}\``
      : `the first is of ${instant(first.atMs)}, commit ${first.commit.slice(0, 10)}`,
  );
}
