import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describe as inWords } from '../../src/core/catalogue.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { SecretRef } from '../../src/core/device.ts';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import { createSecretReader } from '../../src/inventory/secrets.ts';
import type { VaultSettings } from '../../src/inventory/vault-settings.ts';
import { describeWith } from '../support/system.ts';
import { VaultStub } from '../support/vault.ts';
import { temporaryDir, temporaryFile } from './support.ts';

const canary = 'CANARY-hunter2';
const rootToken = 'hvs.CANARY-token';
const path = 'secret/data/network/asa';
const ref: SecretRef = { vault: { mount: 'secret', path: 'network/asa', key: 'password' } };
const second = 1_000;

let vault: VaultStub;
let settings: VaultSettings | null;
let env: Record<string, string>;
let read: (ref: SecretRef) => Promise<string>;
/** Pauses between attempts pass at once; limits of time never come, unless a test says so. */
let clock: Clock & { passMs: (ms: number) => void; limits: (() => void)[]; pauses: number[] };

beforeEach(async () => {
  let monotonicMs = 0;
  clock = {
    limits: [],
    pauses: [],
    nowMs: () => 0,
    monotonicMs: () => monotonicMs,
    after(delayMs, then) {
      if (delayMs === 5_000) {
        clock.limits.push(then);
        return { cancel: () => clock.limits.splice(clock.limits.indexOf(then), 1) };
      }
      clock.pauses.push(delayMs);
      setImmediate(then);
      return { cancel: () => {} };
    },
    passMs(ms) {
      monotonicMs += ms;
      vault.nowMs = monotonicMs;
    },
  };
  vault = await VaultStub.listen();
  vault.grant(rootToken);
  vault.secrets.set(path, { username: 'backup', password: canary, enable: 'other' });
  env = { VAULT_TOKEN: rootToken };
  settings = {
    address: vault.address,
    namespace: null,
    caFile: null,
    auth: { token: { env: 'VAULT_TOKEN' } },
  };
  read = createSecretReader(env, clock, async () => ({ vault: settings, secretVariables: [] }));
});
afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  expect(clock.limits).toEqual([]);
});

/** Logs in by an AppRole from now on. */
function byRole(role: Partial<Parameters<VaultStub['roles']['set']>[1]> = {}): void {
  vault.roles.set('approle', {
    ...{ roleId: 'role-1', secretId: 'CANARY-secret-id', ttlSeconds: 3_600, renewable: true },
    ...{ renewSeconds: 3_600, reads: null },
    ...role,
  });
  env.SECRET_ID = 'CANARY-secret-id';
  const approle = { mount: 'approle', roleId: 'role-1', secretId: { env: 'SECRET_ID' } };
  settings = { address: vault.address, namespace: null, caFile: null, auth: { approle } };
}

/** How a secret cannot be read, in the words that a person sees; nothing in them is secret. */
async function refusal(wanted = ref) {
  const error: unknown = await read(wanted).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BackupError);
  const failure = failureOf(error);
  expect(failure.code).toBe('inventory.secret-unavailable');
  const { message, todo } = inWords(failure);
  const { stack, cause } = error as Error;
  expect(JSON.stringify([failure, message, todo, stack, cause])).not.toContain('CANARY');
  const { detail } = error as BackupError<'inventory.secret-unavailable'>;
  return { ...detail, message, todo };
}

const count = (asked: string) => vault.asked.filter((one) => one === asked).length;

