import type { Clock } from './clock.ts';
import { BackupError } from './errors.ts';

/** Waits until `ms` have passed. Throws BackupError `run.interrupted` once the signal is aborted. */
export function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const interrupted = () => {
      timer.cancel();
      reject(new BackupError('run.interrupted', { by: 'signal' }));
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', interrupted);
      resolve();
    });
    if (signal.aborted) interrupted();
    else signal.addEventListener('abort', interrupted, { once: true });
  });
}
