import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../src/core/errors.ts';
import { acceptBreak } from '../../src/daemon/services/verify.ts';
import { forget, history, type State } from './support.ts';

let state: State;

beforeEach(async () => {
  state = await history();
});

afterEach(() => state[Symbol.dispose]());
afterAll(forget);

/** The number of the record that tells of the end of this run. */
function recordOf(runId: string): number {
  const rows = state.rows<{ n: number }>(
    `SELECT n FROM chain WHERE category = 'run' AND record ->> '$.run' = '${runId}'`,
  );
  return rows[0]?.n ?? 0;
}

function runs(where = '1'): { id: string; commit_id: string; n: number }[] {
  return state.rows(`SELECT id, commit_id, n FROM run WHERE ${where} ORDER BY n`);
}

const edit = (n: number, path: string, value: string): string =>
  `UPDATE chain SET record = json_set(record, '${path}', ${value}) WHERE n = ${n}`;

describe('a state that nobody touched', () => {
  it('is clean, and is told in figures', async () => {
    const verified = await state.verify();
    expect(verified.findings).toEqual([]);
    expect(verified).toMatchObject({ commits: 5, sealedFiles: 6, notes: [], accepted: [] });
    expect(verified.main).toBe(state.main().at(-1));
    expect(verified.chain).toEqual({ length: state.ledger.chainLength(), head: state.ledger.chainHead() });
  });

  it('stays clean over moves, acceptances, missed slots, retention and a retirement', async () => {
    const { lives, slots, retention } = state.ledger;
    state.register({ name: 'fw1', group: 'hq' });
    await state.move();
    await state.read({ name: 'fw1', group: 'hq', texts: { 'running-config': 'hostname fw1\nday 4\n' } });
    slots.write([
      { kind: 'record', deviceId: 'fw1', slotMs: state.nowMs, deadlineMs: state.nowMs + 1 },
      {
        ...{ kind: 'close', deviceId: 'fw1', slotMs: state.nowMs, deadlineMs: state.nowMs + 1 },
        ...{ detectedAtMs: state.nowMs + 2, end: { state: 'missed', cause: 'paused' } },
      },
    ]);
    retention.forgetBefore(state.nowMs - 1, [], state.nowMs);
    for (const digest of retention.unreferenced()) {
      rmSync(state.sealedFile(digest));
      retention.removed([digest]);
    }
    lives.retire({ deviceId: 'fw2', sinceMs: state.nowMs, atMs: state.nowMs, commit: null });
    expect((await state.verify()).findings).toEqual([]);
  });

  it('is clean while a run is under way, also between its commit and its record', async () => {
    const { runId } = await state.read({
      name: 'fw1',
      texts: { 'running-config': 'hostname fw1\nday 4\n' },
      unclosed: true,
    });
    const { findings, notes } = await state.verify();
    expect(findings).toEqual([]);
    expect(notes).toEqual([expect.stringContaining(`of run ${runId}, which has not ended yet`)]);
  });
});

describe('a collector at work', () => {
  it('is clean however often it is looked at meanwhile', { timeout: 60_000 }, async () => {
    let isWorking = true;
    const work = (async () => {
      for (let n = 0; n < 15; n++) {
        state.nowMs += 60_000;
        await state.read({ name: `fw${n % 3}`, texts: { 'running-config': `hostname fw\ntext ${n}\n` } });
        state.register({ name: 'fw1', group: n % 2 === 0 ? 'hq' : 'branch' });
        await state.move();
      }
      isWorking = false;
    })();
    let times = 0;
    for (; isWorking; times++) expect((await state.verify()).findings).toEqual([]);
    await work;
    expect(times).toBeGreaterThan(1);
  });
});

