import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openArtefacts } from '../../src/artefacts/store.ts';
import { generateIdentity } from '../../src/artefacts/unseal.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import { BackupError } from '../../src/core/errors.ts';
import type { RunEnded } from '../../src/core/run.ts';
import type { Driver, Seen } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { openSpool } from '../../src/gitstore/open-spool.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { verifyChain } from '../../src/ledger/audit.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createReadBefore } from '../../src/pipeline/read-before.ts';
import { recover, settleWaiting } from '../../src/pipeline/recover.ts';
import { createRoom } from '../../src/pipeline/room.ts';
import { type BackupHands, runBackup } from '../../src/pipeline/run-backup.ts';
import type { Collected } from '../../src/transport/collect.ts';
import { plainDevice } from '../support/device.ts';
import { render } from '../support/devices/render.ts';
import { asaConfig } from '../support/samples.ts';

const drivers = await loadDrivers();
const asa = drivers.get('cisco_asa') as Driver;
const { recipient } = await generateIdentity();

const device: Device = plainDevice({
  group: 'hq',
  credentials: { password: { literal: 'x' } },
  timeouts: { connectMs: 1, loginMs: 1, idleMs: 1 },
  maxRuntimeMs: 1,
});

let dir: string;
let hands: BackupHands & { ledger: Disposable };
let nth = 0;
let displays = 0;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-spine-'));
  hands = await openHands();
});

