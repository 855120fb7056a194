import type { Clock, Timer } from '../../core/clock.ts';
import { clip } from '../../core/display.ts';
import { size } from '../../core/units.ts';
import type { BackupEvent } from '../services.ts';
import type { Sink } from '../world.ts';

const redrawMs = 100;
const barWidth = 20;

/** One line at the bottom of a terminal that says how far a backup is. */
export interface Progress {
  event(event: BackupEvent): void;
  /** Writes something else, with the line out of its way. */
  around(write: () => void): void;
  /** Removes the line for good. */
  end(): void;
}

/** Draws on `sink` at most ten times a second; draws nothing where it is not a terminal. */
export function createProgress(total: number, sink: Sink, clock: Clock): Progress {
  if (sink.isTTY !== true) return { event: () => {}, around: (write) => write(), end: () => {} };
  const running = new Map<string, number>();
  let done = 0;
  let doneBytes = 0;
  let drawn = '';
  let timer: Timer | null = null;
  let ended = false;

  const draw = (): void => {
    timer = null;
    const line = progressLine({ total, done, running, doneBytes }, sink.columns ?? 80);
    if (line === drawn) return;
    // One write: the old line is overwritten, then the rest of it erased, so nothing flickers.
    sink.write(`\r${line}\x1b[K`);
    drawn = line;
  };
  const later = (): void => {
    if (!ended) timer ??= clock.after(redrawMs, draw);
  };
  const erase = (): void => {
    if (drawn !== '') sink.write('\r\x1b[K');
    drawn = '';
  };
  return {
    event(event) {
      switch (event.type) {
        case 'started':
          running.set(event.device, 0);
          break;
        case 'progress':
          running.set(event.device, event.receivedBytes);
          break;
        case 'ended':
          doneBytes += running.get(event.ended.device) ?? 0;
          running.delete(event.ended.device);
          done += 1;
          break;
      }
      later();
    },
    around(write) {
      erase();
      write();
      later();
    },
    end() {
      ended = true;
      timer?.cancel();
      erase();
    },
  };
}

/** `[=====>    ] 12/50  3.1 MiB  fw1 (48.0 KiB), fw2`, at most `width - 1` characters. */
export function progressLine(
  state: {
    readonly total: number;
    readonly done: number;
    readonly doneBytes: number;
    /** Bytes received so far, by device. */
    readonly running: ReadonlyMap<string, number>;
  },
  width: number,
): string {
  const { total, done, running } = state;
  const filled = total === 0 ? barWidth : Math.floor((barWidth * done) / total);
  const bar = `${'='.repeat(filled)}${filled < barWidth ? '>' : ''}`.padEnd(barWidth);
  const bytes = [...running.values()].reduce((sum, received) => sum + received, state.doneBytes);
  const names = [...running].map(([name, received]) =>
    received === 0 ? name : `${name} (${size(received)})`,
  );
  const line = `[${bar}] ${done}/${total}  ${size(bytes)}  ${names.join(', ')}`;
  return clip(line.trimEnd(), Math.max(1, width - 1));
}
