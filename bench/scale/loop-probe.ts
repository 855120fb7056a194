/** Loaded into the daemon before it: tells the bench how long its event loop was held up, and what CPU it used. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Probed } from './program.ts';

const everyMs = 5;
const delays = monitorEventLoopDelay({ resolution: everyMs });
delays.enable();

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  // A turn that ends now is in the next answer.
  const answer: Probed = {
    longestMs: Math.max(0, delays.max / 1e6 - everyMs),
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
  };
  delays.reset();
  process.send?.(answer);
});
// The bench listens for as long as it wants; the daemon ends when it is told to.
process.channel?.unref();
