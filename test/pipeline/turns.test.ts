import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { atOnce, inTurns, type Steps } from '../../src/pipeline/turns.ts';

function* counting(told: string[]): Steps<string> {
  for (const step of ['one', 'two', 'three']) {
    told.push(step);
    yield;
  }
  return 'done';
}

describe('work in steps', () => {
  it('is done as a whole where nobody waits', () => {
    const told: string[] = [];
    expect(atOnce(counting(told))).toBe('done');
    expect(told).toEqual(['one', 'two', 'three']);
  });

  it('lets others have their turn after each step', async () => {
    const told: string[] = [];
    const work = inTurns(counting(told));
    await setImmediate();
    told.push('somebody else');
    expect(await work).toBe('done');
    expect(told.indexOf('somebody else')).toBeLessThan(told.indexOf('three'));
  });

  it('rejects with what a step throws', async () => {
    function* failing(): Steps<void> {
      yield;
      throw new Error('no');
    }
    await expect(inTurns(failing())).rejects.toThrow('no');
    expect(() => atOnce(failing())).toThrow('no');
  });
});
