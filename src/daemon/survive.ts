import type { Clock } from '../core/clock.ts';
import type { Log } from './log.ts';

/** The same exception is told again after this time: one that comes at every write must not fill the log. */
const tellAgainMs = 60_000;
const remembered = 100;

/**
 * An exception outside of every run, such as one in a library's handler of a packet, is logged with its
 * stack and ends nothing: one device must not be able to stop the backups of all the others. What is kept
 * does not depend on memory: rows and commits are whole or absent, and a run that lost its thread ends by
 * its own time limits. Disposing it restores what Node does by itself, which is to end the process.
 */
export function surviveUnexpected(log: Log, clock: Clock): Disposable {
  const told = new Map<string, number>();
  const tell = (thrown: unknown): void => {
    const what = String(thrown);
    const nowMs = clock.monotonicMs();
    if (nowMs < (told.get(what) ?? Number.NEGATIVE_INFINITY) + tellAgainMs) return;
    if (told.size >= remembered) told.clear();
    told.set(what, nowMs);
    log.unexpected('unexpected exception', thrown);
  };
  // A rejection that nobody awaits comes here too, as long as nobody listens for those.
  process.on('uncaughtException', tell);
  return {
    [Symbol.dispose]() {
      process.off('uncaughtException', tell);
    },
  };
}
