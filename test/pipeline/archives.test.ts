import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openArtefacts } from '../../src/artefacts/store.ts';
import { generateIdentity, unsealArchive } from '../../src/artefacts/unseal.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { ArchivePlan } from '../../src/core/device.ts';
import { BackupError, type Failure } from '../../src/core/errors.ts';
import type { RunEnded } from '../../src/core/run.ts';
import type { Driver, StateReport } from '../../src/drivers/driver.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { openSpool } from '../../src/gitstore/open-spool.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { LastAttempt } from '../../src/ledger/archives.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createReadBefore } from '../../src/pipeline/read-before.ts';
import { createRoom } from '../../src/pipeline/room.ts';
import { type BackupHands, runBackup } from '../../src/pipeline/run-backup.ts';
import type { ArchiveResult, Collected } from '../../src/transport/collect.ts';
import { plainDevice } from '../support/device.ts';
import { capture, tiny } from './tiny-driver.ts';

const { recipient, identity } = await generateIdentity();
const ucs: ArchivePlan = { name: 'ucs', schedule: '0 3 * * 0', timezone: 'UTC', passphrase: null };
const scf: ArchivePlan = { ...ucs, name: 'scf', passphrase: { literal: 'p' } };
const device = plainDevice({ name: 'lb1', platform: 'tiny', archives: [ucs, scf] });
const refused: Failure = {
  code: 'collect.archive-failed',
  detail: { archive: 'ucs', step: 'make', reply: 'no space' },
};

