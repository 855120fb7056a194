import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { inspectLedger } from '../../src/ledger/soundness.ts';
import { registerDevice, runOnce } from './support.ts';

const never = new AbortController().signal;
const mebibyte = 1024 * 1024;
let dir: string;
let file: string;
const good = (size: string) => join(dir, `${size}.db`);

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-soundness-'));
  file = join(dir, 'ledger.db');
  for (const size of ['small', 'large']) {
    using ledger = openLedger(good(size));
    registerDevice(ledger, 'fw1');
    ledger.together(() => {
      for (let index = 0; index < 500; index++)
        runOnce(ledger, 'fw1', `r${index}`, 'unchanged', index * 1_000);
    });
  }
  using large = new DatabaseSync(good('large'));
  const fill = large.prepare('INSERT INTO commit_taken_in (id, at_ms) VALUES (?, 1)');
  for (let index = 0; index < 70; index++) fill.run(String(index).padEnd(mebibyte, 'x'));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

beforeEach(() => {
  for (const name of [file, `${file}-wal`, `${file}-shm`, `${file}.suspect`]) rmSync(name, { force: true });
});

/** Writes over the leaves of the table of runs, where nothing looks that does not need them. */
function damage(): void {
  using database = new DatabaseSync(file);
  const { page } = database
    .prepare(
      `SELECT pageno AS page FROM dbstat WHERE name = 'run' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 5`,
    )
    .get() as { page: number };
  const { page_size: size } = database.prepare('PRAGMA page_size').get() as { page_size: number };
  database.close();
  const opened = openSync(file, 'r+');
  writeSync(opened, Buffer.alloc(size, 0x5a), 0, size, (page - 1) * size);
  closeSync(opened);
}

function refuseDamaged(): void {
  using ledger = openLedger(file);
  ledger.refuseDamaged();
}

describe('a ledger with a page that was overwritten', () => {
  it('is refused at once where it is small', () => {
    copyFileSync(good('small'), file);
    refuseDamaged();
    damage();
    expect(refuseDamaged).toThrow(expect.objectContaining({ code: 'record.failed' }));
  });

  it('is found by the inspection where it is large, and refused from the next start on, until it is put back', async () => {
    copyFileSync(good('large'), file);
    expect(statSync(file).size).toBeGreaterThan(64 * mebibyte);
    expect(await inspectLedger(file, never)).toBeNull();
    damage();
    refuseDamaged();
    expect(await inspectLedger(file, never)).not.toBeNull();
    expect(refuseDamaged).toThrow(expect.objectContaining({ code: 'record.failed' }));
    copyFileSync(good('large'), file);
    refuseDamaged();
    expect(existsSync(`${file}.suspect`)).toBe(false);
  });
});

it('a large ledger that was cut short is refused at once', () => {
  copyFileSync(good('large'), file);
  truncateSync(file, statSync(file).size - 10 * mebibyte);
  expect(refuseDamaged).toThrow(expect.objectContaining({ code: 'record.failed' }));
});

it('an inspection that is not wanted any more ends at once, and says nothing', async () => {
  copyFileSync(good('large'), file);
  const ending = new AbortController();
  const told = inspectLedger(file, ending.signal);
  ending.abort();
  await expect(told).rejects.toThrow();
  expect(existsSync(`${file}.suspect`)).toBe(false);
});

it('an inspection of what cannot be opened throws, and suspects nothing', async () => {
  await expect(inspectLedger(join(dir, 'none.db'), never)).rejects.toThrow(/unable to open/);
  expect(existsSync(join(dir, 'none.db.suspect'))).toBe(false);
});
