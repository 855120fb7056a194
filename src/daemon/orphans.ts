import { setImmediate } from 'node:timers/promises';
import { inspectSealed } from '../artefacts/inspect.ts';
import { openArtefacts } from '../artefacts/store.ts';
import type { Context, State } from './services/context.ts';
import { sealedDir } from './vault.ts';

/** A person who wonders about a file, or puts a ledger back, has so long. */
const safeAgeMs = 7 * 24 * 60 * 60_000;

/** After so many files others have a turn. */
const inOneTurn = 500;

/**
 * Removes sealed files that nothing names: of runs that failed after they had sealed, and whose reading waits nowhere.
 * Only what was written a week ago, in the time of a run that this ledger knows: to a ledger that was lost, or put back from an
 * older copy, files of use would look the same. Returns how many were removed. Throws BackupError `store.*` or `record.*`.
 */
export async function removeOrphans(
  { clock, configuration }: Context,
  { ledger, spool, repository }: State,
): Promise<number> {
  const dir = sealedDir((await configuration()).settings);
  const files = inspectSealed(dir);
  const oldMs = clock.nowMs() - safeAgeMs;
  const unnamed: string[] = [];
  let looked = 0;
  for (let shard = 0; shard < 256; shard++) {
    for (const { digest, path } of await files.list(shard.toString(16).padStart(2, '0'))) {
      if (looked++ % inOneTurn === 0) await setImmediate();
      if (digest === null || ledger.retention.names(digest)) continue;
      const writtenMs = await files.changedMs(path);
      if (writtenMs !== null && writtenMs < oldMs && ledger.retention.wasAtWork(writtenMs))
        unnamed.push(digest);
    }
  }
  if (unnamed.length === 0) return 0;
  const named = new Set<string>();
  for (const entry of [...(await spool.waiting()), ...(await spool.held(null))])
    for (const { sealed } of entry.artefacts) if (sealed !== null) named.add(sealed);
  for await (const commit of repository.commitsSince(() => false))
    for (const [key, digest] of commit.trailers) if (key === 'Sealed') named.add(digest);
  const orphans = unnamed.filter((digest) => !named.has(digest));
  const artefacts = openArtefacts({ dir, recipients: [] });
  for (const digest of orphans) await artefacts.remove(digest);
  return orphans.length;
}
