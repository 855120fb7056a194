import { parentPort } from 'node:worker_threads';
import { loadDrivers } from '../../drivers/registry.ts';
import { diffText } from '../../pipeline/diff.ts';

/** One question of `diff.ts`. */
export interface Question {
  readonly platform: string;
  readonly before: string;
  readonly after: string;
  /** Unchanged lines to show around a change. */
  readonly context: number;
}

parentPort?.on('message', async ({ platform, before, after, context }: Question) => {
  const driver = (await loadDrivers()).get(platform);
  if (driver === undefined) throw new Error(`there is no driver for platform ${platform}`);
  parentPort?.postMessage(
    diffText(before, after, driver.outline(before), driver.outline(after), { context }),
  );
});