describe('the audit chain', () => {
  it('a record that was edited is named', async () => {
    state.sql(edit(4, '$.at_ms', '1'));
    expect(await state.found()).toContain('chain.changed record 4');
    expect((await state.found()).filter((one) => one.startsWith('chain.'))).toHaveLength(1);
  });

  it('a hash that was edited is named', async () => {
    state.sql(`UPDATE chain SET hash = x'${'00'.repeat(32)}' WHERE n = 4`);
    expect((await state.found()).filter((one) => one.startsWith('chain.'))).toEqual([
      'chain.changed record 4',
    ]);
  });

  it('a record that was deleted is named, also where the others are numbered anew', async () => {
    state.sql('DELETE FROM chain WHERE n = 4');
    expect(await state.found()).toContain('chain.gap record 4');
    state.sql('UPDATE chain SET n = n - 1 WHERE n > 4');
    const found = await state.found();
    expect(found).toContain('chain.changed record 4');
    // What it told of stands in the tables still.
    expect(found.filter((one) => one.startsWith('row.unrecorded run '))).toHaveLength(1);
  });

  it('several that were deleted are named', async () => {
    state.sql('DELETE FROM chain WHERE n IN (4, 5, 6)');
    expect(await state.found()).toContain('chain.gap records 4 to 6');
  });

  it('two that changed places are named', async () => {
    state.sql(
      'UPDATE chain SET n = -1 WHERE n = 4',
      'UPDATE chain SET n = 4 WHERE n = 5',
      'UPDATE chain SET n = 5 WHERE n = -1',
    );
    expect((await state.found()).filter((one) => one.startsWith('chain.'))).toEqual([
      'chain.order records 4 and 5',
    ]);
  });

  it('one that was put in between is named', async () => {
    state.sql(
      'UPDATE chain SET n = -n WHERE n >= 4',
      'UPDATE chain SET n = 1 - n WHERE n < 0',
      `INSERT INTO chain (n, record, hash) VALUES (4, '{"at_ms":1,"category":"reload"}', x'${'00'.repeat(32)}')`,
    );
    expect((await state.found()).filter((one) => one.startsWith('chain.'))).toEqual([
      'chain.changed record 4',
    ]);
  });

  it('a chain whose end was cut off is seen by what the tables hold and by the newest commits', async () => {
    const length = state.ledger.chainLength();
    const cut = recordOf(runs()[3]?.id ?? '');
    state.sql(`DELETE FROM chain WHERE n >= ${cut}`);
    const { findings, chain } = await state.verify();
    expect(chain.length).toBe(cut - 1);
    expect(length).toBeGreaterThan(cut);
    const lost = findings.filter(({ kind }) => kind === 'anchor.lost');
    expect(lost).toHaveLength(1);
    expect(lost[0]?.what).toMatch(
      /cut short or written anew; the last that a commit vouches for is record \d+/,
    );
    for (const { id } of runs().slice(3))
      expect(findings.map(({ kind, where }) => `${kind} ${where}`)).toContain(`row.unrecorded run ${id}`);
  });

  it('a chain that was cut off with the rows of the tables is seen by the commits', async () => {
    const last = runs()[4];
    state.sql(
      `DELETE FROM chain WHERE n >= ${recordOf(last?.id ?? '')}`,
      `DELETE FROM version WHERE run_id IN (SELECT id FROM run WHERE n >= 5)`,
      `DELETE FROM sealed WHERE run_id IN (SELECT id FROM run WHERE n >= 5)`,
      'DELETE FROM run WHERE n >= 5',
    );
    expect(await state.found()).toContain(`commit.unknown commit ${last?.commit_id}`);
  });

  it('a chain that was written anew, every hash right, is seen by the commits', async () => {
    state.sql(edit(1, '$.at_ms', '1'));
    state.rehash();
    const found = await state.found();
    expect(found.filter((one) => one.startsWith('chain.'))).toEqual([]);
    expect(found.filter((one) => one.startsWith('anchor.lost commit '))).toHaveLength(5);
  });

  it('what was told outside is held against it', async () => {
    const anchor = { record: state.ledger.chainLength(), hash: state.ledger.chainHead() };
    expect(await state.found(anchor)).toEqual([]);
    state.sql(`DELETE FROM chain WHERE n = ${anchor.record}`);
    expect(await state.found(anchor)).toContain(`anchor.lost record ${anchor.record}`);
    expect(await state.found({ record: 2, hash: 'a'.repeat(64) })).toContain('anchor.lost record 2');
  });
});

