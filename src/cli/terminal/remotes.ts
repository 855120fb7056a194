import { pushRemedies, type RemoteStatus } from '../../core/remotes.ts';
import { counted, instant } from '../../core/units.ts';

/** Where a remote stands, as lines for a person; what is wrong comes with what to do. */
export function remoteLines({ name, unpushed, lastSuccessMs, failure }: RemoteStatus): readonly string[] {
  if (failure !== null) {
    const behind =
      unpushed === null || unpushed === 0 ? 'not up to date' : `${counted(unpushed, 'commit')} not pushed`;
    return [`remote ${name}: ${behind}: ${failure.problem}`, `  → ${pushRemedies[failure.reason]}`];
  }
  if (lastSuccessMs === null) return [`remote ${name}: nothing pushed yet`];
  const behind =
    unpushed === null || unpushed === 0 ? 'up to date' : `${counted(unpushed, 'commit')} on the way`;
  return [`remote ${name}: ${behind}, last push ${instant(lastSuccessMs)}`];
}
