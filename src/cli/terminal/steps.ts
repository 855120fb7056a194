import { clip } from '../../core/display.ts';
import type { MoveStep } from '../services.ts';
import type { Sink } from '../world.ts';

/** One line at the bottom of a terminal that says which step is under way. */
export interface Steps {
  readonly show: (step: MoveStep) => void;
  /** Removes the line. */
  readonly end: () => void;
}

/** Draws on `sink` a hundred times a step at most; draws nothing where it is not a terminal. */
export function createSteps(sink: Sink): Steps {
  if (sink.isTTY !== true) return { show: () => {}, end: () => {} };
  let drawn = '';
  return {
    show({ step, done, total }) {
      const line = total === 0 ? `${step} …` : `${step}: ${Math.floor((100 * done) / total)} % of ${total}`;
      if (line === drawn) return;
      sink.write(`\r${clip(line, (sink.columns ?? 80) - 1)}\x1b[K`);
      drawn = line;
    },
    end() {
      if (drawn !== '') sink.write('\r\x1b[K');
      drawn = '';
    },
  };
}