describe('the tables', () => {
  const row = (id = 0) => runs()[id] ?? { id: '', commit_id: '', n: 0 };

  it('an end state that was rewritten is named, with the record that says otherwise', async () => {
    const { id } = row(1);
    state.sql(
      `UPDATE run SET state = 'failed', error_code = 'connect.timeout', error_detail = '{}' WHERE id = '${id}'`,
    );
    const { findings } = await state.verify();
    expect(findings.map(({ kind, where }) => `${kind} ${where}`)).toEqual([`row.changed run ${id}`]);
    expect(findings[0]?.what).toContain(`record ${recordOf(id)}`);
    expect(findings[0]?.what).toContain('state: failed in the ledger, changed recorded');
  });

  it('a success without its record is named', async () => {
    state.sql(
      `INSERT INTO run (id, device, trigger, started_at_ms, ended_at_ms, state, commit_id) VALUES ('made-up', 'fw1', 'manual', 1, 2, 'unchanged', '${row().commit_id}')`,
    );
    expect(await state.found()).toEqual(['row.unrecorded run made-up']);
  });

  it('an acceptance that nobody recorded is named', async () => {
    const { id } = row(1);
    state.sql(`UPDATE run SET accepted_at_ms = 5, accepted_by = 'mallory' WHERE id = '${id}'`);
    expect(await state.found()).toContain(`row.unrecorded run ${id}`);
  });

  it('a row that was deleted is named', async () => {
    const { id } = row(1);
    state.sql(`DELETE FROM version WHERE run_id = '${id}'`);
    expect(await state.found()).toEqual([`row.gone version of running-config of fw2 by run ${id}`]);
    state.sql(`DELETE FROM run WHERE id = '${id}'`);
    expect(await state.found()).toContain(`row.gone run ${id}`);
  });

  it('a version that leads elsewhere, or was made up, is named', async () => {
    const { id } = row(1);
    state.sql(`UPDATE version SET path = 'default/fw9/running-config.cfg' WHERE run_id = '${id}'`);
    expect(await state.found()).toEqual([`row.changed version of running-config of fw2 by run ${id}`]);
    state.sql(
      `INSERT INTO version (device, artefact, commit_id, path, run_id, at_ms) VALUES ('fw1', 'other', '${row().commit_id}', 'x', '${row().id}', 1)`,
    );
    expect(await state.found()).toContain(`row.unrecorded version of other of fw1 by run ${row().id}`);
  });

  it('slots: an end that was rewritten, deleted or made up is named', async () => {
    const slotMs = Date.UTC(2026, 2, 3, 2);
    const close = (deviceId: string) =>
      state.ledger.slots.write([
        { kind: 'record', deviceId, slotMs, deadlineMs: slotMs + 1 },
        {
          ...{ kind: 'close', deviceId, slotMs, deadlineMs: slotMs + 1, detectedAtMs: slotMs + 2 },
          end: { state: 'missed', cause: 'overload' },
        },
      ]);
    close('fw1');
    close('fw2');
    expect(await state.found()).toEqual([]);
    state.sql(`UPDATE slot SET state = 'skipped', cause = 'disabled' WHERE device = 'fw1'`);
    expect(await state.found()).toEqual(['row.changed slot 2026-03-03T02:00:00Z of fw1']);
    state.sql(`DELETE FROM slot WHERE device = 'fw1'`);
    expect(await state.found()).toEqual(['row.gone slot 2026-03-03T02:00:00Z of fw1']);
    state.sql(
      `INSERT INTO slot (device, due_at_ms, last_ms, deadline_ms, state, cause, detected_at_ms) VALUES ('fw1', 0, 0, 1, 'skipped', 'disabled', 2)`,
    );
    expect(await state.found()).toContain('row.unrecorded slot 1970-01-01T00:00:00Z of fw1');
  });

  it('a device that looks better than it is, is named', async () => {
    state.sql(`UPDATE device SET last_success_ms = last_success_ms + 86400000 WHERE id = 'fw2'`);
    expect(await state.found()).toEqual(['row.changed device fw2']);
  });
});

