import { appendRecord } from './chain.ts';
import { type Prune, type PruneStep, pruneStep } from './pruning.ts';
import { text } from './rows.ts';
import type { Statements } from './statements.ts';

/** How long sealed files and rows are kept. */
export interface Retention {
  /**
   * Forgets sealed copies and archives that were written before an instant, but never the newest of an artefact or of
   * an archive, and none of `exceptRuns`: these wait for a person or for the repository. Their files are then
   * `unreferenced`. Returns how many were forgotten.
   */
  forgetBefore(beforeMs: number, exceptRuns: readonly string[], atMs: number): Forgotten;
  /** Digests of files that nothing refers to any more and that may still be there. */
  unreferenced(): readonly string[];
  /** These files are gone. */
  removed(digests: readonly string[]): void;
  /**
   * One step of removing rows of slots and runs that ended before an instant, with its record in the chain; see
   * `pruning.ts` for what stays. Others may read and write between two steps, and after a crash the next one goes on.
   */
  prune(prune: Prune): PruneStep;
  /** Whether a row names this file, or it waits to be removed. */
  names(digest: string): boolean;
  /**
   * Whether this ledger was there: a run that it knows was going on at this time (UTC epoch milliseconds), and nothing of
   * that time had to be taken over from commits.
   */
  wasAtWork(atMs: number): boolean;
}

/** Copies of texts, and archives. */
export interface Forgotten {
  readonly sealed: number;
  readonly archives: number;
}

/** None lasts longer. */
const longestRunMs = 24 * 60 * 60_000;

export function retention(sql: Statements): Retention {
  return {
    forgetBefore: (beforeMs, exceptRuns, atMs) =>
      sql.transaction(() => {
        const spared = JSON.stringify(exceptRuns);
        const copies = sql.all(
          `SELECT n, digest FROM sealed WHERE at_ms < ? AND run_id NOT IN (SELECT value FROM json_each(?))
             AND n NOT IN (SELECT max(n) FROM sealed WHERE kind <> 'held' GROUP BY device, artefact)`,
          ...[beforeMs, spared],
        );
        const stale = sql.all(
          `SELECT n, digest FROM archive WHERE attempted_at_ms < ?
             AND run_id NOT IN (SELECT value FROM json_each(?))
             AND n NOT IN (SELECT max(n) FROM archive GROUP BY device, name)
             AND n NOT IN (SELECT max(n) FROM archive WHERE digest IS NOT NULL GROUP BY device, name)`,
          ...[beforeMs, spared],
        );
        for (const { n } of copies) sql.run('DELETE FROM sealed WHERE n = ?', Number(n));
        for (const { n } of stale) sql.run('DELETE FROM archive WHERE n = ?', Number(n));
        const digests = [...copies, ...stale].flatMap(({ digest }) =>
          digest === null ? [] : [text(digest)],
        );
        for (const digest of digests) markUnreferenced(sql, digest);
        const forgotten: Forgotten = {
          sealed: copies.length,
          archives: stale.filter(({ digest }) => digest !== null).length,
        };
        if (digests.length > 0) appendRecord(sql, 'retention', atMs, { ...forgotten, before_ms: beforeMs });
        return forgotten;
      }),
    unreferenced: () => sql.all('SELECT digest FROM unreferenced').map((row) => text(row.digest)),
    removed: (digests) =>
      sql.transaction(() => {
        for (const digest of digests) sql.run('DELETE FROM unreferenced WHERE digest = ?', digest);
      }),
    prune: (prune) => pruneStep(sql, prune),
    names: (digest) =>
      ['sealed', 'archive', 'unreferenced'].some(
        (table) => sql.get(`SELECT 1 FROM ${table} WHERE digest = ? LIMIT 1`, digest) !== null,
      ),
    wasAtWork: (atMs) =>
      sql.get(
        'SELECT 1 FROM run WHERE started_at_ms BETWEEN ? AND ? AND ended_at_ms >= ? LIMIT 1',
        ...[atMs - longestRunMs, atMs, atMs],
      ) !== null &&
      sql.get(`SELECT 1 FROM chain WHERE category = 'rebuilt' AND at_ms >= ? LIMIT 1`, atMs) === null,
  };
}

/** Notes a file whose row was deleted in the same transaction, unless another row names it. Returns whether it did. */
export function markUnreferenced(sql: Statements, digest: string): boolean {
  const named =
    sql.get('SELECT 1 FROM sealed WHERE digest = ? LIMIT 1', digest) ??
    sql.get('SELECT 1 FROM archive WHERE digest = ? LIMIT 1', digest);
  if (named !== null) return false;
  sql.run('INSERT OR IGNORE INTO unreferenced (digest) VALUES (?)', digest);
  return true;
}
