import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openArtefacts } from '../../../src/artefacts/store.ts';
import { generateIdentity } from '../../../src/artefacts/unseal.ts';
import type { Services } from '../../../src/cli/services.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { unknownCondition } from '../../../src/core/device.ts';
import type { SpoolEntry } from '../../../src/core/run.ts';
import { localServices } from '../../../src/daemon/compose.ts';
import { createContext, type OwnedContext } from '../../../src/daemon/context.ts';
import type { State } from '../../../src/daemon/services/context.ts';
import { artefactPath } from '../../../src/gitstore/paths.ts';

const path = artefactPath('default', 'fw1', 'running-config');
const dayMs = 86_400_000;

let dir: string;
let recipient: string;
let context: OwnedContext;
let services: Services;

/** Another process on the same state directory; the one before it is gone. */
async function restart(): Promise<void> {
  await context?.[Symbol.asyncDispose]();
  const options = { configFile: join(dir, 'roundsman.yaml'), logLines: false };
  context = createContext(options, {}, systemClock);
  services = localServices(context, {});
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-history-'));
  await restart();
  ({ recipient } = await services.init(dir));
  writeFileSync(
    join(dir, 'devices.yaml'),
    `credentials:
  readonly: { username: backup, password: { command: [/bin/true] } }
devices:
  - { name: fw1, platform: cisco_asa, host: 127.0.0.1, credentials: readonly }
`,
  );
});

