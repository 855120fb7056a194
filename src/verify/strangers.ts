import { counted, instant } from '../core/units.ts';
import type { Evidence } from '../ledger/evidence.ts';
import type { Commit, Commits } from './commits.ts';
import type { Findings } from './finding.ts';
import type { Notes } from './notes.ts';

/** Commits (oldest first) that no record names: of somebody else, or of a success that the ledger does not have. */
export function reportStrangers(
  commits: readonly Commit[],
  evidence: Evidence,
  findings: Findings,
  notes: Notes,
): void {
  let waiting: Commit[] = [];
  const report = (): void => {
    for (const commit of waiting) reportStranger(commit, evidence, findings, notes);
    waiting = [];
  };
  for (const commit of commits) {
    if (commit.named === 'ours') {
      report();
      continue;
    }
    waiting.push(commit);
    if (commit.named !== 'foreign') continue;
    // The chain names the newest of those that it found.
    const [first] = waiting;
    const some =
      waiting.length === 1
        ? `commit ${commit.commit}`
        : `${counted(waiting.length, 'commit')} from ${first?.commit} to ${commit.commit}`;
    notes.add(`${some} on main: made by somebody else; the chain recorded it`);
    waiting = [];
  }
  report();
}

function reportStranger(
  { commit, runId, isOurs, atMs }: Commit,
  evidence: Evidence,
  findings: Findings,
  notes: Notes,
): void {
  const where = `commit ${commit}`;
  const run = runId === '' ? null : evidence.run(runId);
  if (run?.state === 'running') {
    notes.add(`${where} is of run ${runId}, which has not ended yet`);
  } else if (runId === '') {
    const by = isOurs ? 'bears our name' : 'was made by somebody else';
    findings.add('commit.unknown', where, `${by}, and no record tells of it`, atMs);
  } else if (run === null) {
    findings.add(
      'commit.unknown',
      where,
      `says that it is of run ${runId}, which the ledger does not know`,
      atMs,
    );
  } else if (isOurs && run.state === 'failed' && String(run.columns.error).startsWith('store.')) {
    // git moves main although a flush failed. Nobody was told of a success, and the reading is stored once more.
    notes.add(`${where} is of run ${runId}, which failed at the store before it was acknowledged`);
  } else if (run.commit === null) {
    const what = `says that it is of run ${runId}, which ended ${run.state}`;
    findings.add('commit.without-success', where, what, atMs);
  } else {
    const what = `says that it is of run ${runId}, whose commit is ${run.commit}`;
    findings.add('commit.unknown', where, what, atMs);
  }
}

/** Every commit (oldest first) vouches for the chain as it was then; `anchorOf`: the record that it vouches for. */
export function reportAnchors(
  commits: readonly Commit[],
  anchorOf: Commits['anchorOf'],
  findings: Findings,
): void {
  let last: { readonly n: number; readonly commit: Commit } | null = null;
  for (const commit of commits) {
    if (commit.head === '') continue;
    const where = `commit ${commit.commit}`;
    const n = anchorOf(commit);
    if (n === null) {
      const vouched =
        last === null
          ? 'no older commit vouches for any'
          : `the last that a commit vouches for is record ${last.n} (commit ${last.commit.commit}, ${instant(last.commit.atMs)})`;
      findings.add(
        'anchor.lost',
        where,
        `vouches for a record with the hash ${commit.head}, and there is none: the chain was cut short or written anew; ${vouched}`,
        commit.atMs,
        commit.head,
      );
    } else if (last !== null && n < last.n) {
      findings.add(
        'anchor.order',
        where,
        `vouches for record ${n}, and the commit before it for record ${last.n}: one of them lies where it was not made`,
        commit.atMs,
      );
    } else last = { n, commit };
  }
}
