import { setImmediate } from 'node:timers/promises';

/**
 * Work in steps: it yields where others may have their turn. A text of fifty thousand lines takes longer as a whole than
 * the event loop may be held up.
 */
export type Steps<Result> = Generator<void, Result, void>;

/** All of it at once. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** With a turn for everybody else after each step. */
export async function inTurns<Result>(steps: Steps<Result>): Promise<Result> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await setImmediate();
  }
}
