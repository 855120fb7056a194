import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fortigateConfig } from '../support/samples.ts';
import { Daemon } from './daemon.ts';

const mebibyte = 1024 * 1024;
/** What is stored of one artefact at the most. */
const cap = 64 * mebibyte;

/** Most memory that the process ever had, of which something else than the program is a part; 0 once it is gone. */
function peakOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

describe('a device whose output never ends', () => {
  const daemon = new Daemon();

  beforeAll(() => daemon.begin(2, 'schedule: "0 3 1 1 *"'));
  afterAll(() => daemon.stop());

  /** A backup of `fw1` by a process of its own, and the most memory that it took. */
  async function backup(): Promise<{ code: string | undefined; peak: number }> {
    let pid = 0;
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, peakOf(pid));
    }, 20);
    const { stdout } = await daemon.workspace.run(['backup', 'fw1', '--json'], (id) => {
      pid = id;
    });
    clearInterval(timer);
    return { code: (JSON.parse(stdout) as { error: { code: string } | null }).error?.code, peak };
  }

  it('is cut at the cap, with no more memory than a constant times that', async () => {
    const [, device] = daemon.devices;
    const usual = await backup();
    expect(usual.code).toBeUndefined();
    device?.setFaults({ endless: { command: 'show', line: 'a'.repeat(200) } });
    const endless = await backup();
    expect(endless.code).toBe('collect.too-large');
    // Received and being read; ten gigabytes would be 160 times the cap.
    expect(endless.peak - usual.peak).toBeLessThan(6 * cap);
    expect(endless.peak).toBeGreaterThan(usual.peak);
    expect(device?.sessions).toBe(0);
    device?.setFaults({});
    expect((await backup()).code).toBeUndefined();
  }, 300_000);
});

/** Of the first version of control groups. */
const group = `/sys/fs/cgroup/memory/roundsman-faults-${process.pid}`;

/** Whether this user can make one, and limit it. */
function canLimit(): boolean {
  try {
    mkdirSync(group);
    const limited = existsSync(join(group, 'memory.limit_in_bytes'));
    rmdirSync(group);
    return limited;
  } catch {
    return false;
  }
}
const limitable = canLimit();
if (!limitable)
  console.warn('no control group of memory can be made here: no daemon is killed for its memory');

describe.skipIf(!limitable)('a daemon that the kernel kills for its memory', () => {
  const daemon = new Daemon();

  beforeAll(async () => {
    mkdirSync(group);
    await daemon.begin(6, 'schedule: "0 3 1 1 *"');
  });
  afterAll(async () => {
    await daemon.stop();
    // The kernel takes a moment to let go.
    for (let turn = 0; turn < 50 && existsSync(group); turn++) {
      try {
        rmdirSync(group);
      } catch {
        await sleep(100);
      }
    }
  });

  it('loses nothing: its runs are interrupted, what was stored stays, and the next one goes on', async () => {
    const { devices, workspace } = daemon;
    const pid = await daemon.start();
    expect((await workspace.backup()).code).toBe(0);
    const stored = (await workspace.git('rev-parse', 'main')).trim();

    writeFileSync(join(group, 'cgroup.procs'), `${pid}`);
    // The other ones go on while this one is read; it grows until the kernel has had enough.
    for (const [n, device] of devices.entries()) {
      if (n % 2 === 1) device.change(fortigateConfig.replace('198.51.100.80', `198.51.100.${100 + n}`));
      if (n > 1) device.setFaults({ bytesPerSecond: 100 });
    }
    devices[1]?.setFaults({ endless: { command: 'show', line: 'a'.repeat(200) } });
    const said = workspace.backup();
    await daemon.until('sessions are open', () => devices.filter(({ sessions }) => sessions > 0).length >= 3);
    const limit = join(group, 'memory.limit_in_bytes');
    // What it had before it joined is not counted: the limit is on what it takes from here on.
    for (const size of [64, 32, 16, 8, 4]) {
      try {
        writeFileSync(limit, `${size * mebibyte}`);
      } catch {
        // It has more than that already.
      }
    }
    expect(await daemon.ended()).toBe('SIGKILL');
    expect(
      Number(/^oom_kill (\d+)/m.exec(readFileSync(join(group, 'memory.oom_control'), 'latin1'))?.[1]),
    ).toBeGreaterThan(0);
    expect((await said).code).toBe(1);

    for (const device of devices) device.setFaults({});
    await daemon.start();
    const left = daemon.runs().slice(devices.length);
    expect(left.length).toBeGreaterThan(0);
    for (const { state, code } of left)
      expect(['changed', 'unchanged', 'failed run.interrupted']).toContain(
        code === null ? state : `${state} ${code}`,
      );
    expect(left.some(({ code }) => code === 'run.interrupted')).toBe(true);
    await workspace.git('merge-base', '--is-ancestor', stored, 'main');
    await workspace.git('fsck', '--strict');
    expect((await workspace.backup()).code).toBe(0);
    expect((await workspace.run(['verify'])).code).toBe(0);
  }, 300_000);
});
