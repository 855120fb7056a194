import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { surviveUnexpected } from '../../src/daemon/survive.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { keptLog } from './support.ts';

/** Vitest's own listeners would take what is thrown here for a failure of the test. */
let exceptions: NodeJS.UncaughtExceptionListener[] = [];
let rejections: NodeJS.UnhandledRejectionListener[] = [];

beforeEach(() => {
  exceptions = process.listeners('uncaughtException');
  rejections = process.listeners('unhandledRejection');
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
});

afterEach(() => {
  for (const listener of exceptions) process.on('uncaughtException', listener);
  for (const listener of rejections) process.on('unhandledRejection', listener);
});

describe('an exception outside of every run', () => {
  it('ends nothing and is logged with its stack, once a minute', async () => {
    const clock = new FakeClock();
    const { log, lines } = keptLog();
    using _survival = surviveUnexpected(log, clock);
    const broken = () => {
      throw new TypeError('a packet that nobody expected');
    };
    for (let n = 0; n < 3; n++) setImmediate(broken);
    setImmediate(() => void Promise.reject(new Error('a promise that nobody awaits')));
    await expect.poll(() => lines.length).toBe(2);
    expect(lines[0]).toMatch(/^unexpected unexpected exception .*survive\.test\.ts/);
    await clock.until(new Promise<void>((resolve) => void clock.after(60_000, resolve)));
    setImmediate(broken);
    await expect.poll(() => lines.length).toBe(3);
  });

  it('is Node’s own affair again afterwards', () => {
    surviveUnexpected(keptLog().log, new FakeClock())[Symbol.dispose]();
    expect(process.listenerCount('uncaughtException')).toBe(0);
    expect(process.listenerCount('unhandledRejection')).toBe(0);
  });
});