afterEach(async () => {
  await context[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

function entry(runId: string, masked: string, readAtMs: number): SpoolEntry {
  return {
    ...{ runId, deviceId: 'fw1', deviceName: 'fw1', group: 'default', platform: 'cisco_asa' },
    ...{ trigger: 'manual', slotMs: null, readAtMs, restorable: 'yes', restorableBecause: null },
    artefacts: [{ name: 'running-config', masked, sealed: null }],
    facts: { hostname: null, version: null, model: null, serial: null, changedBy: null, changedAt: null },
    condition: unknownCondition,
    ...{ serials: [], maskKey: 'k', rules: 'r' },
  };
}

async function commit(state: State, runId: string, text: string, atMs: number): Promise<string> {
  const request = { subject: () => runId, body: '', trailers: [['Run-Id', runId]], atMs } as const;
  return (await state.repository.commit({ ...request, files: [{ path, text }], remove: [] })).commit;
}

/** A run with this outcome, whose reading is `text`. */
async function ran(
  outcome: 'changed' | 'unchanged' | 'quarantined',
  runId: string,
  text: string,
  atMs: number,
  sealed: string | null = null,
): Promise<string | null> {
  const state = await context.changing();
  const quarantined = outcome === 'quarantined';
  const lastGood = state.ledger.lastGood('fw1')?.commit ?? null;
  state.ledger.openRun({ runId, deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: atMs });
  const made = outcome === 'changed' ? await commit(state, runId, text, atMs) : lastGood;
  if (quarantined) await state.spool.hold(entry(runId, text, atMs));
  state.ledger.closeRun({
    ...{ runId, outcome, endedAtMs: atMs, restorable: 'yes', restorableBecause: null },
    commit: quarantined ? null : made,
    failure: quarantined
      ? {
          code: 'verify.shrunk',
          detail: { artefact: 'running-config', previousLines: 9, lines: 1, lostSections: [] },
        }
      : null,
    reading: {
      facts: entry(runId, text, atMs).facts,
      condition: unknownCondition,
      ...{ serials: [], rules: 'r', maskKey: 'k' },
      artefacts: [
        {
          ...{ name: 'running-config', sealed, bytes: text.length },
          ...{ path: quarantined ? null : path, changed: outcome !== 'unchanged' },
        },
      ],
    },
  });
  return made;
}

describe('accept', () => {
  it('takes either reading of a text that was held twice, the one that was shown first too', async () => {
    await ran('changed', 'r1', 'long\nlong\n', 1 * dayMs);
    await ran('quarantined', 'r2', 'short\n', 2 * dayMs);
    await ran('quarantined', 'r3', 'short\n', 3 * dayMs);
    expect((await services.held('fw1')).map((held) => held.entry.runId)).toEqual(['r3', 'r2']);
    const accepted = await services.accept('fw1', 'r2');
    const { repository, ledger } = await context.state();
    expect(await repository.findRun('r2')).toBe(accepted);
    expect(ledger.lastGood('fw1')?.runId).toBe('r2');
    expect(await services.held('fw1')).toEqual([]);
  });

  it('that a crash stopped between commit and ledger is closed by the next start', async () => {
    await ran('changed', 'r1', 'long\nlong\n', 1 * dayMs);
    await ran('quarantined', 'r2', 'short\n', 2 * dayMs);
    await ran('quarantined', 'r3', 'short\n', 3 * dayMs);
    const made = await commit(await context.changing(), 'r2', 'short\n', 2 * dayMs);

    await restart();
    const { ledger } = await context.changing();
    expect(ledger.run('r2')).toMatchObject({ state: 'quarantined', commit: made });
    expect(ledger.run('r2')?.acceptedAtMs).not.toBeNull();
    expect(ledger.lastGood('fw1')).toMatchObject({ runId: 'r2', commit: made });
    expect([...ledger.chain()].map(({ record }) => JSON.parse(record)).at(-1)).toMatchObject({
      ...{ category: 'accept', run: 'r2', by: 'recovery', commit: made },
    });
    expect((await services.status(['fw1']))[0]?.state).not.toBe('quarantined');
    expect(await services.held('fw1')).toEqual([]);
  });

  it('that is asked for again after such a crash answers with its commit', async () => {
    await ran('changed', 'r1', 'long\nlong\n', 1 * dayMs);
    await ran('quarantined', 'r2', 'short\n', 2 * dayMs);
    const made = await commit(await context.changing(), 'r2', 'short\n', 2 * dayMs);
    await restart();
    expect(await services.accept('fw1', 'r2')).toBe(made);
  });

  it('that a crash stopped between ledger and quarantine leaves nothing held', async () => {
    await ran('changed', 'r1', 'long\nlong\n', 1 * dayMs);
    await ran('quarantined', 'r2', 'short\n', 2 * dayMs);
    const { spool } = await context.changing();
    await services.accept('fw1', 'r2');
    await spool.hold(entry('r2', 'short\n', 2 * dayMs));
    // Of a device that this ledger never met: perhaps an older ledger was put back.
    await spool.hold({ ...entry('r9', 'short\n', 2 * dayMs), deviceId: 'fw9', deviceName: 'fw9' });

    await restart();
    await context.changing();
    expect(await services.held('fw1')).toEqual([]);
    expect((await spool.held(null)).map(({ runId }) => runId)).toEqual(['r9']);
  });

  it('is never made up: a held reading without a commit stays held', async () => {
    await ran('changed', 'r1', 'long\nlong\n', 1 * dayMs);
    await ran('quarantined', 'r2', 'short\n', 2 * dayMs);
    await ran('quarantined', 'r3', 'long\nlong\n', 3 * dayMs);
    await restart();
    const { ledger } = await context.changing();
    expect((await services.held('fw1')).map((held) => held.entry.runId)).toEqual(['r3', 'r2']);
    expect(ledger.lastGood('fw1')?.runId).toBe('r1');
  });
});

describe('restore', () => {
  async function seal(text: string): Promise<string> {
    return openArtefacts({ dir: join(dir, 'state/artefacts'), recipients: [recipient] }).seal(text);
  }
  const opened = (runId: string | null) =>
    services.restore('fw1', 'running-config', runId, join(dir, 'identity.txt'));

  it('needs no recipient: the machine that reads need not be the one that writes', async () => {
    await ran('changed', 'r1', 'masked\n', 1 * dayMs, await seal('exact\n'));
    const file = join(dir, 'roundsman.yaml');
    const settings = readFileSync(file, 'utf8');
    expect(settings).toContain(recipient);
    writeFileSync(file, settings.replace(/recipients:[\s\S]*?age1\w+.*\n/, 'recipients: []\n'));
    await restart();
    expect((await context.configuration()).settings.secrets.recipients).toEqual([]);
    expect(await opened(null)).toEqual({ bytes: Buffer.from('exact\n'), runId: 'r1' });
  });

  it('gives the copy of exactly the run that is named, and null where it has none', async () => {
    await ran('changed', 'r1', 'masked\n', 1 * dayMs, await seal('first\n'));
    await ran('unchanged', 'r2', 'masked\n', 2 * dayMs, await seal('second\n'));
    await ran('unchanged', 'r3', 'masked\n', 3 * dayMs, await seal('third\n'));
    expect((await opened('r1'))?.bytes.toString()).toBe('first\n');
    expect(await opened('r2')).toBeNull();
    expect((await opened('r3'))?.bytes.toString()).toBe('third\n');
  });

  it('does not open a copy for somebody else', async () => {
    await ran('changed', 'r1', 'masked\n', 1 * dayMs, await seal('exact\n'));
    const other = join(dir, 'other.txt');
    writeFileSync(other, (await generateIdentity()).identity);
    await expect(services.restore('fw1', 'running-config', null, other)).rejects.toThrow();
  });
});

describe('a comparison of two texts', () => {
  it('of 50 000 lines each, in another order, keeps nobody waiting who asks for something else', async () => {
    await ran('changed', 'r1', 'text\n', 1 * dayMs);
    const line = (index: number) => `object ${index}\n`;
    const before = Array.from({ length: 50_000 }, (_, index) => line(index)).join('');
    const after = Array.from({ length: 50_000 }, (_, index) => line((index * 7919) % 50_000)).join('');
    const order: string[] = [];
    const compared = services.compare('fw1', before, after).then(({ diff }) => order.push(diff.kind));
    for (let asked = 0; asked < 20; asked++) {
      await services.status(['fw1']);
      order.push('status');
    }
    await compared;
    expect(order).toEqual([...Array(20).fill('status'), 'too-different']);
  });
});
