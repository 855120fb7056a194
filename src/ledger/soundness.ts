import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { text } from './rows.ts';
import { damaged } from './sqlite-errors.ts';
import type { Statements } from './statements.ts';

/** A ledger of this size is read in full by every command that changes something: some tenths of a second. */
const smallBytes = 64 * 1024 * 1024;

const program = fileURLToPath(
  new URL(`./soundness-program${extname(import.meta.filename)}`, import.meta.url),
);

/**
 * Throws BackupError `record.failed` where the file is damaged. A large one, which takes a minute to read, is read only
 * where `inspectLedger` found something wrong with it; of others its length is looked at, and the tree of each table
 * down to one row at either end.
 */
export function refuseDamaged(sql: Statements, file: string): void {
  const mark = suspicion(file);
  const isSuspect = statSync(mark, { throwIfNoEntry: false }) !== undefined;
  const said = isSuspect || statSync(file).size <= smallBytes ? readInFull(sql) : readInPart(sql, file);
  if (said !== null) throw damaged(file, said);
  if (isSuspect) rmSync(mark, { force: true });
}

function readInFull(sql: Statements): string | null {
  const said = text(sql.get('PRAGMA quick_check(1)')?.quick_check);
  return said === 'ok' ? null : said;
}

function readInPart(sql: Statements, file: string): string | null {
  const pages = Number(sql.get('PRAGMA page_count')?.page_count);
  const pageBytes = Number(sql.get('PRAGMA page_size')?.page_size);
  const bytes = statSync(file).size;
  // What is in its log alone makes it longer; pages of the file itself are never fewer than it had at its last checkpoint.
  if (bytes % pageBytes !== 0) return `it has ${bytes} bytes, which are no whole pages`;
  if (bytes < pages * pageBytes && !hasLog(file)) return `it has ${bytes} bytes of ${pages * pageBytes}`;
  for (const order of ['ASC', 'DESC']) {
    for (const [table, key] of [
      ['chain', 'n'],
      ['run', 'n'],
      ['slot', 'device'],
      ['version', 'n'],
      ['sealed', 'n'],
      ['device', 'id'],
    ])
      sql.get(`SELECT * FROM ${table} ORDER BY ${key} ${order} LIMIT 1`);
  }
  return null;
}

function hasLog(file: string): boolean {
  return (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Lies beside a ledger in which something was found. */
function suspicion(file: string): string {
  return `${file}.suspect`;
}

/**
 * Reads the whole ledger in a process of its own, beside whoever works with it. Returns what is wrong with it, and has
 * the next start look for itself; null: nothing. Aborted, it ends at once. Throws where nothing could be read.
 */
export async function inspectLedger(file: string, signal: AbortSignal): Promise<string | null> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, file], {
    // Nothing of the environment is of use to it, and secrets may be there.
    ...{ env: {}, signal, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'pipe'] },
  });
  let [told, problem] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    told += piece;
  });
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    problem = (problem + piece).slice(-1_000);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the inspection of ${file} ended with ${code}: ${problem.trim()}`);
  const said = JSON.parse(told) as string;
  if (said === 'ok') return null;
  writeFileSync(suspicion(file), `${JSON.stringify({ said })}\n`, { mode: 0o600 });
  return said;
}
