import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { OperationError } from '../../../src/core/errors.ts';
import { diffAside } from '../../../src/daemon/services/diff.ts';
import type { Driver } from '../../../src/drivers/driver.ts';
import { loadDrivers } from '../../../src/drivers/registry.ts';
import { diffText } from '../../../src/pipeline/diff.ts';

let asa: Driver;

beforeAll(async () => {
  const driver = (await loadDrivers()).get('cisco_asa');
  if (driver === undefined) throw new Error('there is no driver of an ASA');
  asa = driver;
});

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => `${line(index)}\n`).join('');
const here = (before: string, after: string, driver: Driver) =>
  diffText(before, after, driver.outline(before), driver.outline(after), { context: 3 });

/** The same lines in an order that has nothing to do with the first one: the most expensive pair for its size. */
const count = 50_000;
const inOrder = lines(count, (index) => `object ${index}`);
const shuffled = lines(count, (index) => `object ${(index * 7919) % count}`);

/** The longest that the event loop stood still while `work` was under way, as a share of how long it took. */
async function stalled(work: () => unknown): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await sleep(50);
  const began = performance.now();
  await work();
  const tookMs = performance.now() - began;
  // The turn that was held up is only measured once it is over.
  await sleep(20);
  delay.disable();
  return delay.max / 1e6 / tookMs;
}

describe('a comparison', () => {
  it('is the same in a thread of its own as here, sections and all', async () => {
    const before = lines(8_000, (index) => (index % 4 === 0 ? `interface ${index}` : ` line ${index}`));
    const after = before.replaceAll(/ line (\d*77)\n/g, ' another $1\n');
    const aside = await diffAside(asa, before, after);
    expect(aside).toEqual(here(before, after, asa));
    expect(aside.kind === 'hunks' && aside.hunks[0]?.sections).toEqual(['interface 76']);
    const short = [before.slice(0, 2_000), after.slice(0, 2_000)] as const;
    expect(await diffAside(asa, ...short)).toEqual(here(...short, asa));
  });

  it('of few lines that takes long here is made aside', async () => {
    const before = lines(2_000, (index) => `object ${index}`);
    const after = lines(2_000, (index) => `object ${(index * 1009) % 2_000}`);
    expect(await stalled(() => diffAside(asa, before, after))).toBeLessThan(0.5);
  });

  it('of 50 000 lines in another order does not hold up the event loop', async () => {
    const share = await stalled(() => here(inOrder, shuffled, asa));
    // Without this nobody knows that a loop which stands still is seen.
    expect(share).toBeGreaterThan(0.5);
    const aside = await stalled(async () => {
      expect(await diffAside(asa, inOrder, shuffled)).toEqual({
        kind: 'too-different',
        addedLines: 0,
        removedLines: 0,
      });
    });
    expect(aside).toBeLessThan(share / 4);
  });

  it('of many is made one at a time, and what cannot wait is told to come again', async () => {
    const text = lines(12_000, (index) => `object ${index}`);
    const asked = Array.from({ length: 10 }, () => diffAside(asa, text, `${text}end\n`));
    const ended = await Promise.allSettled(asked);
    const refused = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toHaveLength(2);
    for (const reason of refused) expect(reason).toBeInstanceOf(OperationError);
    expect(await diffAside(asa, text, text)).toMatchObject({ kind: 'hunks', hunks: [] });
  }, 120_000);

  it('whose thread ends is said to have failed, and the next one is as ever', async () => {
    const text = lines(12_000, (index) => `object ${index}`);
    const unknown = { ...asa, id: 'nothing' };
    await expect(diffAside(unknown, text, `${text}end\n`)).rejects.toThrow('could not be compared');
    expect(await diffAside(asa, text, `${text}end\n`)).toMatchObject({ addedLines: 1 });
  });
});