describe('a secret in Vault', () => {
  it('is the value of the key, asked for as the HTTP API of KV version 2 wants it', async () => {
    expect(await read(ref)).toBe(canary);
    expect(await read({ vault: { mount: 'secret', path: 'network/asa', key: 'enable' } })).toBe('other');
    expect(vault.asked).toEqual(['GET auth/token/lookup-self', `GET ${path}`]);
    expect(vault.headers.at(-1)).toMatchObject({ 'x-vault-token': rootToken, 'x-vault-request': 'true' });
    expect(vault.headers.at(-1)).not.toHaveProperty('x-vault-namespace');
  });

  it('can lie below another mount, in a namespace, under a name that has to be encoded', async () => {
    if (settings !== null) settings = { ...settings, namespace: 'admin/network' };
    vault.secrets.set('kv/team/data/a b%', { 'pass/word': 'x' });
    expect(await read({ vault: { mount: 'kv/team', path: 'a b%', key: 'pass/word' } })).toBe('x');
    expect(vault.headers.at(-1)).toMatchObject({ 'x-vault-namespace': 'admin/network' });
  });

  it('loses exactly one line end, as a file does', async () => {
    vault.secrets.set(path, { password: 'pass\n\n' });
    expect(await read(ref)).toBe('pass\n');
  });

  it('that was rotated is the new one within seconds, without a restart', async () => {
    expect(await read(ref)).toBe(canary);
    vault.secrets.set(path, { password: 'second' });
    clock.passMs(6 * second);
    expect(await read(ref)).toBe('second');
  });

  it('is asked for once by a fleet that wants it at the same time, and again when seconds have passed', async () => {
    const fleet = await Promise.all(Array.from({ length: 10_000 }, () => read(ref)));
    expect(new Set(fleet)).toEqual(new Set([canary]));
    clock.passMs(4 * second);
    await read(ref);
    expect(count(`GET ${path}`)).toBe(1);
    clock.passMs(2 * second);
    await read(ref);
    expect(count(`GET ${path}`)).toBe(2);
  });

  it('of each of many devices is asked for by a few connections at once', async () => {
    let open = 0;
    let most = 0;
    vault.instead = (_request, response) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        response.end(JSON.stringify({ data: { data: { password: 'x' }, metadata: {} } }));
      }, 2);
    };
    const all = Array.from({ length: 200 }, (_, n) =>
      read({ vault: { mount: 'secret', path: `fw${n}`, key: 'password' } }),
    );
    await Promise.all(all);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
  });

  it('that cannot be read is not remembered as such for long', async () => {
    vault.secrets.delete(path);
    await refusal();
    vault.secrets.set(path, { password: canary });
    clock.passMs(2 * second);
    expect(await read(ref)).toBe(canary);
  });

  it('is unavailable with the next step, where nothing lies there', async () => {
    vault.secrets.delete(path);
    const { reference, problem, todo } = await refusal();
    expect(reference).toBe(`key password of ${path} in Vault`);
    expect(problem).toBe(`there is nothing at ${path} (404)`);
    expect(todo).toContain('vault kv put');
    vault.secrets.set(path, null);
    clock.passMs(2 * second);
    expect((await refusal()).problem).toBe(`the newest version at ${path} is deleted (404)`);
    vault.secrets.set(path, { other: canary });
    clock.passMs(2 * second);
    expect((await refusal()).problem).toBe(`the secret at ${path} has no such key`);
    for (const value of [17, null, true, { a: canary }, [canary]]) {
      vault.secrets.set(path, { password: value });
      clock.passMs(6 * second);
      expect((await refusal()).problem).toContain('the value is no text');
    }
    vault.secrets.set(path, { password: '' });
    clock.passMs(6 * second);
    expect((await refusal()).problem).toBe('is empty');
    vault.secrets.set(path, { password: 'x'.repeat(70_000) });
    clock.passMs(6 * second);
    expect((await refusal()).problem).toBe('is larger than 65536 bytes');
    clock.passMs(6 * second);
    const key = await refusal({ vault: { mount: 'secret', path: 'network/asa', key: 'constructor' } });
    expect(key.problem).toContain('no such key');
  });

  it('is unavailable where Vault is sealed, after a few attempts, and is there once it is unsealed', async () => {
    vault.sealed = true;
    const { problem, todo, vault: trouble } = await refusal();
    expect([problem, trouble]).toEqual(['Vault is sealed or in maintenance (503)', 'sealed']);
    expect(todo).toContain('unseal Vault');
    expect(clock.pauses).toEqual([500, 2_000]);
    vault.sealed = false;
    clock.passMs(2 * second);
    expect(await read(ref)).toBe(canary);
  });

  it('is read although Vault elects a leader at first', async () => {
    let answers = 0;
    vault.instead = (_request, response) => {
      answers += 1;
      if (answers === 2) vault.instead = null;
      response.writeHead(500).end('{"errors":["local node not active but active cluster node not found"]}');
    };
    expect(await read(ref)).toBe(canary);
  });

  it('is unavailable where the policy does not let it be read, and the path for the policy is named', async () => {
    vault.grant(rootToken, null, ['secret/data/other']);
    const { problem, todo } = await refusal();
    expect(problem).toBe(`Vault does not let this login read ${path} (403)`);
    expect(todo).toContain('capability "read"');
    expect(count(`GET ${path}`)).toBe(1);
  });

  it('is unavailable with a token that has ended, and there again with another one, without a restart', async () => {
    await read(ref);
    vault.tokens.clear();
    clock.passMs(6 * second);
    const { problem, todo } = await refusal();
    expect(problem).toBe('Vault does not know the token, or it has ended (403)');
    expect(todo).toContain('`vault.auth.token`');
    vault.grant('hvs.second');
    env.VAULT_TOKEN = 'hvs.second\n';
    clock.passMs(2 * second);
    expect(await read(ref)).toBe(canary);
  });

  it('is unavailable where the token itself cannot be read, and its setting is named', async () => {
    delete env.VAULT_TOKEN;
    const { reference, setting, todo } = await refusal();
    expect([reference, setting]).toEqual(['environment variable VAULT_TOKEN', 'vault.auth.token']);
    expect(todo).toContain('`vault.auth.token`');
    env.VAULT_TOKEN = `CANARY two\r\nX-Evil: 1`;
    clock.passMs(2 * second);
    expect((await refusal()).problem).toContain('is not one word of ASCII');
    expect(vault.asked).toEqual([]);
  });

  it('is unavailable where the settings say nothing of Vault', async () => {
    settings = null;
    expect((await refusal()).problem).toContain('do not say how to reach Vault');
  });

  it('is asked for at the other Vault once a reload names one', async () => {
    await read(ref);
    await using other = await VaultStub.listen();
    other.grant(rootToken);
    other.secrets.set(path, { password: 'of the other one' });
    if (settings !== null) settings = { ...settings, address: other.address };
    expect(await read(ref)).toBe('of the other one');
  });
});

