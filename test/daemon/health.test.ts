import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { createHealth, type Health } from '../../src/daemon/health.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeWith } from '../support/system.ts';

let stateDir: string;
let clock: FakeClock;
let health: Health;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'roundsman-health-'));
  clock = new FakeClock();
  health = createHealth({ clock, stateDir });
});

afterEach(() => {
  health[Symbol.dispose]();
  expect(clock.pending).toBe(0);
  rmSync(stateDir, { recursive: true, force: true });
});

/** Lets `seconds` pass in steps of ten; `beat`: the scheduler is alive meanwhile. */
async function pass(seconds: number, { beat }: { beat: boolean }): Promise<void> {
  for (let left = seconds; left > 0; left -= 10) {
    await clock.until(new Promise<void>((resolve) => clock.after(Math.min(10, left) * 1_000, resolve)));
    if (beat) health.heartbeat();
  }
}

/** The same, and the writes meanwhile come to their end, as they do on a disk that works. */
async function live(seconds: number, { beat }: { beat: boolean }): Promise<void> {
  for (let left = seconds; left > 0; left -= 10) {
    await pass(Math.min(10, left), { beat });
    await health.probe();
  }
}

describe('health', () => {
  it('is not there before the first heartbeat and the first write', async () => {
    expect(health.report()).toEqual({
      ...{ healthy: false, hangs: false },
      problems: ['the scheduler has not begun', `nothing was written to ${stateDir} yet`],
    });
    await health.probe();
    expect(health.report().problems).toEqual(['the scheduler has not begun']);
    health.heartbeat();
    expect(health.report()).toEqual({ healthy: true, problems: [], hangs: false });
  });

  it('lasts for as long as everything goes on', async () => {
    for (let round = 0; round < 12; round++) {
      await live(600, { beat: true });
      expect(health.report().problems).toEqual([]);
    }
  });

  it('ends when the scheduler stops passing, and names for how long', async () => {
    health.heartbeat();
    await live(90, { beat: false });
    expect(health.report().healthy).toBe(true);
    await live(10, { beat: false });
    expect(health.report().problems).toEqual(['the scheduler has not passed for 1 min 40 s']);
    expect(health.report().hangs).toBe(true);
    health.heartbeat();
    expect(health.report().healthy).toBe(true);
  });

  it('ends with the first write that the state directory refuses, and comes back with it', async () => {
    await live(20, { beat: true });
    rmSync(stateDir, { recursive: true });
    await live(60, { beat: true });
    expect(health.report().problems).toEqual([expect.stringContaining(`a write to ${stateDir} failed: `)]);
    await live(10, { beat: true });
    // A restart would not help: the watchdog is fed.
    expect(health.report().hangs).toBe(false);
    const [problem, ...others] = health.report().problems;
    expect(others).toEqual([]);
    expect(problem).toContain(`no write to ${stateDir} has ended well for 1 min 10 s`);
    expect(problem).toContain('ENOENT');
    execFileSync('mkdir', [stateDir]);
    await live(10, { beat: true });
    expect(health.report().healthy).toBe(true);
  });

  it('writes a file that nobody else can read', async () => {
    await health.probe();
    const file = join(stateDir, 'alive');
    expect(readFileSync(file, 'utf8')).toMatch(/^2026-01-01T\S+Z\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('takes no notice of a wall clock that jumps', async () => {
    let jumpedMs = 0;
    const jumping: Clock = {
      nowMs: () => clock.nowMs() + jumpedMs,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, then) => clock.after(delayMs, then),
    };
    using other = createHealth({ clock: jumping, stateDir });
    other.heartbeat();
    await other.probe();
    jumpedMs = 25 * 365 * 86_400_000;
    expect(other.report().healthy).toBe(true);
  });

  it('ends when the event loop was blocked, even where everything else was in time just before', async () => {
    let blockedMs = 0;
    const blocking: Clock = {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs() + blockedMs,
      after: (delayMs, then) => clock.after(delayMs, then),
    };
    using other = createHealth({ clock: blocking, stateDir });
    await other.probe();
    other.heartbeat();
    // No timer was called in this time.
    blockedMs = 61_000;
    other.heartbeat();
    expect(other.report().problems[0]).toBe('the event loop was blocked for 1 min 1 s');
    await clock.until(new Promise<void>((resolve) => clock.after(1_000, resolve)));
    await other.probe();
    expect(other.report().healthy).toBe(true);
  });
});

describeWith('mkfifo', 'a disk that does not answer', () => {
  it('is a write that did not work, and takes one thread, not one for each try', async () => {
    health.heartbeat();
    await health.probe();
    const file = join(stateDir, 'alive');
    rmSync(file);
    // Opening a pipe that nobody reads waits for ever, as a dead network disk does.
    execFileSync('mkfifo', [file]);
    await pass(200, { beat: true });
    const hanging = health.probe();
    expect(health.probe()).toBe(hanging);
    expect(health.report().problems).toEqual([`no write to ${stateDir} has ended well for 3 min 20 s`]);
    expect(health.report().hangs).toBe(true);
    const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    await hanging;
    closeSync(reader);
  });
});