describe('the history', () => {
  /** Writes every commit from the `from`th on anew, with a change in its text, and moves main. */
  function rewrite(from: number): string[] {
    const all = state.main();
    let parent = all[from - 1] ?? '';
    for (const old of all.slice(from)) {
      const message = state.git('log', '-1', '--format=%B', old);
      const tree = state.git('rev-parse', `${old}^{tree}`);
      const dates = { GIT_COMMITTER_DATE: '1700000000 +0000', GIT_AUTHOR_DATE: '1700000000 +0000' };
      parent = state.gitWith(
        dates,
        'commit-tree',
        tree,
        ...(parent === '' ? [] : ['-p', parent]),
        '-m',
        message,
      );
    }
    state.git('update-ref', 'refs/heads/main', parent);
    return all.slice(from);
  }

  it('that was rewritten names every commit that is gone, with its run and record', async () => {
    const gone = rewrite(2);
    const { findings } = await state.verify();
    const named = findings.map(({ kind, where }) => `${kind} ${where}`);
    for (const commit of gone) expect(named).toContain(`commit.gone commit ${commit}`);
    expect(named.filter((one) => one.startsWith('commit.unknown'))).toHaveLength(3);
    expect(named).toContain('git.went-back main');
    expect(findings.find(({ where }) => where === `commit ${gone[0]}`)?.what).toMatch(
      /run .+ of fw1, record \d+/,
    );
  });

  it('whose newest commit was amended names it', async () => {
    const [gone = ''] = rewrite(4);
    expect(await state.found()).toContain(`commit.gone commit ${gone}`);
  });

  it('that was cut short names what is gone', async () => {
    const all = state.main();
    state.git('update-ref', 'refs/heads/main', all[2] ?? '');
    expect((await state.found()).filter((one) => one.startsWith('commit.gone'))).toEqual(
      all
        .slice(3)
        .map((commit) => `commit.gone commit ${commit}`)
        .sort(),
    );
  });

  it('that is gone altogether names all of it', async () => {
    state.git('update-ref', '-d', 'refs/heads/main');
    expect((await state.found()).filter((one) => one.startsWith('commit.gone'))).toHaveLength(5);
  });

  it('a rewritten one that the next commit kept aside is told of still', async () => {
    const gone = rewrite(3);
    await state.read({ name: 'fw1', texts: { 'running-config': 'hostname fw1\nday 9\n' } });
    const { findings, notes } = await state.verify();
    expect(findings.map(({ kind, where }) => `${kind} ${where}`)).toEqual(
      gone.map((commit) => `commit.gone commit ${commit}`),
    );
    expect(findings[0]?.what).toContain('refs/roundsman/replaced keeps it');
    expect(notes).toEqual([
      expect.stringMatching(/^2 commits .* made by somebody else; the chain recorded it$/),
    ]);
  });

  it('a commit of somebody else is a finding until the chain has recorded it', async () => {
    const tree = state.git('rev-parse', 'main^{tree}');
    const strange = state.git('commit-tree', tree, '-p', 'main', '-m', 'mine');
    state.git('update-ref', 'refs/heads/main', strange);
    expect(await state.found()).toEqual([`commit.unknown commit ${strange}`]);
    await state.read({ name: 'fw1', texts: { 'running-config': 'hostname fw1\nday 9\n' } });
    const { findings, notes } = await state.verify();
    expect(findings).toEqual([]);
    expect(notes).toEqual([`commit ${strange} on main: made by somebody else; the chain recorded it`]);
  });

  it('a commit whose run ended otherwise is named: a commit without success', async () => {
    const runId = failedRun({ code: 'connect.unresolved', detail: { host: 'x' } });
    const commit = commitOf(runId);
    const { findings } = await state.verify();
    expect(findings.map(({ kind, where }) => `${kind} ${where}`)).toEqual([
      `commit.without-success commit ${commit}`,
    ]);
    expect(findings[0]?.what).toContain('which ended failed');
  });

  it('a commit that git made although its disk failed is told of, and is no finding', async () => {
    const commit = commitOf(failedRun({ code: 'store.io', detail: { path: '/x', errno: 'EIO' } }));
    const { findings, notes } = await state.verify();
    expect(findings).toEqual([]);
    expect(notes.join()).toContain(`commit ${commit} is of run`);
  });

  function failedRun(failure: Failure): string {
    state.register({ name: 'fw1' });
    const [runId, atMs] = ['20260304T020000Z-00000001', state.nowMs];
    const opened = { runId, deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: atMs } as const;
    state.ledger.openRun(opened);
    const nothing = { commit: null, restorable: null, restorableBecause: null, reading: null };
    state.ledger.closeRun({ runId, endedAtMs: atMs, outcome: 'failed', failure, ...nothing });
    return runId;
  }

  /** A commit of ours on main that says it is of this run. */
  function commitOf(runId: string): string {
    const tree = state.git('rev-parse', 'main^{tree}');
    const commit = state.gitWith(
      { GIT_COMMITTER_EMAIL: 'roundsman@localhost' },
      ...['commit-tree', tree, '-p', 'main', '-m', 'fw1: changed', '-m', `Run-Id: ${runId}`],
    );
    state.git('update-ref', 'refs/heads/main', commit);
    return commit;
  }

  it('a success whose commit no record made is named: a success without commit', async () => {
    const { id } = runs(`state = 'unchanged'`)[0] ?? { id: '' };
    const n = recordOf(id);
    state.sql(
      edit(n, '$.commit', `'${'a'.repeat(40)}'`),
      `UPDATE run SET commit_id = '${'a'.repeat(40)}' WHERE id = '${id}'`,
    );
    state.rehash();
    expect(await state.found()).toContain(`success.without-commit record ${n}`);
  });

  it('commits in another order are named', async () => {
    const all = state.main();
    const [a = '', b = ''] = all.slice(3);
    let parent = all[2] ?? '';
    for (const old of [b, a])
      parent = state.git(
        ...['commit-tree', state.git('rev-parse', `${old}^{tree}`), '-p', parent],
        ...['-m', state.git('log', '-1', '--format=%B', old)],
      );
    state.git('update-ref', 'refs/heads/main', parent);
    expect(await state.found()).toContain(`anchor.order commit ${parent}`);
  });

  it('an object that git shows another one for is named, and the real one is what is read', async () => {
    const blob = state.git('rev-parse', 'main:default/fw1/running-config.cfg');
    const file = join(state.dir, 'other');
    writeFileSync(file, 'hostname fw1\npermit any any\n');
    const other = state.git('hash-object', '-w', file);
    state.git('update-ref', `refs/replace/${blob}`, other);
    expect(state.git('show', 'main:default/fw1/running-config.cfg')).toContain('permit any any');
    expect(await state.found()).toEqual([`git.substituted object ${blob}`]);
  });

  it('is read in full whatever shallow marks and settings lie beside it', async () => {
    writeFileSync(join(state.dir, 'configs.git/shallow'), `${state.main()[3]}\n`);
    appendFileSync(
      join(state.dir, 'configs.git/config'),
      '[log]\n\tshowSignature = true\n[gpg]\n\tprogram = false\n',
    );
    expect(state.git('rev-list', '--count', 'main')).toBe('2');
    expect((await state.verify()).commits).toBe(5);
    expect(await state.found()).toEqual([]);
  });

  it('an object that is gone, or was written over, is named with its path', async () => {
    const pack = join(state.dir, 'configs.git/objects/pack');
    // As loose objects, so that one can be taken away.
    state.git('repack', '-a', '-d', '-q');
    renameSync(pack, join(state.dir, 'pack'));
    for (const file of readdirSync(join(state.dir, 'pack')).filter((name) => name.endsWith('.pack')))
      state.gitShell(`git unpack-objects -q < ${join(state.dir, 'pack', file)}`);
    expect(await state.found()).toEqual([]);

    const blob = state.git('rev-parse', 'main:default/fw1/running-config.cfg');
    rmSync(join(state.dir, 'configs.git/objects', blob.slice(0, 2), blob.slice(2)));
    const { findings } = await state.verify();
    expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['git.damaged']));
    expect(findings.map(({ what }) => what)).toContainEqual(
      expect.stringMatching(new RegExp(`missing blob ${blob} .*default/fw1/running-config\\.cfg`)),
    );
  });
});