describe('what is no answer of Vault', () => {
  const instead = (answer: (response: ServerResponse) => void): void => {
    vault.instead = (_request, response) => answer(response);
  };

  it('a redirect is not followed, and the token stays here', async () => {
    await using other = await VaultStub.listen();
    for (const status of [301, 302, 303, 307, 308]) {
      instead((response) => response.writeHead(status, { location: `${other.address}/v1/${path}` }).end());
      const { problem, vault: trouble } = await refusal();
      expect(problem).toBe(`${vault.address} answers with a redirect (${status}), which is not followed`);
      expect(trouble).toBe('answer');
      clock.passMs(2 * second);
    }
    expect(other.asked).toEqual([]);
  });

  it('a body without end is cut off', async () => {
    let cut = false;
    instead((response) => {
      const more = setInterval(() => response.write(canary.repeat(10_000)), 1);
      response.on('close', () => {
        cut = true;
        clearInterval(more);
      });
    });
    expect((await refusal()).problem).toBe(`${vault.address} sends more than 1048576 bytes`);
    await expect.poll(() => cut).toBe(true);
  });

  it('a page of a proxy, half an answer and other JSON are refused, and nothing of them is shown', async () => {
    const said: (string | null)[] = [];
    for (const body of [
      `<html>${canary}`,
      '',
      '[]',
      '{}',
      '{"data":{"data":"CANARY"}}',
      `{"data":{"password":"${canary}"}}`,
    ]) {
      instead((response) => response.end(body));
      const { problem, vault: trouble } = await refusal();
      expect(trouble).toBe('answer');
      said.push(problem);
      clock.passMs(2 * second);
    }
    expect(new Set(said)).toEqual(new Set([`what lies at ${path} is no secret of a KV engine, version 2`]));
    for (const [status, trouble] of [
      [400, 'answer'],
      [412, 'busy'],
      [418, 'answer'],
      [429, 'busy'],
      [502, 'busy'],
    ] as const) {
      instead((response) => response.writeHead(status).end(JSON.stringify({ errors: [canary] })));
      expect((await refusal()).vault).toBe(trouble);
      clock.passMs(2 * second);
    }
    instead((response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"data":');
      setImmediate(() => response.destroy());
    });
    expect(await refusal()).toMatchObject({ vault: 'unreachable' });
  });

  it('silence ends after five seconds, and the next attempts too', async () => {
    instead(() => {});
    const refused = refusal();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await expect.poll(() => clock.limits.length).toBe(1);
      await expect.poll(() => vault.asked.length).toBe(attempt + 1);
      clock.limits[0]?.();
      if (attempt < 2) await expect.poll(() => clock.pauses.length).toBe(attempt + 1);
    }
    expect(await refused).toMatchObject({
      problem: `${vault.address} did not answer within 5 s`,
      vault: 'unreachable',
    });
  });

  it('a closed port is named with the next step', async () => {
    await vault[Symbol.asyncDispose]();
    const { problem, todo } = await refusal();
    expect(problem).toBe(`${vault.address} cannot be reached: ECONNREFUSED`);
    expect(todo).toContain('`vault.address`');
    vault = await VaultStub.listen();
  });
});

