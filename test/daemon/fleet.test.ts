import { describe, expect, it } from 'vitest';
import { eachDevice } from '../../src/daemon/fleet.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';

function device(
  name: string,
  more: { host?: string; group?: string; maxSessions?: number } = {},
): PlannedDevice {
  const { host = name, group = 'default', maxSessions = null } = more;
  return { name, host, port: 22, group, plan: { maxSessions } } as unknown as PlannedDevice;
}

/** Works on devices until it is told that each is done; remembers how many were at it together. */
async function watched(
  devices: readonly PlannedDevice[],
  workers: number,
  stopAfter = Number.POSITIVE_INFINITY,
) {
  const stop = new AbortController();
  const begun: string[] = [];
  const now = new Map<string, PlannedDevice>();
  const most = { all: 0, host: 0, group: 0 };
  await eachDevice(devices, workers, stop.signal, async (one) => {
    begun.push(one.name);
    now.set(one.name, one);
    const together = [...now.values()];
    most.all = Math.max(most.all, together.length);
    most.host = Math.max(most.host, together.filter(({ host }) => host === one.host).length);
    most.group = Math.max(most.group, together.filter(({ group }) => group === one.group).length);
    if (begun.length === stopAfter) stop.abort();
    await new Promise((resolve) => setImmediate(resolve));
    now.delete(one.name);
  });
  expect(now.size).toBe(0);
  return { begun, most };
}

describe('working through devices', () => {
  const ten = Array.from({ length: 10 }, (_, index) => device(`fw${index}`));

  it('does all of them, with as many at once as there are workers', async () => {
    const { begun, most } = await watched(ten, 3);
    expect(begun).toEqual(ten.map(({ name }) => name));
    expect(most.all).toBe(3);
  });

  it('never has two sessions to one address, whatever the names', async () => {
    const twins = [device('a', { host: 'box' }), device('b', { host: 'BOX' }), device('c')];
    const { begun, most } = await watched(twins, 3);
    expect(begun).toEqual(['a', 'c', 'b']);
    expect(most.all).toBe(2);
  });

  it('keeps to the limit of a group', async () => {
    const group = Array.from({ length: 5 }, (_, index) =>
      device(`hq${index}`, { group: 'hq', maxSessions: 2 }),
    );
    const { begun, most } = await watched(group, 5);
    expect(begun).toHaveLength(5);
    expect(most.group).toBe(2);
  });

  it('begins nothing after an abort, and ends what it began', async () => {
    const { begun } = await watched(ten, 2, 4);
    expect(begun).toHaveLength(4);
  });
});
