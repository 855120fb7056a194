import { BackupError } from '../core/errors.ts';
import type { Entry } from './entry.ts';
import type { Sessions } from './sessions.ts';

/** A session to a device that is no run, from its place in the queue to its end. */
export interface Visit {
  readonly entry: Entry;
  /** Of whoever asked for it. */
  readonly signal: AbortSignal;
  /** Its turn has come. `over` is called when the session has ended. */
  begin(sessions: Sessions, over: () => void): void;
  /** Ends the session where it is under way. */
  abort(): void;
  /** It is not to come to its turn. */
  refuse(): void;
}

/** A visit that waits, and what comes of it: what `work` gives, or BackupError `run.interrupted`. */
export function visitTo<Answer>(
  entry: Entry,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Answer>,
): { readonly visit: Visit; readonly answer: Promise<Answer> } {
  const { promise: answer, resolve, reject } = Promise.withResolvers<Answer>();
  const stop = new AbortController();
  const visit: Visit = {
    entry,
    signal,
    begin(sessions, over) {
      sessions.begin(entry);
      entry.visited = true;
      // Also what it throws at once.
      void (async () => work(AbortSignal.any([signal, stop.signal])))()
        .then(resolve, reject)
        .finally(() => {
          sessions.end(entry);
          entry.visited = false;
          entry.wake();
          over();
        });
    },
    abort: () => stop.abort(),
    refuse: () => reject(new BackupError('run.interrupted', { by: 'signal' })),
  };
  return { visit, answer };
}