let dir: string;
let hands: BackupHands & { ledger: Disposable };
let nth = 0;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-archive-'));
  hands = {
    ledger: openLedger(join(dir, 'ledger.db')),
    repository: await openRepository({ dir: join(dir, 'configs.git') }),
    spool: await openSpool(join(dir, 'spool')),
    artefacts: openArtefacts({ dir: join(dir, 'artefacts'), recipients: [recipient] }),
    artefactPath,
    clock: systemClock,
    readBefore: createReadBefore(),
    room: createRoom(1_000_000),
    fingerprintKey: Buffer.alloc(32, 7),
    inGit: 'masked',
    collect: async () => session(),
    dueArchives: (job) => job.device.archives,
  };
});
afterEach(() => {
  hands.ledger[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

function session(archives: Record<string, ArchiveResult> = {}, serial = 'A1'): Collected {
  const texts = {
    version: `host lb1\nserial ${serial}\n`,
    'running-config': 'begin\na\nend\n',
    marked: 'x\n: end\n',
  };
  return {
    captures: new Map(Object.entries(texts).map(([name, text]) => [name, capture(text)])),
    again: new Map(),
    artefacts: new Map(
      tiny.commands.flatMap((command) => (command.keep === 'artefact' ? [[command.name, command]] : [])),
    ),
    restorable: new Map(),
    seen: { text: () => null, options: {}, dialogue: 'shell' },
    archives: new Map(Object.entries(archives)),
  };
}

function backup(change: Partial<BackupHands> = {}, driver: Driver = tiny): Promise<RunEnded> {
  const runId = `run-${++nth}`;
  return runBackup({ device, driver, trigger: 'manual', slotMs: null, runId }, { ...hands, ...change });
}

/** A device that makes each archive that is asked for; `octets` by name. */
function making(octets: Record<string, string>, serial = 'A1'): BackupHands['collect'] {
  return async (_job, _twice, archives) => {
    const results: Record<string, ArchiveResult> = {};
    for (const { name, sink } of archives()) {
      const bytes = Buffer.from(octets[name] ?? '');
      await sink?.write(bytes);
      results[name] = { digest: 'a'.repeat(64), bytes: bytes.length };
    }
    return session(results, serial);
  };
}

const drafts = () => readdirSync(join(dir, 'artefacts')).filter((name) => name.startsWith('.'));
const failures = ({ archives }: RunEnded) =>
  archives.map(({ name, failure }) => [name, failure?.code ?? null]);

describe('the archives of a run', () => {
  it('are sealed as they came, named in the ledger and nowhere in git', async () => {
    const ended = await backup({ collect: making({ ucs: 'octets of a UCS', scf: 'octets of an SCF' }) });
    expect(ended.settled.outcome).toBe('changed');
    expect(failures(ended)).toEqual([
      ['ucs', null],
      ['scf', null],
    ]);
    const kept = hands.ledger.archives.kept('lb1', 'ucs', ended.runId);
    const sealed = await hands.artefacts?.read(kept?.sealed?.digest ?? '');
    expect((await unsealArchive(sealed ?? Buffer.alloc(0), identity)).toString()).toBe('octets of a UCS');
    expect(kept?.sealed?.bytes).toBe(sealed?.length);
    const { commit } = ended.settled as { commit: string };
    const message = (await hands.repository.messages([commit])).get(commit) ?? '';
    expect(message).not.toContain(kept?.sealed?.digest);
    // The digest of the clear octets is in no row and no record.
    const chain = [...hands.ledger.chain()].map(({ record }) => record).join('\n');
    expect(chain).not.toContain('a'.repeat(64));
  });

  it('that fail do not fail the run, and are written down', async () => {
    const ended = await backup({
      collect: async () => session({ ucs: refused, scf: { digest: 'a'.repeat(64), bytes: 0 } }),
    });
    expect(ended.settled.outcome).toBe('changed');
    expect(failures(ended)).toEqual([
      ['ucs', 'collect.archive-failed'],
      ['scf', null],
    ]);
    expect(hands.ledger.archives.standings().get('lb1')).toMatchObject([
      { name: 'scf', failure: null },
      { name: 'ucs', failure: refused, lastSuccessMs: null },
    ]);
  });

  it('a store that fails in the middle of one fails that one alone', async () => {
    const full = new BackupError('store.disk-full', { path: dir, freeBytes: 0 });
    const artefacts = {
      ...(hands.artefacts as NonNullable<BackupHands['artefacts']>),
      sealStream: async () => ({
        write: () => Promise.reject(full),
        finish: () => Promise.reject(full),
        discard: async () => {},
      }),
    };
    const ended = await backup({ collect: making({ ucs: 'a', scf: 'b' }), artefacts });
    expect(ended.settled.outcome).toBe('changed');
    expect(failures(ended)).toEqual([
      ['ucs', 'store.disk-full'],
      ['scf', 'store.disk-full'],
    ]);
  });

  it('of another device are not kept as this one’s', async () => {
    await backup();
    const ended = await backup({ collect: making({ ucs: 'of a stranger' }, 'Z9') });
    expect(ended.settled).toMatchObject({ outcome: 'quarantined', failure: { code: 'verify.identity' } });
    expect(failures(ended)).toEqual([
      ['ucs', 'verify.identity'],
      ['scf', 'verify.identity'],
    ]);
    expect(hands.ledger.archives.list('lb1')).toEqual([]);
    expect(drafts()).toEqual([]);
  });

  it('of a session that broke are not asked for again where they were begun, and leave no draft', async () => {
    const lost = new BackupError('collect.connection-lost', { command: 'ucs', receivedBytes: 1 });
    const asked: string[][] = [];
    const ended = await backup({
      collect: async (_job, _twice, archives) => {
        const orders = archives();
        asked.push(orders.map(({ name }) => name));
        await orders[0]?.sink?.write(Buffer.from('half'));
        asked.push(archives().map(({ name }) => name));
        throw lost;
      },
    });
    expect(asked).toEqual([['ucs', 'scf'], ['scf']]);
    expect(ended.settled).toMatchObject({ outcome: 'failed', failure: { code: 'collect.connection-lost' } });
    // The other one was never asked for: it is still due.
    expect(failures(ended)).toEqual([['ucs', 'collect.connection-lost']]);
    expect(hands.ledger.archives.last('lb1', 'scf')).toBeNull();
    expect(drafts()).toEqual([]);
  });

  it('count as asked for once the device was told to make them, also where no octet came', async () => {
    const tooLong = new BackupError('collect.too-long', { limitMs: 1 });
    const ended = await backup({
      collect: async (_job, _twice, archives) => {
        archives()[0]?.onBegun?.();
        throw tooLong;
      },
    });
    expect(failures(ended)).toEqual([['ucs', 'collect.too-long']]);
    expect(hands.ledger.archives.last('lb1', 'ucs')).toMatchObject({ stored: false });
  });

  it('are not asked for where nothing can be sealed', async () => {
    let asked = -1;
    const ended = await backup({
      artefacts: null,
      collect: async (_job, _twice, archives) => {
        asked = archives().length;
        return session();
      },
    });
    expect(asked).toBe(0);
    expect(failures(ended)).toEqual([
      ['ucs', 'store.seal-failed'],
      ['scf', 'store.seal-failed'],
    ]);
  });

  it('are due by what the ledger knows of their last attempt', async () => {
    const known: (LastAttempt | null)[] = [];
    const dueArchives: BackupHands['dueArchives'] = (job, last) => {
      known.push(last('ucs'));
      return job.device.archives.slice(0, 1);
    };
    await backup({ dueArchives, collect: making({ ucs: 'a' }) });
    await backup({ dueArchives, collect: making({ ucs: 'b' }) });
    expect(known[0]).toBeNull();
    expect(known[1]).toMatchObject({ stored: true });
  });
});

it('a file that a failed session may have left is removed by the next one, and by none after that', async () => {
  const asked: (readonly [string, boolean])[][] = [];
  const watching =
    (collect: BackupHands['collect']): BackupHands['collect'] =>
    (job, twice, archives) => {
      asked.push(archives().map(({ name, sink }) => [name, sink !== null] as const));
      return collect(job, twice, archives);
    };
  const failure: Failure = {
    code: 'collect.archive-failed',
    detail: { archive: 'ucs', step: 'fetch', reply: 'the connection was lost' },
  };
  const failing: BackupHands['collect'] = async () => session({ ucs: failure });
  const once: BackupHands['dueArchives'] = (job, last) =>
    job.device.archives.filter(({ name }) => name === 'ucs' && last(name) === null);
  await backup({ dueArchives: once, collect: watching(failing) });
  await backup({ dueArchives: () => [], collect: watching(making({})) });
  const again: BackupHands['dueArchives'] = (job) => job.device.archives.filter(({ name }) => name === 'ucs');
  await backup({ dueArchives: again, collect: watching(making({ ucs: 'octets' })) });
  await backup({ dueArchives: () => [], collect: watching(making({})) });
  expect(asked).toEqual([[['ucs', true]], [['ucs', false]], [['ucs', true]], []]);
});

describe('the condition of a device', () => {
  const telling = (report: StateReport): Driver => ({ ...tiny, state: () => report });

  it('makes no commit, whatever it says', async () => {
    await backup({}, telling({ ha: 'Active', sync: 'In Sync', unsaved: false }));
    const ended = await backup({}, telling({ ha: 'Standby', standby: true, sync: 'Not All', unsaved: true }));
    expect(ended.settled.outcome).toBe('unchanged');
    expect(ended.unsaved).toBe(true);
    expect(hands.ledger.summaries().get('lb1')?.facts).toMatchObject({
      ...{ ha: 'Standby', standby: true, sync: 'Not All', unsaved: true },
      ...{ hostname: 'lb1', serial: 'A1' },
    });
  });

  it('a failover to a partner that was named is neither another device nor a commit', async () => {
    await backup({}, telling({ ha: 'Active', partnerSerials: ['B1'] }));
    const after = await backup({ collect: async () => session({}, 'B1') }, telling({ ha: 'Active' }));
    expect(after.settled.outcome).toBe('unchanged');
    const stranger = await backup({ collect: async () => session({}, 'C1') }, telling({ ha: 'Active' }));
    expect(stranger.settled).toMatchObject({ outcome: 'quarantined', failure: { code: 'verify.identity' } });
  });
});