describe('a token that is given', () => {
  it('is renewed at half of its time while it is used, so that a periodic one does not end', async () => {
    vault.tokens.clear();
    vault.grant(rootToken, 3_600);
    for (let minute = 0; minute < 180; minute += 5) {
      expect(await read(ref)).toBe(canary);
      clock.passMs(300 * second);
    }
    expect(count('POST auth/token/renew-self')).toBeGreaterThanOrEqual(4);
    expect(count('POST auth/token/renew-self')).toBeLessThanOrEqual(7);
  });

  it('that may not look itself up is used all the same', async () => {
    vault.instead = (request, response) => {
      const lookup = request.url?.endsWith('lookup-self') === true;
      response.statusCode = lookup ? 403 : 200;
      response.end(JSON.stringify(lookup ? { errors: [] } : { data: { data: { password: 'x' } } }));
    };
    expect(await read(ref)).toBe('x');
  });
});

describe('an AppRole', () => {
  it('logs in once, and its token is renewed while it is used', async () => {
    byRole();
    for (let minute = 0; minute < 100; minute += 10) {
      expect(await read(ref)).toBe(canary);
      clock.passMs(600 * second);
    }
    expect(count('POST auth/approle/login')).toBe(1);
    expect(count('POST auth/token/renew-self')).toBeGreaterThanOrEqual(2);
    expect(count('GET auth/token/lookup-self')).toBe(0);
  });

  it('logs in anew once its token cannot live longer', async () => {
    byRole({ renewable: false });
    await read(ref);
    clock.passMs(3_550 * second);
    await read(ref);
    expect(count('POST auth/approle/login')).toBe(2);
    byRole({ renewSeconds: 600 });
    vault.asked.length = 0;
    await read(ref);
    for (let minute = 0; minute < 120; minute += 1) {
      clock.passMs(60 * second);
      expect(await read(ref)).toBe(canary);
    }
    // Renewed for ten minutes near its end, and not every minute from then on.
    expect(count('POST auth/token/renew-self')).toBeLessThan(10);
  });

  it('logs in anew where its token was revoked, and the read succeeds', async () => {
    byRole();
    await read(ref);
    clock.passMs(20 * second);
    vault.tokens.clear();
    expect(await Promise.all([read(ref), read(ref)])).toEqual([canary, canary]);
    expect(count('POST auth/approle/login')).toBe(2);
  });

  it('that may not read the path does not log in again and again', async () => {
    byRole({ reads: [] });
    for (let time = 0; time < 5; time += 1) {
      expect((await refusal()).vault).toBe('forbidden');
      clock.passMs(30 * second);
    }
    expect(count('POST auth/approle/login')).toBe(1);
  });

  it('whose secret_id is refused says so, and takes a new one without a restart', async () => {
    byRole({ secretId: 'second' });
    const { problem, todo } = await refusal();
    expect(problem).toBe('Vault refuses the AppRole login (400)');
    expect(todo).toContain('secret_id');
    env.SECRET_ID = 'second';
    clock.passMs(2 * second);
    expect(await read(ref)).toBe(canary);
  });

  it('is logged in to once by a fleet', async () => {
    byRole();
    const fleet = Array.from({ length: 50 }, (_, n) => {
      vault.secrets.set(`secret/data/fw${n}`, { password: `${n}` });
      return read({ vault: { mount: 'secret', path: `fw${n}`, key: 'password' } });
    });
    expect((await Promise.all(fleet)).join()).toBe(Array.from({ length: 50 }, (_, n) => n).join());
    expect(count('POST auth/approle/login')).toBe(1);
  });

  it('is at work during a renewal that fails for want of a Vault, as long as the token lives', async () => {
    byRole();
    await read(ref);
    clock.passMs(2_000 * second);
    const ways = [
      (response: ServerResponse) => response.writeHead(502).end(),
      (response: ServerResponse) => response.destroy(),
    ];
    for (const [n, way] of ways.entries()) {
      vault.instead = (request, response) => {
        if (request.url?.endsWith('renew-self') === true) way(response);
        else response.end(JSON.stringify({ data: { data: { password: `${n}` } } }));
      };
      expect(await read(ref)).toBe(`${n}`);
      clock.passMs(6 * second);
    }
    expect(count('POST auth/token/renew-self')).toBe(2);
  });
});

