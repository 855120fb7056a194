import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { watchLedger } from '../../src/daemon/ledger-watch.ts';
import type { Log } from '../../src/daemon/log.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { FakeClock } from '../support/fake-clock.ts';

let dir: string;
let file: string;
const warned: string[] = [];
const log = { warn: (message: string) => void warned.push(message) } as unknown as Log;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-watch-'));
  file = join(dir, 'ledger.db');
  openLedger(file)[Symbol.dispose]();
  warned.length = 0;
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** All of its pages but the first. */
function damage(): void {
  const opened = openSync(file, 'r+');
  writeSync(opened, Buffer.alloc(40_000, 0x5a), 0, 40_000, 4_096);
  closeSync(opened);
}

it('a ledger that was damaged while nobody looked is found within a week', async () => {
  const clock = new FakeClock();
  using watch = watchLedger(file, log, clock);
  damage();
  watch.inTime();
  expect(await watch.damage).toMatchObject({ code: 'record.failed' });
});

it('a ledger that cannot be looked at is told of, and is not taken for damaged', async () => {
  rmSync(file);
  using watch = watchLedger(file, log, new FakeClock());
  watch.inTime();
  await expect.poll(() => warned, { timeout: 30_000 }).toEqual(['the ledger could not be inspected']);
});
