import { worse } from '../core/device.ts';
import { clip } from '../core/display.ts';
import type { Restorable } from '../core/errors.ts';

/** What a copy is worth, and why. */
export interface Worth {
  readonly is: Restorable;
  /** Null where there is nothing to say. */
  readonly because: string | null;
}

/** Reasons in one line: enough to see what happened. */
const mostReasons = 5;
/** Of the reasons together: they stand in a table, a commit message and a row. */
const longestReason = 500;

/** The worst of all, with every different reason that makes it so, in their order; `yes` where there is none. */
export function worstOf(statements: readonly Worth[]): Worth {
  const is = statements.map((statement) => statement.is).reduce(worse, 'yes');
  const reasons = new Set(
    statements.flatMap((statement) =>
      statement.is === is && statement.because !== null ? [statement.because] : [],
    ),
  );
  const named = [...reasons].slice(0, mostReasons);
  const more = reasons.size - named.length;
  const because = [...named, ...(more === 0 ? [] : [`and ${more} more`])].join('; ');
  return { is, because: because === '' ? null : clip(because, longestReason) };
}
