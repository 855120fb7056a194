import { canonicalJson, chainHash, genesis } from './audit.ts';
import type { Statements } from './statements.ts';

/** Appends one record to the chain. Belongs into the transaction that writes what the record says. */
export function appendRecord(
  { get, run }: Statements,
  category: string,
  atMs: number,
  record: Readonly<Record<string, unknown>>,
): void {
  const newest = get('SELECT n, hash FROM chain ORDER BY n DESC LIMIT 1');
  const text = canonicalJson({ ...record, category, at_ms: atMs });
  const previous = newest === null ? genesis : (newest.hash as Uint8Array);
  run(
    'INSERT INTO chain (n, record, hash) VALUES (?, ?, ?)',
    Number(newest?.n ?? 0) + 1,
    text,
    chainHash(previous, text),
  );
}
