import type { Device } from '../core/device.ts';

/**
 * Works through devices with at most `workers` at once, in the order given, and never two of the same
 * address: a device bears one session at a time, and two names may lead to one box. Resolves when all
 * are done; `work` must not reject.
 */
export async function eachDevice(
  devices: readonly Device[],
  workers: number,
  work: (device: Device) => Promise<void>,
): Promise<void> {
  const waiting = [...devices];
  const busy = new Set<string>();
  const running = new Set<Promise<void>>();
  while (waiting.length > 0 || running.size > 0) {
    for (let at = 0; at < waiting.length && running.size < workers; ) {
      const device = waiting[at] as Device;
      const address = `${device.host.toLowerCase()}:${device.port}`;
      if (busy.has(address)) {
        at += 1;
        continue;
      }
      waiting.splice(at, 1);
      busy.add(address);
      const job: Promise<void> = work(device).finally(() => {
        busy.delete(address);
        running.delete(job);
      });
      running.add(job);
    }
    if (running.size > 0) await Promise.race(running);
  }
}