describe('the sealed copies', () => {
  const digestOf = (device: string) =>
    state.rows<{ digest: string; at_ms: number }>(
      `SELECT digest, at_ms FROM sealed WHERE device = '${device}' ORDER BY n DESC LIMIT 1`,
    )[0]?.digest ?? '';

  it('one that is gone is named', async () => {
    const file = state.sealedFile(digestOf('fw1'));
    rmSync(file);
    const { findings } = await state.verify();
    expect(findings).toMatchObject([{ kind: 'sealed.gone', where: file, sinceMs: expect.any(Number) }]);
    expect(findings[0]?.what).toMatch(/^running-config of fw1 by run .+ is gone$/);
  });

  it('one that was changed by a bit is named', async () => {
    const file = state.sealedFile(digestOf('fw2'));
    const bytes = readFileSync(file);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    expect(await state.found()).toEqual([`sealed.changed ${file}`]);
  });

  it('a row that leads to another file is named', async () => {
    const other = state.seal();
    state.sql(`UPDATE sealed SET digest = '${other}' WHERE digest = '${digestOf('fw1')}'`);
    expect(await state.found()).toEqual([
      expect.stringMatching(/^row\.changed sealed copy of running-config of fw1/),
    ]);
  });

  it('one whose row was deleted with it is named, unless retention forgot it', async () => {
    const digest = digestOf('fw1');
    rmSync(state.sealedFile(digest));
    state.sql(`DELETE FROM sealed WHERE digest = '${digest}'`);
    expect(await state.found()).toEqual([
      expect.stringMatching(/^row\.gone sealed copy of running-config of fw1 by run /),
    ]);
    state.ledger.record('retention', state.nowMs, { sealed: 1, archives: 0, before_ms: state.nowMs + 1 });
    expect(await state.found()).toEqual([]);
  });

  it('an archive is held against its record and its file too', async () => {
    const runId = runs()[0]?.id ?? '';
    const digest = state.seal();
    const { archives } = state.ledger;
    const attempt = { deviceId: 'fw1', name: 'ucs', runId, attemptedAtMs: state.nowMs };
    archives.ended({ ...attempt, sealed: { digest, bytes: 200 }, failure: null });
    expect(await state.found()).toEqual([]);
    rmSync(state.sealedFile(digest));
    expect(await state.found()).toEqual([`sealed.gone ${state.sealedFile(digest)}`]);
    state.sql(`UPDATE archive SET digest = '${state.seal()}'`);
    expect(await state.found()).toEqual([`row.changed archive ucs of fw1 by run ${runId}`]);
    state.sql('DELETE FROM archive');
    expect(await state.found()).toEqual([`row.gone archive ucs of fw1 by run ${runId}`]);
    state.sql(
      `INSERT INTO archive (device, name, run_id, attempted_at_ms, digest, bytes) VALUES ('fw1', 'scf', '${runId}', 1, '${state.seal()}', 200)`,
    );
    expect(await state.found()).toContain(`row.unrecorded archive scf of fw1 by run ${runId}`);
  });

  it('a file that nothing names is noted, and is no tampering', async () => {
    const file = state.sealedFile(state.seal());
    utimesSync(file, 1_000, 1_000);
    const { findings, notes } = await state.verify();
    expect(findings).toEqual([]);
    expect(notes).toEqual([expect.stringContaining(`${file} is named by nothing in the ledger`)]);
  });
});

