import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openArtefacts } from '../../src/artefacts/store.ts';
import type { Verified } from '../../src/cli/services.ts';
import { acceptBreak, verify } from '../../src/daemon/services/verify.ts';
import { chainHash, genesis } from '../../src/ledger/audit.ts';
import type { Anchor } from '../../src/verify/verify.ts';
import { Collector } from '../pipeline/collector.ts';

/** What one finding is about, as `kind where`. */
export type Short = string;

/** A state directory with a history in it, and what an intruder does to it. */
export class State extends Collector {
  override seal = (): string => {
    const bytes = randomBytes(200);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const file = this.sealedFile(digest);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    return digest;
  };

  sealedFile(digest: string): string {
    return openArtefacts({ dir: join(this.dir, 'artefacts'), recipients: [] }).path(digest);
  }

  readonly watch = { onEvent: () => {}, signal: new AbortController().signal };

  verify(anchor: Anchor | null = null): Promise<Verified> {
    return verify(this.dir, this.hands.clock, anchor, this.watch);
  }

  async found(anchor: Anchor | null = null): Promise<Short[]> {
    const { findings } = await this.verify(anchor);
    return findings.map(({ kind, where }) => `${kind} ${where}`).sort();
  }

  async accept(because: string): Promise<number> {
    const { fingerprint } = await this.verify();
    return acceptBreak(this.dir, this.hands.clock, { because, by: 'alice', fingerprint }, this.watch);
  }

  /** Raw SQL on the ledger, with its safeguards out of the way. */
  sql(...statements: string[]): void {
    const database = new DatabaseSync(join(this.dir, 'ledger.db'));
    try {
      database.exec(
        'PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA recursive_triggers = OFF',
      );
      const triggers = database
        .prepare(`SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`)
        .all() as { name: string; sql: string }[];
      for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`);
      for (const statement of statements) database.exec(statement);
      for (const { sql } of triggers) database.exec(sql);
    } finally {
      database.close();
    }
  }

  rows<Row>(query: string): Row[] {
    const database = new DatabaseSync(join(this.dir, 'ledger.db'));
    try {
      return database.prepare(query).all() as Row[];
    } finally {
      database.close();
    }
  }

  /** Computes every hash anew, as one would who has the program. */
  rehash(): void {
    const rows = this.rows<{ n: number; record: string }>('SELECT n, record FROM chain ORDER BY n');
    let hash = genesis;
    const updates = rows.map(({ n, record }) => {
      hash = chainHash(hash, record);
      return `UPDATE chain SET hash = x'${Buffer.from(hash).toString('hex')}' WHERE n = ${n}`;
    });
    this.sql(...updates);
  }

  git(...args: string[]): string {
    return this.gitWith({}, ...args);
  }

  gitWith(env: Record<string, string>, ...args: string[]): string {
    const { PATH = '' } = process.env;
    const who = {
      GIT_AUTHOR_NAME: 'x',
      GIT_AUTHOR_EMAIL: 'x@example.net',
      GIT_COMMITTER_NAME: 'x',
      GIT_COMMITTER_EMAIL: 'x@example.net',
    };
    return execFileSync('git', ['-C', join(this.dir, 'configs.git'), ...args], {
      encoding: 'utf8',
      env: { PATH, HOME: this.dir, ...who, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  }

  /** A line of shell in the repository. */
  gitShell(line: string): void {
    execFileSync('sh', ['-c', line], { cwd: join(this.dir, 'configs.git'), stdio: 'ignore' });
  }

  /** The commits of main, oldest first. */
  main(): string[] {
    return this.git('rev-list', '--reverse', 'main').split('\n');
  }
}

let made: State | null = null;

/** Two devices, read three times each; one reading of the second one changes nothing. A copy for each call. */
export async function history(): Promise<State> {
  if (made === null) {
    made = (await new State().open()) as State;
    for (const day of [1, 2, 3]) {
      made.nowMs = Date.UTC(2026, 2, day, 2);
      await made.read({ name: 'fw1', texts: { 'running-config': `hostname fw1\nday ${day}\n` } });
      const text = `hostname fw2\nday ${Math.min(day, 2)}\n`;
      await made.read({ name: 'fw2', texts: { 'running-config': text } });
    }
    // Its log goes into the file.
    made.ledger[Symbol.dispose]();
  }
  const state = new State();
  state.nowMs = made.nowMs;
  cpSync(made.dir, state.dir, { recursive: true });
  return (await state.open()) as State;
}

/** Removes what the copies were made of. */
export function forget(): void {
  made?.[Symbol.dispose]();
  made = null;
}
