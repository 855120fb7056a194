import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { artefactAt } from '../../src/gitstore/paths.ts';
import type { StoredCommit } from '../../src/gitstore/repository.ts';
import { verifyChain } from '../../src/ledger/audit.ts';
import { claimOf } from '../../src/pipeline/claims.ts';
import { misplaced, moveAll, retire } from '../../src/pipeline/moves.ts';
import { describeWith } from '../support/system.ts';
import { Collector } from './collector.ts';

const minute = 60_000;
const everything = { deviceIds: null, states: null, sinceMs: null, untilMs: null, limit: 100 };

describeWith('git', 'a ledger that is older than the repository', () => {
  let collector: Collector;
  beforeEach(async () => {
    collector = await new Collector().open();
  });
  afterEach(() => {
    expect(verifyChain(collector.ledger.chain()).brokenAt).toBeNull();
    collector[Symbol.dispose]();
  });

  const read = (text: string, more: Partial<Parameters<Collector['read']>[0]> = {}) =>
    collector.read({ texts: { 'running-config': text }, ...more });
  const runs = () => collector.ledger.runs(everything);

  it('learns from the commits what was read since, once, and finds nothing to do the next time', async () => {
    await read('one\n');
    const copy = collector.keepCopy();
    collector.nowMs += minute;
    const slotMs = collector.nowMs;
    const second = await read('two\n', { slotMs });
    const third = await read('one\n', { name: 'fw2', slotMs: null, trigger: 'manual' });
    const before = runs();
    const versions = collector.ledger.versions('fw1', 'running-config');
    const sealed = collector.ledger.sealed('fw1', 'running-config', second.runId);
    copy.putBack();
    expect(runs()).toHaveLength(1);
    expect(await collector.rebuild()).toEqual({ readings: 2, moves: 0, retirements: 0, refused: 0 });

    expect(collector.ledger.run(second.runId)).toMatchObject({
      ...{ state: 'changed', slotMs, trigger: 'schedule', restorable: 'yes' },
      startedAtMs: before.find(({ runId }) => runId === second.runId)?.startedAtMs,
      commit: (second.ended as { commit: string }).commit,
    });
    expect(collector.ledger.versions('fw1', 'running-config')).toEqual(
      versions.map((version, index) => (index === 0 ? { ...version, bytes: null } : version)),
    );
    expect(collector.ledger.sealed('fw1', 'running-config', second.runId)).toEqual(sealed);
    expect(collector.ledger.device('fw2')).toMatchObject({ platform: 'cisco_asa', serials: ['S1'] });
    expect(collector.ledger.run(third.runId)?.device).toBe('fw2');
    const records = [...collector.ledger.chain()].map(
      ({ record }) => JSON.parse(record) as { category: string },
    );
    expect(records.filter(({ category }) => category === 'rebuilt')).toHaveLength(2);
    // The slot is not written down by it: the schedule finds the run that serves it.
    expect(collector.ledger.slots.historiesOf(['fw1'], collector.nowMs)[0]?.runs.at(-1)).toMatchObject({
      ...{ trigger: 'schedule', slotMs, outcome: 'changed', servedMs: null },
    });

    const head = collector.ledger.chainHead();
    expect(await collector.rebuild()).toEqual({ readings: 0, moves: 0, retirements: 0, refused: 0 });
    expect(collector.ledger.chainHead()).toBe(head);
    expect((await read('two\n')).ended.outcome).toBe('unchanged');
  });

  it('closes a run that was under way when the copy was made', async () => {
    const copyOf = async () => {
      const { runId } = await read('one\n', { unclosed: true });
      return runId;
    };
    const runId = await copyOf();
    expect(collector.ledger.run(runId)?.state).toBe('running');
    expect(await collector.rebuild()).toMatchObject({ readings: 1 });
    expect(collector.ledger.run(runId)?.state).toBe('changed');
    expect(collector.ledger.running()).toEqual([]);
  });

  it('that was lost is made again: devices with their ids, versions, slots, names, retirements', async () => {
    const slotMs = collector.nowMs;
    await read('one\n', { slotMs });
    await collector.read({ name: 'lb1', texts: { 'running-config': 'a\n', common: 'b\n' } });
    await collector.read({ name: 'lb1', texts: { 'running-config': 'a\n', common: 'c\n' } });
    const gone = collector.register({ name: 'old1', group: 'hq' });
    await read('o\n', { name: 'old1', group: 'hq' });
    await retire(gone, collector.nowMs, collector.hands);
    collector.nowMs += minute;
    await read('new box\n', { name: 'old1', platform: 'f5_bigip' });
    collector.register({ name: 'edge1', group: 'hq', formerly: ['fw1'] });
    await collector.move();
    collector.nowMs += minute;
    const devices = collector.ledger.devices();
    const places = collector.ledger.lives.places();
    const versionsOf = (id: string) =>
      collector.ledger
        .artefactNames(id)
        .flatMap((artefact) => collector.ledger.versions(id, artefact))
        .map(({ atMs: _at, bytes: _bytes, ...version }) => version);
    const versions = devices.map(({ id }) => versionsOf(id));
    const sealed = collector.ledger.sealed('lb1', 'common', null);

    collector.lose();
    expect(await collector.rebuild()).toEqual({ readings: 5, moves: 1, retirements: 1, refused: 0 });
    const known = ({ id, name, platform, group }: (typeof devices)[number]) => ({
      id,
      name,
      platform,
      group,
    });
    expect(collector.ledger.devices().map(known)).toEqual(devices.map(known));
    expect(collector.ledger.devices().map(({ retiredMs }) => retiredMs !== null)).toEqual(
      devices.map(({ retiredMs }) => retiredMs !== null),
    );
    expect(collector.ledger.lives.places()).toEqual(places);
    expect(devices.map(({ id }) => versionsOf(id))).toEqual(versions);
    expect(collector.ledger.sealed('lb1', 'common', null)?.digest).toBe(sealed?.digest);
    // What was proven is written down; what fell due besides is not known, and nothing of it is owed.
    const [history] = collector.ledger.slots.historiesOf(['fw1'], collector.nowMs);
    expect(history).toMatchObject({ latest: { slotMs, end: { state: 'changed' } }, owed: null });
    expect(history?.planSinceMs).toBe(collector.nowMs);
    // And the next readings are no changes.
    const next = await collector.read({ name: 'lb1', texts: { 'running-config': 'a\n', common: 'c\n' } });
    expect(next.ended.outcome).toBe('unchanged');
    expect((await read('one\n', { name: 'edge1', group: 'hq' })).ended.outcome).toBe('unchanged');
  });

  it('takes over a move and a retirement that were committed and not written down', async () => {
    await read('one\n');
    await read('two\n', { name: 'fw2' });
    for (const name of ['fw1', 'fw2']) collector.register({ name, group: 'hq' });
    const dying = {
      ...collector.hands,
      ledger: {
        ...collector.ledger,
        lives: {
          ...collector.ledger.lives,
          moved: () => {
            throw new Error('this process is dead');
          },
          retire: () => {
            throw new Error('this process is dead');
          },
        },
      },
    };
    await expect(moveAll(misplaced(dying), dying)).rejects.toThrow('dead');
    expect(misplaced(collector.hands)).toHaveLength(2);
    expect(await collector.rebuild()).toMatchObject({ moves: 1 });
    expect(misplaced(collector.hands)).toEqual([]);
    expect((await read('one\n', { group: 'hq' })).ended.outcome).toBe('unchanged');

    const known = collector.register({ name: 'fw2', group: 'hq' });
    await expect(retire(known, collector.nowMs, dying)).rejects.toThrow('dead');
    expect(collector.ledger.device('fw2')?.retiredMs).toBeNull();
    expect(await collector.rebuild()).toMatchObject({ retirements: 1 });
    expect(collector.ledger.device('fw2')?.retiredMs).not.toBeNull();
    expect(collector.ledger.lives.places().map(({ name }) => name)).toEqual(['fw1']);
  });

  it('leaves commits of others alone, and looks at them once', async () => {
    await read('one\n');
    foreign('by hand\n\nDevice: fw1\nRun-Id: 20260301T000000Z-00000000\n', 'x@y');
    expect(await collector.rebuild()).toEqual({ readings: 0, moves: 0, retirements: 0, refused: 0 });
    let asked = 0;
    for await (const _commit of collector.repository.commitsSince((commit) => {
      asked += 1;
      return collector.ledger.lives.knowsCommit(commit);
    }))
      asked += 100;
    expect(asked).toBe(1);
  });

  it('believes no commit whose words contradict each other or the ledger', async () => {
    const { runId } = await read('one\n');
    const head = runs();
    const day = new Date(collector.nowMs).toISOString().slice(0, 10).replaceAll('-', '');
    const good = {
      Device: 'fw1',
      Platform: 'cisco_asa',
      'Run-Id': `${day}T000100Z-0123abcd`,
      Trigger: 'schedule',
      Restorable: 'yes',
      'Mask-Key': 'k',
      Rules: 'r',
    };
    const hostile: Record<string, string>[] = [
      { 'Run-Id': 'nonsense' },
      { 'Run-Id': `${day}T999999Z-0123abcd` },
      { 'Run-Id': '20990101T000000Z-0123abcd' },
      { Device: '../fw1' },
      { Device: 'fw2' },
      { Platform: 'cisco; DROP TABLE run' },
      { Trigger: 'whim' },
      { Restorable: 'perhaps' },
      { Rules: '' },
      // Another device, under the name of this one.
      { 'Device-Id': 'evil' },
    ];
    for (const change of hostile) foreign(messageOf({ ...good, ...change }), 'roundsman@localhost');
    // Of a run that is known, and ended otherwise.
    foreign(messageOf({ ...good, 'Run-Id': runId }), 'roundsman@localhost');
    const told = await collector.rebuild();
    expect(told).toMatchObject({ readings: 0, moves: 0, retirements: 0 });
    expect(told.refused).toBe(hostile.length);
    expect(runs()).toEqual(head);
    expect(collector.ledger.devices()).toHaveLength(1);
  });

  it('keeps a slot in the future, or one that is none, out of every schedule', async () => {
    await read('one\n');
    const base = collector.nowMs;
    const slots = [base + 3_600_000, base - 40 * 86_400_000, base - 7_000];
    for (const [index, slotMs] of slots.entries()) {
      collector.nowMs += 2 * minute;
      const run = new Date(base + 1_000).toISOString().replace(/[-:]|\.\d+/g, '');
      foreign(
        messageOf({
          ...{ Device: 'fw1', Platform: 'cisco_asa', 'Run-Id': `${run}-0000000${index}` },
          ...{ Trigger: 'schedule', Restorable: 'yes', 'Mask-Key': 'k', Rules: 'r' },
          Slot: new Date(slotMs).toISOString(),
        }),
        'roundsman@localhost',
        base + 2_000 + index * 1_000,
      );
    }
    expect(await collector.rebuild((_device, slotMs) => slotMs !== base - 7_000)).toMatchObject({
      readings: 3,
    });
    expect(runs().map(({ slotMs }) => slotMs)).toEqual([null, null, null, null]);
    expect(collector.ledger.slots.historiesOf(['fw1'], base + 86_400_000)[0]?.latest).toBeNull();
  });

  /** A commit on main that writes a new text of fw1. */
  function foreign(message: string, email: string, atMs = collector.nowMs): string {
    const git = (input: string | null, ...args: string[]) =>
      execFileSync('git', ['--git-dir', join(collector.dir, 'configs.git'), ...args], {
        ...(input === null ? {} : { input }),
        encoding: 'utf8',
        env: {
          ...{ PATH: process.env.PATH ?? '', GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: email },
          ...{ GIT_COMMITTER_NAME: 'x', GIT_COMMITTER_EMAIL: email },
          GIT_COMMITTER_DATE: `${Math.floor(atMs / 1000)} +0000`,
          GIT_INDEX_FILE: join(collector.dir, 'index'),
        },
      }).trim();
    const blob = git(`${message}${Math.random()}`, 'hash-object', '-w', '--stdin');
    git(null, 'read-tree', 'main');
    git(null, 'update-index', '--add', '--cacheinfo', `100644,${blob},default/fw1/running-config.cfg`);
    const tree = git(null, 'write-tree');
    const commit = git(message, 'commit-tree', tree, '-p', 'main');
    git(null, 'update-ref', 'refs/heads/main', commit);
    return commit;
  }

  function messageOf(trailers: Record<string, string>): string {
    const lines = Object.entries(trailers).flatMap(([key, value]) =>
      value === '' ? [] : [`${key}: ${value}`],
    );
    return `fw1: running-config changed (+1 -1)\n\n${lines.join('\n')}\n`;
  }
});