describe('a ledger that is damaged', () => {
  it('is a finding, not the end of the verification', async () => {
    state.ledger[Symbol.dispose]();
    const file = join(state.dir, 'ledger.db');
    const bytes = readFileSync(file);
    const [{ rootpage = 1 } = {}] = state.rows<{ rootpage: number }>(
      `SELECT rootpage FROM sqlite_schema WHERE name = 'run_by_start'`,
    );
    bytes.fill(0xff, (rootpage - 1) * 4096, rootpage * 4096);
    writeFileSync(file, bytes);
    const found = await state.found();
    expect(found).toContain('ledger.damaged ledger.db');
  });

  it('one whose end is missing is refused or a finding, never clean', async () => {
    state.ledger[Symbol.dispose]();
    const file = join(state.dir, 'ledger.db');
    truncateSync(file, readFileSync(file).length - 3 * 4096);
    const found = await state.found().catch((error: Error) => [String(error)]);
    expect(found.length).toBeGreaterThan(0);
  });
});

describe('what a person accepts', () => {
  it('is known from then on, by whom and why, and nothing else is', async () => {
    const all = state.main();
    state.git('update-ref', 'refs/heads/main', all[3] ?? '');
    expect(await state.accept('ticket 815')).toBe(2);
    const { findings, accepted } = await state.verify();
    expect(findings).toEqual([]);
    expect(accepted).toMatchObject([
      { by: 'alice', because: 'ticket 815', findings: 2, record: state.ledger.chainLength() },
    ]);

    state.git('update-ref', 'refs/heads/main', all[2] ?? '');
    expect(await state.found()).toEqual([`commit.gone commit ${all[3]}`]);
  });

  it('a record that is changed again after it was accepted is red again', async () => {
    state.sql(edit(4, '$.at_ms', '1'));
    await state.accept('a slip of the hand');
    expect(await state.found()).toEqual([]);
    state.sql(edit(4, '$.at_ms', '2'));
    expect(await state.found()).toContain('chain.changed record 4');
  });

  it('is refused where something else is found by then', async () => {
    const { fingerprint } = await state.verify();
    state.sql(edit(4, '$.at_ms', '1'));
    const accept = { because: 'x', by: 'alice', fingerprint };
    await expect(acceptBreak(state.dir, state.hands.clock, accept, state.watch)).rejects.toThrowError(
      /not what was shown any more/,
    );
  });

  it('a lost ledger that was rebuilt from the commits is red until it is accepted', async () => {
    state.lose();
    await state.rebuild();
    const found = await state.found();
    expect(found.filter((one) => one.startsWith('chain.rebuilt'))).toHaveLength(5);
    expect(found.filter((one) => one.startsWith('anchor.lost'))).toHaveLength(5);
    await state.accept('the disk of ledger.db died');
    expect(await state.found()).toEqual([]);
  });
});
