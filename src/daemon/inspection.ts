import { describe } from '../core/catalogue.ts';
import { failureOf } from '../core/errors.ts';
import type { Context, State } from './services/context.ts';

/** Every object of the history is read once in this time; sooner where something was wrong with it. */
const everyMs = 7 * 24 * 3_600_000;

/** Reads the history through where it is time, and logs what is wrong with it. The state lock is held. Never rejects. */
export async function inspectInTime(context: Context, { repository }: State): Promise<void> {
  const log = await context.log();
  const nowMs = context.clock.nowMs();
  const before = await repository.inspected();
  const isFresh =
    before !== null && before.problems === 0 && Math.abs(nowMs - before.atMs) < everyMs - everyMs / 14;
  if (isFresh) return;
  try {
    const { problems, lostPaths } = await repository.inspect(nowMs);
    if (problems.length === 0) return;
    log.warn('the repository is damaged', {
      ...{ problems: problems.length, first: problems.slice(0, 5), lost: lostPaths.slice(0, 20) },
      todo: 'look for disk errors in the log of the system; what is lost on main comes back with the next backup of its device, and the rest from a clone: docs/runbooks/ConfigBackupRepositoryUnverified.md',
    });
  } catch (error) {
    const { code, message, todo } = describe(failureOf(error));
    log.warn('the repository could not be looked through', { code, error: message, todo });
  }
}
