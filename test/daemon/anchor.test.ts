import { expect, it } from 'vitest';
import { chainAnchor } from '../../src/daemon/anchor.ts';
import { keptLog } from './support.ts';

it('the log is told where the chain has come to: at once, then each hour in which it grew', () => {
  let elapsedMs = 0;
  const clock = { nowMs: () => elapsedMs, monotonicMs: () => elapsedMs, after: () => ({ cancel() {} }) };
  const { log, lines } = keptLog();
  let length = 0;
  const ledger = { chainLength: () => length, chainHead: () => `hash of ${length}` };
  const anchor = chainAnchor(ledger, log, clock);
  anchor.tell();
  expect(lines).toEqual([]);

  length = 3;
  anchor.tell();
  expect(lines).toEqual(['info audit chain {"anchor":"3:hash of 3"}']);
  length = 4;
  elapsedMs += 59 * 60_000;
  anchor.tellInTime();
  expect(lines).toHaveLength(1);
  elapsedMs += 60_000;
  anchor.tellInTime();
  anchor.tellInTime();
  expect(lines.slice(1)).toEqual(['info audit chain {"anchor":"4:hash of 4"}']);
  elapsedMs += 2 * 60 * 60_000;
  anchor.tellInTime();
  expect(lines).toHaveLength(2);
});
