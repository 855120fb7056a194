import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { ledgerError } from '../../src/ledger/sqlite-errors.ts';
import { describeMounting, Tmpfs } from '../support/mount.ts';
import { registerDevice, runOnce } from './support.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-ledger-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A copy of a ledger with one run, on a file system that is read-only. `open`: its writer was at work. */
function onReadOnlyDisk(state: 'closed' | 'open', without: readonly string[] = []): Tmpfs {
  const ledger = openLedger(join(root, 'ledger.db'));
  const { id } = registerDevice(ledger, 'fw1');
  runOnce(ledger, id, 'r1', 'changed', 1_000);
  if (state === 'closed') ledger[Symbol.dispose]();
  const disk = new Tmpfs();
  cpSync(root, disk.dir, { recursive: true });
  for (const name of without) rmSync(join(disk.dir, name));
  disk.makeReadOnly();
  ledger[Symbol.dispose]();
  return disk;
}

describeMounting('on a file system that is read-only', () => {
  it('a ledger is read, and leaves nothing beside itself', () => {
    using disk = onReadOnlyDisk('closed');
    using ledger = openLedger(join(disk.dir, 'ledger.db'));
    expect(ledger.run('r1')).toMatchObject({ device: 'fw1', state: 'changed' });
    expect(ledger.summaries().size).toBe(1);
    expect(readdirSync(disk.dir)).toEqual(['ledger.db']);
  });

  it('nothing can be written, and the failure says why', () => {
    using disk = onReadOnlyDisk('closed');
    using ledger = openLedger(join(disk.dir, 'ledger.db'));
    expect(() => registerDevice(ledger, 'fw2')).toThrowError(
      expect.objectContaining({ code: 'store.read-only', detail: { path: join(disk.dir, 'ledger.db') } }),
    );
  });

  it('what a snapshot holds in its write-ahead log is read as well', () => {
    using disk = onReadOnlyDisk('open');
    expect(readdirSync(disk.dir).sort()).toEqual(['ledger.db', 'ledger.db-shm', 'ledger.db-wal']);
    using ledger = openLedger(join(disk.dir, 'ledger.db'));
    expect(ledger.run('r1')).toMatchObject({ state: 'changed' });
  });

  it('a write-ahead log that cannot be read is never left out in silence', () => {
    using disk = onReadOnlyDisk('open', ['ledger.db-shm']);
    expect(() => openLedger(join(disk.dir, 'ledger.db'))).toThrowError(
      expect.objectContaining({
        code: 'record.failed',
        detail: {
          problem: expect.stringMatching(/ledger\.db-wal .* copy .* to a place that can be written/),
        },
      }),
    );
  });

  it('a ledger of an older version is refused: it cannot be brought up to date there', () => {
    using disk = new Tmpfs();
    const old = new DatabaseSync(join(disk.dir, 'ledger.db'));
    old.exec('CREATE TABLE device (id TEXT); PRAGMA user_version = 1');
    old.close();
    disk.makeReadOnly();
    expect(() => openLedger(join(disk.dir, 'ledger.db'))).toThrowError(
      expect.objectContaining({
        code: 'record.failed',
        detail: { problem: expect.stringContaining('older version') },
      }),
    );
  });

  it('no ledger is made up where there is none', () => {
    using disk = new Tmpfs();
    disk.makeReadOnly();
    expect(() => openLedger(join(disk.dir, 'ledger.db'))).toThrowError(
      expect.objectContaining({ code: 'store.read-only' }),
    );
  });
});

describeMounting('on a file system without a free byte', () => {
  it('a ledger that cannot be opened says that the disk is full', () => {
    using disk = new Tmpfs('1m');
    const file = join(disk.dir, 'ledger.db');
    openLedger(file)[Symbol.dispose]();
    disk.fill();
    // SQLite calls this an I/O error: it cannot make its shared memory.
    expect(() => openLedger(file)).toThrowError(
      expect.objectContaining({ code: 'store.disk-full', detail: { path: file, freeBytes: 0 } }),
    );
  });
});

describe('an I/O error of SQLite', () => {
  it('with space left stays one', () => {
    const thrown = Object.assign(new Error('disk I/O error'), { errcode: 4874 });
    expect(ledgerError(thrown, join(root, 'ledger.db'))).toMatchObject({ code: 'store.io' });
  });

  it('where the free space cannot be told stays one', () => {
    const thrown = Object.assign(new Error('disk I/O error'), { errcode: 10 });
    expect(ledgerError(thrown, join(root, 'gone', 'ledger.db'))).toMatchObject({ code: 'store.io' });
  });
});

describe('in a directory that this user may only read', () => {
  const source = (name: string) =>
    JSON.stringify(fileURLToPath(new URL(`../../src/ledger/${name}`, import.meta.url)));

  /** What `expression` on a ledger in `root` comes to, for somebody without any right to write there. */
  function asReader(expression: string): unknown {
    for (const name of readdirSync(root)) chmodSync(join(root, name), 0o444);
    chmodSync(root, 0o555);
    const script = `
      const { openLedger } = await import(${source('open-ledger.ts')});
      let said;
      try {
        const ledger = openLedger(${JSON.stringify(join(root, 'ledger.db'))});
        said = ${expression};
      } catch (error) {
        said = { code: error.code, detail: error.detail };
      }
      console.log(JSON.stringify(said));`;
    // To root no right is ever missing.
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const options = { encoding: 'utf8', cwd: '/', ...nobody } as const;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], options);
    chmodSync(root, 0o700);
    return JSON.parse(out);
  }

  beforeEach(() => {
    using ledger = openLedger(join(root, 'ledger.db'));
    runOnce(ledger, registerDevice(ledger, 'fw1').id, 'r1', 'changed', 1_000);
  });

  it('a ledger is read', () => {
    expect(asReader(`ledger.run('r1').state`)).toBe('changed');
    expect(readdirSync(root)).toEqual(['ledger.db']);
  });

  it('nothing can be written, and the failure says why', () => {
    expect(asReader(`ledger.record('reload', 1, {})`)).toEqual({
      code: 'store.permission',
      detail: { path: join(root, 'ledger.db') },
    });
  });

  it('what a writer that is at work has not yet moved into the file is read as well', () => {
    using ledger = openLedger(join(root, 'ledger.db'));
    runOnce(ledger, 'fw1', 'r2', 'changed', 2_000);
    expect(asReader(`ledger.run('r2')?.state`)).toBe('changed');
  });
});