describeWith('openssl', 'Vault over TLS', () => {
  /** A CA and a certificate of it for this name; `SAN` as openssl writes it. */
  function issue(san: string, days = 2): { ca: string; key: string; cert: string } {
    const dir = temporaryDir();
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', String(days)];
    openssl('req', '-x509', ...key, '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', `subjectAltName=${san}`];
    const not = ['-addext', 'basicConstraints=critical,CA:FALSE'];
    openssl('req', '-x509', ...key, ...by, ...not, '-subj', '/CN=v', '-keyout', 'v.key', '-out', 'v.pem');
    const file = (name: string) => readFileSync(join(dir, name), 'latin1');
    return { ca: join(dir, 'ca.pem'), key: file('v.key'), cert: file('v.pem') };
  }

  async function behindTls(san: string): Promise<string> {
    const { ca, key, cert } = issue(san);
    await vault[Symbol.asyncDispose]();
    vault = await VaultStub.listen({ key, cert });
    vault.grant(rootToken);
    vault.secrets.set(path, { password: canary });
    if (settings !== null) settings = { ...settings, address: vault.address, caFile: ca };
    return ca;
  }

  it('is read where the CA of the settings signed its certificate', async () => {
    await behindTls('IP:127.0.0.1');
    expect(await read(ref)).toBe(canary);
  });

  it('gets no token where another CA, or none that is trusted, signed it, whatever the environment says', async () => {
    await behindTls('IP:127.0.0.1');
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      for (const caFile of [issue('IP:127.0.0.1').ca, null]) {
        if (settings !== null) settings = { ...settings, caFile };
        const { vault: trouble, todo } = await refusal();
        expect(trouble).toBe('untrusted');
        expect(todo).toContain('vault.ca_file');
      }
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
    expect(vault.asked).toEqual([]);
  });

  it('gets no token where the certificate is for another name', async () => {
    await behindTls('DNS:vault.example.net');
    expect((await refusal()).vault).toBe('untrusted');
    expect(vault.asked).toEqual([]);
  });

  it('takes a CA file that was replaced, and refuses one that is empty or gone', async () => {
    const ca = await behindTls('IP:127.0.0.1');
    const right = readFileSync(ca);
    writeFileSync(ca, '');
    expect(await refusal()).toMatchObject({
      vault: 'untrusted',
      problem: expect.stringContaining('no certificate'),
    });
    writeFileSync(ca, right);
    clock.passMs(2 * second);
    expect(await read(ref)).toBe(canary);
    if (settings !== null) settings = { ...settings, caFile: join(temporaryFile('', 'x'), 'none') };
    expect(await refusal()).toMatchObject({ vault: 'untrusted' });
  });
});
