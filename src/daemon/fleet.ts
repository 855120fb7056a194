import type { PlannedDevice } from '../inventory/precedence.ts';

/**
 * Works through devices with at most `workers` at once (and no more of a group than its `max_sessions`),
 * in the order given, and never two of the same address: a device bears one session at a time, and two
 * names may lead to one box. After an abort nothing new is begun. Resolves when all that was begun is
 * done; `work` must not reject.
 */
export async function eachDevice(
  devices: readonly PlannedDevice[],
  workers: number,
  signal: AbortSignal,
  work: (device: PlannedDevice) => Promise<void>,
): Promise<void> {
  const waiting = [...devices];
  const busy = new Set<string>();
  const groups = new Map<string, number>();
  const running = new Set<Promise<void>>();

  const begin = (device: PlannedDevice): void => {
    const address = addressOf(device);
    busy.add(address);
    groups.set(device.group, (groups.get(device.group) ?? 0) + 1);
    const job: Promise<void> = work(device).finally(() => {
      busy.delete(address);
      groups.set(device.group, (groups.get(device.group) ?? 1) - 1);
      running.delete(job);
    });
    running.add(job);
  };

  while (waiting.length > 0 && !signal.aborted) {
    for (let at = 0; at < waiting.length && running.size < workers; ) {
      const device = waiting[at] as PlannedDevice;
      const limit = device.plan.maxSessions ?? workers;
      if (busy.has(addressOf(device)) || (groups.get(device.group) ?? 0) >= limit) at += 1;
      else {
        waiting.splice(at, 1);
        begin(device);
      }
    }
    await Promise.race(running);
  }
  await Promise.all(running);
}

function addressOf({ host, port }: PlannedDevice): string {
  return `${host.toLowerCase()}:${port}`;
}
