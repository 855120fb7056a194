import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from './daemon.ts';

const count = 50;

describe('SIGTERM during fifty sessions', () => {
  const daemon = new Daemon();

  beforeAll(() =>
    daemon.begin(count, 'workers: 60\nschedule: "0 3 1 1 *"', ['timeouts: { login: 5m, idle: 20m }']),
  );
  afterAll(() => daemon.stop());

  it('lets those end that can, ends the others in time, and leaves nothing open', async () => {
    const { devices, workspace } = daemon;
    // Half of them need some seconds, half of them longer than any service manager waits.
    for (const [n, device] of devices.entries())
      device.setFaults(n < count / 2 ? { bytesPerSecond: 1_500 } : { silentAt: { byte: 100 } });
    await daemon.start();
    const said = workspace.backup();
    await daemon.until('all sessions are open', () => devices.every(({ sessions }) => sessions === 1));
    daemon.signal('SIGTERM');
    expect(await daemon.ended()).toBe(0);

    const { code, lines } = await said;
    expect(code).not.toBe(0);
    expect(lines.size).toBe(count);
    for (const [n] of devices.entries()) {
      const line = lines.get(`fw${n}`);
      if (n < count / 2) expect(line).toMatchObject({ outcome: 'changed', error: null });
      else expect(line?.error).toMatchObject({ code: 'run.interrupted', detail: { by: 'signal' } });
    }
    const rows = daemon.runs();
    expect(rows).toHaveLength(count);
    for (const { device, state, code } of rows) {
      const { outcome, error } = lines.get(device) ?? {};
      expect({ device, state, code }).toEqual({ device, state: outcome, code: error?.code ?? null });
    }
    expect(devices.map(({ sessions }) => sessions)).toEqual(Array(count).fill(0));

    // Nothing was left for the next one to clear up.
    const from = daemon.log.length;
    await daemon.start();
    expect(daemon.log.slice(from)).not.toMatch(/backup failure|recover/i);
    expect(daemon.runs()).toHaveLength(count);
    daemon.signal('SIGTERM');
    expect(await daemon.ended()).toBe(0);
  }, 300_000);
});