describe('what a commit claims', () => {
  const nowMs = Date.UTC(2026, 2, 2);
  const commit: StoredCommit = {
    commit: 'a'.repeat(40),
    atMs: Date.UTC(2026, 2, 1, 2, 0, 9),
    isOurs: true,
    trailers: [
      ['Device', 'fw1'],
      ['Platform', 'cisco_asa'],
      ['Run-Id', '20260301T020000Z-0123abcd'],
      ['Slot', '2026-03-01T02:00:00.000Z'],
      ['Trigger', 'schedule'],
      ['Restorable', 'yes'],
      ['Sealed', 'b'.repeat(64)],
      ['Mask-Key', 'k'],
      ['Rules', 'r'],
    ],
    written: ['hq/fw1/running-config.cfg'],
    removed: [],
  };
  const claim = (over: Partial<StoredCommit>) => claimOf({ ...commit, ...over }, artefactAt, nowMs);
  const withTrailer = (key: string, value: string) =>
    claim({ trailers: [...commit.trailers.filter(([one]) => one !== key), [key, value]] });

  it('is a reading with all that its trailers say', () => {
    expect(claim({})).toMatchObject({
      kind: 'reading',
      reading: {
        ...{
          name: 'fw1',
          deviceId: 'fw1',
          group: 'hq',
          slotMs: Date.UTC(2026, 2, 1, 2),
          trigger: 'schedule',
        },
        written: [{ artefact: 'running-config', sealed: 'b'.repeat(64) }],
      },
    });
  });

  it('is nothing where it is of somebody else, or from the future', () => {
    expect(claim({ isOurs: false })).toBeNull();
    expect(claim({ atMs: nowMs + 120_000 })).toBeNull();
    expect(withTrailer('Run-Id', '20260301T030000Z-0123abcd')).toBeNull();
    expect(claim({ written: ['hq/fw2/running-config.cfg'] })).toBeNull();
    expect(claim({ trailers: [...commit.trailers, ['Device', 'fw2']] })).toBeNull();
  });

  it('serves no slot where a person accepted it', () => {
    expect(withTrailer('Accepted-By', 'alice')).toMatchObject({
      reading: { slotMs: null, acceptedBy: 'alice' },
    });
  });

  it('never throws, whatever a commit says', () => {
    const key = fc.constantFrom(
      'Device',
      'Device-Id',
      'Run-Id',
      'Slot',
      'Sealed',
      'Artefact',
      'Rules',
      'Platform',
    );
    const word = fc.oneof(fc.string(), fc.constantFrom('fw1', '20260301T020000Z-0123abcd', 'b'.repeat(64)));
    const path = fc.oneof(
      fc.string(),
      fc.constantFrom('hq/fw1/running-config.cfg', 'a/b/%2e.cfg', 'x/y/%.cfg'),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, word)),
        fc.array(path),
        fc.array(path),
        (trailers, written, removed) => {
          claim({ trailers: [...trailers, ...commit.trailers], written, removed });
          claim({ trailers, written, removed });
        },
      ),
    );
  });
});