afterEach(() => {
  hands.ledger[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function openHands(): Promise<BackupHands & { ledger: Disposable }> {
  return {
    ledger: openLedger(join(dir, 'ledger.db')),
    repository: await openRepository({ dir: join(dir, 'configs.git') }),
    spool: await openSpool(join(dir, 'spool')),
    artefacts: openArtefacts({ dir: join(dir, 'artefacts'), recipients: [recipient] }),
    artefactPath,
    clock: systemClock,
    room: createRoom(1_000_000),
    readBefore: createReadBefore(),
    fingerprintKey: Buffer.alloc(32, 7),
    inGit: 'masked',
    collect: async () => reading(asaConfig),
    dueArchives: () => [],
  };
}

/** What the transport gives for an ASA that displays `config`. */
function reading(config: string): Collected {
  const capture = (sent: string, text: string) =>
    ({ text, endedBy: 'prompt', exitStatus: null, sent }) as const;
  const version = 'Cisco Adaptive Security Appliance Software Version 9.16(4)19\n\nfw-asa up 3 days\n';
  const captures = new Map(
    asa.commands.map((command) => [
      command.name,
      command.name === 'running-config'
        ? capture('more system:running-config', render(config, displays++).text)
        : capture(command.name, version),
    ]),
  );
  const restorable = new Map([['running-config', { is: 'yes', because: null } as const]]);
  const artefacts = new Map(
    asa.commands.flatMap((command) =>
      command.keep === 'artefact' && command.name === 'running-config' ? [[command.name, command]] : [],
    ),
  );
  const seen: Seen = { text: () => null, options: {}, dialogue: 'shell' };
  return { captures, again: new Map(), restorable, artefacts, seen, archives: new Map() };
}

function backup(change: Partial<BackupHands> = {}, about: Device = device): Promise<RunEnded> {
  const runId = `run-${++nth}`;
  return runBackup(
    { device: about, driver: asa, trigger: 'manual', slotMs: null, runId },
    'inGit' in change ? (change as BackupHands) : { ...hands, ...change },
  );
}

async function subjectOf({ settled }: RunEnded): Promise<string | undefined> {
  const { commit } = settled as { commit: string };
  return (await hands.repository.messages([commit])).get(commit)?.split('\n')[0];
}

function recovered(): Promise<readonly RunEnded[]> {
  return recover({ driver: () => asa, expect: () => null, newRunId: () => `again-${++nth}` }, hands);
}

/**
 * Hands of a process that dies at one step: nothing after it happens, not even the handling of errors.
 * `dead` resolves at that moment.
 */
function mortal(
  whole: BackupHands,
  fatal: { hand: string; method: string; when: 'before' | 'after' },
): { hands: BackupHands; dead: Promise<void> } {
  let isDead = false;
  let die: () => void = () => {};
  const dead = new Promise<void>((resolve) => {
    die = () => {
      isDead = true;
      resolve();
    };
  });
  const never = new Promise<never>(() => {});
  const sync = new Set(['ledger']);
  const wrap = <Hand extends object>(name: string, hand: Hand): Hand =>
    new Proxy(hand, {
      get(target, method) {
        const value = Reflect.get(target, method) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const gone = (): unknown => {
            if (sync.has(name)) throw new Error('this process is dead');
            return never;
          };
          if (isDead) return gone();
          const here = name === fatal.hand && method === fatal.method;
          if (here && fatal.when === 'before') {
            die();
            return gone();
          }
          const result: unknown = value.apply(target, args);
          if (!here) return result;
          if (result instanceof Promise) return result.then(die).then(() => never);
          die();
          return gone();
        };
      },
    });
  const parts = Object.entries(whole).map(([name, hand]) => [
    name,
    typeof hand === 'object' && name !== 'clock' && name !== 'fingerprintKey' ? wrap(name, hand) : hand,
  ]);
  return { hands: wrap('self', Object.fromEntries(parts) as BackupHands), dead };
}

const changedTo = asaConfig.replace('host 198.51.100.80', 'host 198.51.100.99');

describe('one backup', () => {
  it('keeps readings that are too large together one after the other', async () => {
    let [inside, most] = [0, 0];
    const artefacts = hands.artefacts as NonNullable<BackupHands['artefacts']>;
    const counting: BackupHands['artefacts'] = {
      ...artefacts,
      async seal(text) {
        most = Math.max(most, ++inside);
        const digest = await artefacts.seal(text);
        inside--;
        return digest;
      },
    };
    const room = createRoom(1);
    const names = ['fw1', 'fw2', 'fw3'];
    const ended = await Promise.all(
      names.map((name) => backup({ artefacts: counting, room }, { ...device, name })),
    );
    expect(ended.map(({ settled }) => settled.outcome)).toEqual(['changed', 'changed', 'changed']);
    expect(most).toBe(1);
  });

  it('makes one commit with the run in its trailers, and none when nothing changed', async () => {
    const first = await backup();
    const second = await backup();
    expect(first.settled.outcome).toBe('changed');
    expect(second.settled).toEqual({
      outcome: 'unchanged',
      commit: (first.settled as { commit: string }).commit,
    });
    expect(await hands.repository.findRun(first.runId)).toBe((first.settled as { commit: string }).commit);
    expect(await hands.repository.findRun(second.runId)).toBeNull();
    expect(hands.ledger.run(second.runId)?.state).toBe('unchanged');
  });

  it('commits under the new group and takes the old file away when a device moves', async () => {
    const first = await backup();
    const moved = await backup({}, { ...device, group: 'branch' });
    expect(moved.settled.outcome).toBe('changed');
    const commit = (moved.settled as { commit: string }).commit;
    expect(await hands.repository.read(commit, 'hq/fw1/running-config.cfg')).toBeNull();
    expect(await hands.repository.read(commit, 'branch/fw1/running-config.cfg')).toContain('ASA Version');
    expect((await hands.repository.messages([commit])).get(commit)).toMatch(/^fw1: moved to branch\n/);
    expect(first.settled.outcome).toBe('changed');
  });

  it('ends as a failure with its stack when something that nobody expected is thrown', async () => {
    const ended = await backup({
      collect: () => {
        throw new TypeError('nobody expected this');
      },
    });
    expect(ended.settled).toMatchObject({ outcome: 'failed', failure: { code: 'bug.unexpected' } });
    expect(ended.stack).toContain('TypeError');
    expect(hands.ledger.run(ended.runId)?.state).toBe('failed');
  });

  it('keeps the last good copy and its history when a reading fails', async () => {
    const first = await backup();
    const failure = new BackupError('collect.stalled', { command: 'show', idleMs: 1, receivedBytes: 0 });
    const second = await backup({ collect: () => Promise.reject(failure) });
    expect(second.settled).toMatchObject({ outcome: 'failed', failure: { code: 'collect.stalled' } });
    const known = hands.ledger.device('fw1');
    expect(hands.ledger.lastGood(known?.id ?? '')?.runId).toBe(first.runId);
  });

  it('reads twice at first contact and once from then on', async () => {
    const asked: boolean[] = [];
    const collect = async (_job: unknown, readTwice: boolean) => {
      asked.push(readTwice);
      return reading(asaConfig);
    };
    await backup({ collect });
    await backup({ collect });
    expect(asked).toEqual([true, false]);
  });

  it('says so in the subject when the same text is masked with another key', async () => {
    await backup();
    const other = { fingerprintKey: Buffer.alloc(32, 8) };
    const ended = await backup(other);
    expect(ended.settled).toMatchObject({ outcome: 'changed', underNewRules: true });
    expect(await subjectOf(ended)).toBe('fw1: re-read under new rules');
    expect((await backup(other)).settled.outcome).toBe('unchanged');
  });

  it('calls a device changed that changed in the night in which the key did', async () => {
    await backup();
    const changed = asaConfig.replace('hostname fw-asa', 'hostname fw-asa\nno ip source-route');
    const ended = await backup({
      fingerprintKey: Buffer.alloc(32, 8),
      collect: async () => reading(changed),
    });
    expect(ended.settled).not.toHaveProperty('underNewRules');
    expect(await subjectOf(ended)).toMatch(/^fw1: running-config changed \(\+\d+ -\d+\)$/);
  });

  it('calls a device re-read whose secrets are masked from now on', async () => {
    await backup({ ...hands, inGit: 'keep' });
    expect((await backup()).settled).toMatchObject({ outcome: 'changed', underNewRules: true });
  });

  it('holds a reading that lost half of its lines also in the night in which the key changed', async () => {
    await backup();
    const half = asaConfig.replace(/^(interface|object|access-list|tunnel-group|snmp| )[^\n]*\n/gm, '');
    const other = { fingerprintKey: Buffer.alloc(32, 8) };
    const held = await backup({ ...other, collect: async () => reading(half) });
    expect(held.settled).toMatchObject({ outcome: 'quarantined', failure: { code: 'verify.shrunk' } });
    expect((await backup(other)).settled).toMatchObject({ outcome: 'changed', underNewRules: true });
  });

  it('holds a reading that lost half of its lines, and goes on from the last good copy', async () => {
    const first = await backup();
    const half = asaConfig.replace(/^(interface|object|access-list|tunnel-group|snmp| )[^\n]*\n/gm, '');
    const held = await backup({ collect: async () => reading(half) });
    expect(held.settled).toMatchObject({ outcome: 'quarantined', failure: { code: 'verify.shrunk' } });
    const { id } = hands.ledger.device('fw1') ?? { id: '' };
    expect((await hands.spool.held(id)).map(({ runId }) => runId)).toEqual([held.runId]);
    const third = await backup();
    expect(third.settled).toEqual({
      outcome: 'unchanged',
      commit: (first.settled as { commit: string }).commit,
    });
    expect(await hands.spool.held(id)).toEqual([]);
  });
});

describe('a device that shows the same octets again', () => {
  const exact = async () => ({ ...reading(asaConfig), captures: same });
  const { captures: same } = reading(asaConfig);
  let sealed: number;
  let spooled: number;
  let counting: Partial<BackupHands>;

  beforeEach(() => {
    [sealed, spooled] = [0, 0];
    const artefacts = hands.artefacts as NonNullable<BackupHands['artefacts']>;
    counting = {
      collect: exact,
      artefacts: {
        ...artefacts,
        seal: (text) => {
          sealed += 1;
          return artefacts.seal(text);
        },
      },
      spool: {
        ...hands.spool,
        put: (entry) => {
          spooled += 1;
          return hands.spool.put(entry);
        },
      },
    };
  });

  const newest = () => hands.ledger.sealed(hands.ledger.device('fw1')?.id ?? '', 'running-config', null);

  it('has the run in the ledger, and what was sealed before stands for it', async () => {
    await backup(counting);
    const first = newest();
    for (let night = 0; night < 3; night++) {
      const { runId, settled } = await backup(counting);
      expect(settled.outcome).toBe('unchanged');
      expect(newest()).toEqual({ ...first, runId, atMs: expect.any(Number) });
    }
    expect([sealed, spooled]).toEqual([1, 1]);
    expect(await hands.artefacts?.has(first?.digest ?? '')).toBe(true);
    expect(hands.ledger.retention.unreferenced()).toEqual([]);
  });

  it('is worked on anew where one octet differs, and its old copies stay', async () => {
    await backup(counting);
    const changed = reading(asaConfig.replace('198.51.100.80', '198.51.100.81'));
    const ended = await backup({ ...counting, collect: async () => changed });
    expect(ended.settled.outcome).toBe('changed');
    expect([sealed, spooled]).toEqual([2, 2]);
    expect((await backup(counting)).settled.outcome).toBe('changed');
    expect(sealed).toBe(3);
  });

  it('is sealed anew where the sealed copy is gone', async () => {
    await backup(counting);
    const digest = newest()?.digest ?? '';
    rmSync(hands.artefacts?.path(digest) ?? '');
    expect((await backup(counting)).settled.outcome).toBe('unchanged');
    expect(sealed).toBe(2);
    expect(newest()?.digest).not.toBe(digest);
  });

  it('is masked anew where git has another text than the one that was made', async () => {
    await backup(counting);
    const { repository } = hands;
    const foreign: Partial<BackupHands> = {
      repository: { ...repository, read: async () => 'hostname other\n' },
    };
    const ended = await backup({ ...counting, ...foreign });
    expect(ended.settled.outcome).not.toBe('unchanged');
    expect(sealed).toBe(2);
  });

  it('is masked anew where the session had another password, which may stand in the text', async () => {
    await backup({ ...counting, collect: async () => ({ ...(await exact()), secrets: ['hunter2hunter2'] }) });
    const [, line = ''] = /^(hostname \S+)/m.exec(asaConfig) ?? [];
    const ended = await backup({
      ...counting,
      collect: async () => ({ ...(await exact()), secrets: [line] }),
    });
    expect(sealed).toBe(2);
    expect(ended.settled.outcome).toBe('changed');
  });

  it('of which the ledger takes no end waits in the spool', async () => {
    await backup(counting);
    const { ledger } = hands;
    const full: Partial<BackupHands> = {
      ledger: new Proxy(ledger, {
        get: (target, name) =>
          name === 'closeRun'
            ? () => {
                throw new BackupError('store.disk-full', { path: dir, freeBytes: 0 });
              }
            : Reflect.get(target, name),
      }),
    };
    const { runId } = await backup({ ...counting, ...full });
    expect((await hands.spool.waiting()).map((entry) => entry.runId)).toEqual([runId]);
    expect((await recovered()).map(({ settled }) => settled.outcome)).toEqual(['unchanged']);
  });

  it('while the repository cannot be read, waits in the spool', async () => {
    await backup(counting);
    const broken: Partial<BackupHands> = {
      repository: {
        ...hands.repository,
        read: () =>
          Promise.reject(
            new BackupError('store.git-failed', { command: 'cat-file', exitCode: 128, stderr: 'bad' }),
          ),
      },
    };
    const { runId, settled } = await backup({ ...counting, ...broken });
    expect(settled).toMatchObject({ outcome: 'failed', failure: { code: 'store.git-failed' } });
    expect((await hands.spool.waiting()).map((entry) => entry.runId)).toEqual([runId]);
  });
});

describe('a crash between any two steps leaves nothing false', () => {
  const steps = [
    ['before the row is opened', 'ledger', 'openRun', 'before', []],
    ['after the row was opened', 'ledger', 'openRun', 'after', ['failed']],
    ['while the device is read', 'self', 'collect', 'before', ['failed']],
    ['before sealing', 'artefacts', 'seal', 'before', ['failed']],
    ['after sealing', 'artefacts', 'seal', 'after', ['failed']],
    ['before the spool has it', 'spool', 'put', 'before', ['failed']],
    ['after the spool has it', 'spool', 'put', 'after', ['changed']],
    ['before the commit', 'repository', 'commit', 'before', ['changed']],
    ['after the commit', 'repository', 'commit', 'after', ['changed']],
    ['before the row is closed', 'ledger', 'closeRun', 'before', ['changed']],
    ['after the row was closed', 'ledger', 'closeRun', 'after', []],
    ['before the spool is cleared', 'spool', 'remove', 'before', []],
    ['after the spool was cleared', 'spool', 'remove', 'after', []],
  ] as const;

  it.each(steps)('%s', async (_name, hand, method, when, ends) => {
    const before = await backup();
    const collect = async () => reading(changedTo);
    const dying = mortal({ ...hands, collect }, { hand, method, when });
    void backup(dying.hands);
    await dying.dead;
    // Another process starts on what this one left.
    hands.ledger[Symbol.dispose]();
    hands = await openHands();
    const ended = await recovered();
    expect(ended.map(({ settled }) => settled.outcome)).toEqual(ends);

    expect(hands.ledger.running()).toEqual([]);
    expect(await hands.spool.waiting()).toEqual([]);
    expect(await recovered()).toEqual([]);
    // Every success of the ledger has its commit, and the commit names sealed files that are there.
    for (const run of hands.ledger.runs({
      deviceIds: null,
      states: null,
      sinceMs: null,
      untilMs: null,
      limit: 9,
    })) {
      if (run.state !== 'changed') continue;
      expect(await hands.repository.findRun(run.runId)).toBe(run.commit);
      const copy = hands.ledger.sealed(run.deviceId, 'running-config', run.runId);
      expect((await hands.artefacts?.read(copy?.digest ?? ''))?.length).toBeGreaterThan(100);
    }
    // The next reading finds the truth: the new text is committed once, by whichever run.
    const next = await backup({ collect });
    const commits = (await hands.repository.findRun(next.runId)) !== null;
    const late = ends.length > 0 && (ends as readonly string[])[0] === 'failed';
    expect(next.settled.outcome).toBe(late || method === 'openRun' ? 'changed' : 'unchanged');
    expect(commits).toBe(next.settled.outcome === 'changed');
    expect(before.settled.outcome).toBe('changed');
    expect(verifyChain(hands.ledger.chain()).brokenAt).toBeNull();
  });

  it('stores a reading by a new run when the repository was broken, and never rewrites the failed one', async () => {
    const broken = {
      ...hands.repository,
      commit: () => Promise.reject(new BackupError('store.disk-full', { path: dir, freeBytes: 0 })),
    };
    const failed = await backup({ repository: broken });
    expect(failed.settled).toMatchObject({ outcome: 'failed', failure: { code: 'store.disk-full' } });
    const [again] = await recovered();
    expect(again?.settled.outcome).toBe('changed');
    expect(again?.trigger).toBe('retry');
    expect(hands.ledger.run(failed.runId)?.state).toBe('failed');
    expect(await hands.repository.findRun(again?.runId ?? '')).not.toBeNull();
    expect(readdirSync(join(dir, 'spool')).filter((name) => name.endsWith('.json'))).toEqual([]);
  });

  it('drops a reading that could not be stored when something newer was', async () => {
    const broken = {
      ...hands.repository,
      commit: () => Promise.reject(new BackupError('store.disk-full', { path: dir, freeBytes: 0 })),
    };
    await backup({ repository: broken });
    await backup({ collect: async () => reading(changedTo) });
    expect(await recovered()).toEqual([]);
    expect(await hands.spool.waiting()).toEqual([]);
  });

  it('stores every reading of an outage, in their order and at their times, and no failed run more while it lasts', async () => {
    const broken = {
      ...hands.repository,
      commit: () => Promise.reject(new BackupError('store.disk-full', { path: dir, freeBytes: 0 })),
    };
    const first = await backup({ repository: broken });
    const second = await backup({ repository: broken, collect: async () => reading(changedTo) });
    const whole = hands.repository;
    const full = new BackupError('store.disk-full', { path: dir, freeBytes: 0 });
    hands = { ...hands, repository: { ...whole, ready: () => Promise.reject(full) } };
    expect(await recovered()).toEqual([]);
    expect(await hands.spool.waiting()).toHaveLength(2);
    hands = { ...hands, repository: whole };
    const runs = await recovered();
    expect(runs.map(({ settled }) => settled.outcome)).toEqual(['changed', 'changed']);
    expect(runs.map(({ startedAtMs }) => startedAtMs)).toEqual([first.startedAtMs, second.startedAtMs]);
    const texts = await Promise.all(
      runs.map(({ runId }) =>
        hands.repository.read(
          hands.ledger.run(runId)?.commit ?? '',
          artefactPath('hq', 'fw1', 'running-config'),
        ),
      ),
    );
    expect(texts.map((text) => text?.includes('198.51.100.99'))).toEqual([false, true]);
  });

  it('leaves the reading of a run in progress alone while those of others are stored', async () => {
    const never = { ...hands.repository, commit: () => new Promise<never>(() => {}) };
    void backup({ repository: never });
    await expect.poll(async () => (await hands.spool.waiting()).length).toBe(1);
    expect(
      await settleWaiting(
        new Set(['another']),
        { driver: () => asa, expect: () => null, newRunId: () => 'x' },
        hands,
      ),
    ).toEqual([]);
    expect(await hands.spool.waiting()).toHaveLength(1);
  });
});
