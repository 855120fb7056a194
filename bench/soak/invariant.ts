import { execFileSync } from 'node:child_process';
import { DatabaseSync } from 'node:sqlite';
import { runCommand } from '../scale/program.ts';
import type { Workplace } from '../scale/workplace.ts';

/** What the ledger came to. */
export interface Ledger {
  readonly outcomes: { readonly [outcome: string]: number };
  /** Sentences about what does not hold; empty: all of it does. */
  readonly broken: readonly string[];
}

/**
 * Looks whether every slot has one end, every changed run one commit, and the witness finds nothing. `steady`: devices
 * that were there all the time, with their slots a day; no daemon runs.
 */
export async function lookThrough(
  place: Workplace,
  steady: ReadonlyMap<string, number>,
  slotsFrom: number,
  slotsUntil: number,
): Promise<Ledger> {
  const rows = new DatabaseSync(place.ledger, { readOnly: true });
  const number = (sql: string, ...given: (string | number)[]): number =>
    Number(rows.prepare(sql).get(...given)?.n ?? 0);
  const broken: string[] = [];
  const expect = (holds: boolean, sentence: string): void => {
    if (!holds) broken.push(sentence);
  };
  try {
    const open = number('SELECT count(*) AS n FROM slot WHERE state IS NULL');
    expect(open === 0, `${open} slots have no end`);
    const running = number("SELECT count(*) AS n FROM run WHERE state = 'running'");
    expect(running === 0, `${running} runs are still running`);
    const days = Math.round((slotsUntil - slotsFrom) / 86_400_000);
    let wrong = 0;
    for (const [device, perDay] of steady) {
      const had = number(
        'SELECT sum(count) AS n FROM slot JOIN device ON device.id = slot.device WHERE device.name = ? AND due_at_ms BETWEEN ? AND ?',
        ...[device, slotsFrom, slotsUntil],
      );
      if (had !== days * perDay) wrong += 1;
    }
    expect(wrong === 0, `${wrong} of ${steady.size} devices have more or fewer slots than fell due`);

    const changed = number("SELECT count(*) AS n FROM run WHERE state = 'changed'");
    const commits = number("SELECT count(DISTINCT commit_id) AS n FROM run WHERE state = 'changed'");
    expect(changed === commits, `${changed} runs changed something, in ${commits} commits`);
    const versions = number('SELECT count(DISTINCT commit_id) AS n FROM version');
    expect(versions === commits, `${commits} commits are ${versions} versions`);
    const log = execFileSync(
      'git',
      ['--git-dir', place.repository, 'log', '--format=%(trailers:key=Run-Id,valueonly)', 'main'],
      { encoding: 'utf8', maxBuffer: 1024 ** 3 },
    );
    const ids = log.split('\n').filter((line) => line !== '');
    expect(new Set(ids).size === ids.length, 'a run has two commits');
    expect(
      ids.length === changed,
      `${changed} runs changed something, git has ${ids.length} commits of runs`,
    );

    const outcomes: { [outcome: string]: number } = {};
    const grouped = 'SELECT state, sum(count) AS n FROM slot GROUP BY state ORDER BY n DESC';
    for (const { state, n } of rows.prepare(grouped).all()) outcomes[String(state)] = Number(n);
    const witness = await runCommand(place, ['verify']);
    expect(witness.code === 0, `the witness found something: ${witness.stdout.slice(0, 2_000)}`);
    return { outcomes, broken };
  } finally {
    rows.close();
  }
}
