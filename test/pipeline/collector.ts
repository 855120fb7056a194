import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unknownCondition } from '../../src/core/device.ts';
import type { RunEnded, SpoolEntry, Trigger } from '../../src/core/run.ts';
import { signingBy } from '../../src/daemon/commit-signing.ts';
import { newRunId } from '../../src/daemon/run-id.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { openSpool } from '../../src/gitstore/open-spool.ts';
import { artefactAt, artefactPath } from '../../src/gitstore/paths.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import type { CommitSigner } from '../../src/gitstore/signing.ts';
import type { Spool } from '../../src/gitstore/spool.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { type MoveHands, misplaced, moveAll } from '../../src/pipeline/moves.ts';
import { type Rebuilt, rebuild } from '../../src/pipeline/rebuild.ts';
import { closeRun } from '../../src/pipeline/run-backup.ts';
import { settle } from '../../src/pipeline/settle.ts';

export interface Line {
  readonly name?: string;
  readonly group?: string;
  readonly platform?: string;
  readonly formerly?: readonly string[];
}

export interface ReadingOf extends Line {
  /** By artefact. */
  readonly texts: Readonly<Record<string, string>>;
  readonly slotMs?: number | null;
  readonly trigger?: Trigger;
  /** The run's row is left open, and its reading in no spool: as a copy of the ledger taken then has it. */
  readonly unclosed?: true;
}

const digestOf = (n: number): string => n.toString(16).padStart(64, 'a');

/** Stores readings as the spine does, without devices: a repository, a spool and a ledger that can be exchanged. */
export class Collector implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'roundsman-lives-'));
  nowMs = Date.UTC(2026, 2, 1);
  repository!: Repository;
  spool!: Spool;
  ledger!: Ledger;
  signer: CommitSigner | null = null;
  #sealed = 0;
  /** Gives the digest of a sealed copy; no file of it is there. */
  seal = (): string => digestOf(++this.#sealed);

  /** Text decides nothing here: every line is an object of one section. */
  readonly driver = {
    id: 'cisco_asa',
    commands: [],
    volatile: [],
    secrets: [],
    outline: (text: string) =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((title) => ({ title, section: 'all', start: 0, end: 0 })),
  } as unknown as Driver;

  async open(): Promise<this> {
    this.ledger = openLedger(join(this.dir, 'ledger.db'));
    this.repository = await openRepository({
      dir: join(this.dir, 'configs.git'),
      signing: {
        signer: () => this.signer,
        onBatch: (tip) => signingBy(() => this.signer, this.ledger, this.hands.clock).onBatch(tip),
      },
    });
    this.spool = await openSpool(join(this.dir, 'spool'));
    return this;
  }

  get hands(): MoveHands & { spool: Spool } {
    const { ledger, repository, spool } = this;
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs, after: () => ({ cancel() {} }) };
    return { ledger, repository, spool, artefactPath, clock };
  }

  register({ name = 'fw1', platform = 'cisco_asa', group = 'default', formerly = [] }: Line = {}) {
    return this.ledger.register({ name, platform, group, formerly, atMs: this.nowMs });
  }

  async read(about: ReadingOf): Promise<{ readonly runId: string; readonly ended: RunEnded['settled'] }> {
    const { texts, slotMs = null, trigger = 'schedule' } = about;
    const known = this.register(about);
    const startedAtMs = this.nowMs;
    const runId = newRunId(startedAtMs);
    this.ledger.openRun({ runId, deviceId: known.id, trigger, slotMs, startedAtMs });
    this.nowMs += 10_000;
    const entry: SpoolEntry = {
      ...{ runId, deviceId: known.id, deviceName: known.name, group: known.group, platform: known.platform },
      ...{
        trigger,
        slotMs,
        readAtMs: this.nowMs,
        serials: ['S1'],
        restorable: 'yes',
        restorableBecause: null,
      },
      ...{ maskKey: 'key', rules: 'rules', condition: unknownCondition },
      artefacts: Object.entries(texts).map(([name, masked]) => ({
        ...{ name, masked, sealed: this.seal() },
      })),
      facts: { hostname: 'FW1', version: '9.1', model: 'x', serial: 'S1', changedBy: null, changedAt: null },
    };
    const expect = { hostname: null, serials: [] };
    const { settled, artefacts } = await settle(entry, this.driver, expect, null, this.hands);
    if (about.unclosed === true) return { runId, ended: settled };
    const { name: device, group, platform } = known;
    await closeRun(
      {
        ...{ runId, device, group, platform, trigger, startedAtMs, endedAtMs: this.nowMs, settled },
        ...{
          restorable: 'yes',
          restorableBecause: null,
          artefacts,
          unsaved: null,
          archives: [],
          stack: null,
        },
      },
      entry,
      { ...this.hands, artefacts: null },
      true,
    );
    return { runId, ended: settled };
  }

  move(): Promise<string | null> {
    return moveAll(misplaced(this.hands), this.hands);
  }

  rebuild(isSlot: (device: string, slotMs: number) => boolean = () => true): Promise<Rebuilt> {
    return rebuild({
      ...this.hands,
      placeOf: artefactAt,
      isSlot: (device, _id, slotMs) => isSlot(device, slotMs),
      spooled: new Set(),
    });
  }

  /** Copies the ledger as it is now; `putBack` takes the place of the present one. */
  keepCopy(): { putBack(): void } {
    const copy = join(this.dir, `copy-${this.nowMs}.db`);
    this.ledger.snapshot(copy);
    return {
      putBack: () => {
        this.#remove();
        copyFileSync(copy, join(this.dir, 'ledger.db'));
        this.ledger = openLedger(join(this.dir, 'ledger.db'));
      },
    };
  }

  /** The ledger is lost altogether. */
  lose(): void {
    this.#remove();
    this.ledger = openLedger(join(this.dir, 'ledger.db'));
  }

  #remove(): void {
    this.ledger[Symbol.dispose]();
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(this.dir, `ledger.db${suffix}`), { force: true });
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
