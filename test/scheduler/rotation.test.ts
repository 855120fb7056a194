import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { SecretRef } from '../../src/core/device.ts';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import { createSecretReader } from '../../src/inventory/secrets.ts';
import type { VaultSettings } from '../../src/inventory/vault-settings.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createLoginGate, type LoginGate } from '../../src/scheduler/login-gate.ts';
import { VaultStub } from '../support/vault.ts';
import { device, second, start } from './support.ts';

let root: string;
let ledger: Ledger;
let vault: VaultStub;
let env: Record<string, string>;
let aheadMs: number;
let gate: LoginGate;
/** What was sent, in order. */
let sent: string[];
/** The password of every device. */
let right: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-rotation-'));
  mkdirSync(join(root, 'credentials'));
  ledger = openLedger(join(root, 'ledger.db'));
  vault = await VaultStub.listen();
  vault.grant('hvs.token');
  env = { CREDENTIALS_DIRECTORY: join(root, 'credentials'), VAULT_TOKEN: 'hvs.token' };
  aheadMs = 0;
  sent = [];
  right = 'second';
  // The machine's own time, which can be put forward: what is read here is real.
  const clock: Clock = {
    nowMs: () => systemClock.nowMs() + aheadMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    after: systemClock.after,
  };
  const settings: VaultSettings = {
    ...{ address: vault.address, namespace: null, caFile: null, auth: { token: { env: 'VAULT_TOKEN' } } },
  };
  const readSecret = createSecretReader(env, clock, async () => ({ vault: settings, secretVariables: [] }));
  gate = createLoginGate({ clock, ledger, readSecret, key: Buffer.alloc(32, 7) });
});
afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

/** Each kind of place: how it is referred to, and how somebody puts another value there. */
const places: Readonly<Record<string, () => { ref: SecretRef; rotate: (value: string) => void }>> = {
  'the environment': () => ({
    ref: { env: 'RM_PASSWORD' },
    rotate: (value) => {
      env.RM_PASSWORD = value;
    },
  }),
  'a file that is replaced': () => {
    const file = join(root, 'password');
    return {
      ref: { file },
      rotate(value) {
        writeFileSync(`${file}.new`, `${value}\n`, { mode: 0o400 });
        renameSync(`${file}.new`, file);
      },
    };
  },
  'a systemd credential': () => ({
    ref: { credential: 'backup-password' },
    rotate: (value) => writeFileSync(join(root, 'credentials/backup-password'), value, { mode: 0o600 }),
  }),
  'what a command prints': () => {
    const program = join(root, 'helper');
    return {
      ref: { command: [program, 'backup'] },
      rotate(value) {
        // Written beside it: a program that is being written cannot be run.
        writeFileSync(`${program}.new`, `#!/bin/sh\necho '${value}'\n`);
        chmodSync(`${program}.new`, 0o700);
        renameSync(`${program}.new`, program);
      },
    };
  },
  'HashiCorp Vault': () => ({
    ref: { vault: { mount: 'secret', path: 'network', key: 'password' } },
    rotate: (value) => vault.secrets.set('secret/data/network', { password: value }),
  }),
};

function login(name: string, password: SecretRef): Promise<string> {
  const plain = device(name);
  const to = { ...plain, credentials: { ...plain.credentials, password, loginsPerSecond: 100 } };
  return gate
    .around(to, start, new AbortController().signal, async ({ readSecret, accepted }) => {
      const value = await readSecret(password);
      sent.push(value);
      if (value !== right) throw new BackupError('login.rejected', { username: 'backup', methods: [] });
      accepted();
    })
    .then(
      () => 'ok',
      (thrown: unknown) => failureOf(thrown).code,
    );
}

describe.each(Object.entries(places))('a secret in %s', (_place, make) => {
  it('that devices reject is held back, until it is rotated: then it is used without a restart', async () => {
    const { ref, rotate } = make();
    rotate('first');
    for (const name of ['fw1', 'fw2', 'fw3']) expect(await login(name, ref)).toBe('login.rejected');
    expect(await login('fw4', ref)).toBe('credentials.held-back');
    aheadMs += 11 * second;
    expect(await login('fw4', ref)).toBe('credentials.held-back');
    expect(sent).toEqual(['first', 'first', 'first']);
    rotate('second');
    aheadMs += 11 * second;
    expect(await login('fw4', ref)).toBe('ok');
    expect(sent.at(-1)).toBe('second');
  });

  it('that is rotated between two logins is the new one in the second', async () => {
    const { ref, rotate } = make();
    right = 'first';
    rotate('first');
    expect(await login('fw1', ref)).toBe('ok');
    right = 'third';
    rotate('third');
    aheadMs += 6 * second;
    expect(await login('fw1', ref)).toBe('ok');
    expect(sent).toEqual(['first', 'third']);
  });

  it('that cannot be read for a while releases nothing', async () => {
    const { ref, rotate } = make();
    rotate('first');
    for (const name of ['fw1', 'fw2', 'fw3']) await login(name, ref);
    aheadMs += 11 * second;
    vault.sealed = true;
    env.CREDENTIALS_DIRECTORY = join(root, 'none');
    delete env.RM_PASSWORD;
    for (const file of ['password', 'helper']) rmSync(join(root, file), { force: true });
    expect(await login('fw4', ref)).toBe('credentials.held-back');
    expect(sent).toHaveLength(3);
  });
});
