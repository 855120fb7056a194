import fc from 'fast-check';
import { expect, describe as group, test } from 'vitest';
import { catalogue, describe, identityGround } from '../../src/core/catalogue.ts';
import { harmless } from '../../src/core/display.ts';
import type { Details, ErrorCode, Failure, VaultTrouble } from '../../src/core/errors.ts';

const samples: { [C in ErrorCode]: Details[C] } = {
  'inventory.invalid': { file: 'devices.yaml', path: 'devices[0].host', problem: 'expected a host' },
  'inventory.unknown-platform': { platform: 'cisco_aas', known: ['cisco_asa', 'f5_bigip'] },
  'inventory.secret-unavailable': { reference: 'env RM_PASSWORD', problem: 'not set' },
  'credentials.held-back': { credential: 'readonly', rejectedBy: ['fw1', 'fw2'], sinceMs: 0 },
  'connect.unresolved': { host: 'fw1.example' },
  'connect.refused': { host: '192.0.2.1', port: 22 },
  'connect.unreachable': { host: '192.0.2.1', port: 22, errno: 'EHOSTUNREACH' },
  'connect.timeout': { host: '192.0.2.1', port: 22, afterMs: 15_000 },
  'connect.protocol': { received: 'HTTP/1.1 400 Bad Request' },
  'connect.lost-before-login': { afterMs: 200 },
  'connect.jump': {
    hop: 'bastion',
    host: '192.0.2.1',
    port: 22,
    code: 'connect.timeout',
    says: 'no connection to 192.0.2.1 port 22 within 15 s',
    todo: 'check that the jump host is up and that no firewall drops the connection',
  },
  'connect.no-common-algorithm': {
    kind: 'kex',
    offered: ['diffie-hellman-group14-sha1'],
    allowable: ['diffie-hellman-group14-sha1'],
  },
  'connect.host-key-unknown': { fingerprint: 'SHA256:aaa' },
  'connect.host-key-changed': { expected: 'SHA256:aaa', presented: 'SHA256:bbb' },
  'login.rejected': { username: 'backup', methods: ['password'] },
  'login.enable-rejected': { username: 'backup' },
  'login.method-unavailable': { offered: ['publickey'], wanted: ['password'] },
  'login.question-unknown': { question: 'Token:' },
  'login.password-expired': { username: 'backup' },
  'login.prompt-unrecognised': { lastLine: 'menu>', expected: ['fw1#'] },
  'collect.command-refused': { command: 'show run', reply: '% Invalid input' },
  'collect.stalled': { command: 'show run', idleMs: 60_000, receivedBytes: 4_096 },
  'collect.connection-lost': { command: 'show run', receivedBytes: 4_096 },
  'collect.too-long': { limitMs: 1_800_000 },
  'collect.too-large': { limitBytes: 67_108_864 },
  'collect.standby': { ha: 'Secondary - Standby Ready' },
  'collect.not-ready': { reply: 'The connection to mcpd has been lost' },
  'collect.archive-failed': { archive: 'ucs', step: 'make', reply: 'There is not enough space on /var' },
  'verify.incomplete': { artefact: 'running-config', because: 'no `: end`', lines: 63 },
  'verify.shrunk': {
    artefact: 'running-config',
    previousLines: 100,
    lines: 10,
    lostSections: ['router bgp'],
  },
  'verify.prefix': { artefact: 'running-config', previousObjects: 100, objects: 10 },
  'verify.downgraded': { was: 'yes', is: 'no', because: 'secrets are starred' },
  'verify.identity': { expected: 'fw1', presented: 'fw9' },
  'redact.leak': { artefact: 'running-config', rule: 'snmp', line: 12 },
  'store.locked': { lockFile: '/s/main.lock', heldForMs: 1_000 },
  'store.disk-full': { path: '/s', freeBytes: 0 },
  'store.read-only': { path: '/s' },
  'store.permission': { path: '/s' },
  'store.io': { path: '/s', errno: 'EIO' },
  'store.seal-failed': { recipient: 'age1x' },
  'store.foreign-tip': { expected: 'aaa', found: 'bbb' },
  'store.git-failed': { command: 'fast-import', exitCode: 128, stderr: 'fatal: x' },
  'record.busy': { waitedMs: 5_000 },
  'record.failed': { problem: 'disk I/O error' },
  'run.interrupted': { by: 'signal' },
  'bug.unexpected': { thrown: 'TypeError: x' },
};

const failures = Object.entries(samples).map(([code, detail]) => ({ code, detail }) as Failure);

function said(code: ErrorCode, where = {}): { message: string; todo: string } {
  const failure = failures.find((candidate) => candidate.code === code);
  if (failure === undefined) throw new Error(code);
  return describe(failure, where);
}

/** The same detail with every string in it (and in its lists) replaced. */
function withText(detail: object, text: string): object {
  return Object.fromEntries(
    Object.entries(detail).map(([key, value]) => {
      if (typeof value === 'string') return [key, text];
      return [key, Array.isArray(value) ? [text, text] : value];
    }),
  );
}

group('every code', () => {
  test('has an entry and a sample here', () => {
    expect(Object.keys(samples).sort()).toEqual(Object.keys(catalogue).sort());
  });

  test.each(failures)('$code says what happened and what to do, in one line each', (failure) => {
    const { message, todo } = describe(failure);
    for (const line of [message, todo]) {
      expect(line).toMatch(/^\S.{10,}\S$/);
      expect(line).not.toMatch(/\.$|undefined|NaN|\[object/);
    }
  });

  const unions = new Set(['connect.no-common-algorithm', 'collect.archive-failed', 'run.interrupted']);
  test.each(failures.filter(({ code }) => !unions.has(code)))(
    '$code stays one harmless line of bounded length, whatever a device says',
    ({ code, detail }) => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
          const { message, todo } = describe({ code, detail: withText(detail, text) } as Failure);
          for (const line of [message, todo]) {
            expect(line).toBe(harmless(line));
            expect(line).not.toMatch(/[\n\r\t]/);
            expect(line.length).toBeLessThan(8_000);
          }
        }),
        { numRuns: 50 },
      );
    },
  );

  test('an escape sequence in a prompt is written out', () => {
    const failure: Failure = {
      code: 'login.prompt-unrecognised',
      detail: { lastLine: '\x1b]0;pwned\x07 \x9b2J\r\n\u0000', expected: [] },
    };
    expect(describe(failure).message).toContain('"\\x1b]0;pwned\\x07 \\x9b2J\\x0d\\x0a\\x00"');
  });

  test('another device than the inventory expects is cured there, not by accepting it', () => {
    const todo = (ground: string): string =>
      describe({
        code: 'verify.identity',
        detail: { expected: `hostname fw1 (${ground})`, presented: 'hostname fw9' },
      }).todo;
    expect(todo(identityGround.expect)).toMatch(/correct `expect`/);
    expect(todo(identityGround.expect)).not.toMatch(/run `roundsman accept/);
    expect(todo(identityGround.seen)).toMatch(/run `roundsman accept/);
    expect(todo(identityGround.seen)).not.toContain('`expect`');
  });

  test('UTF-8 bytes of a device are read as UTF-8', () => {
    const question = Buffer.from('Schlüssel?').toString('latin1');
    expect(describe({ code: 'login.question-unknown', detail: { question } }).message).toContain(
      '"Schlüssel?"',
    );
  });
});

group('what to do', () => {
  test('names the algorithm that would help', () => {
    expect(said('connect.no-common-algorithm').todo).toBe(
      'add `ssh: { allow: [diffie-hellman-group14-sha1] }` to the device, or upgrade its software',
    );
  });

  test('is different where nothing of the offer can be allowed, or nothing is known of it', () => {
    const of = (offered: string[]): string =>
      describe({
        code: 'connect.no-common-algorithm',
        detail: { kind: 'cipher', offered, allowable: [] },
      }).todo;
    expect(of(['arcfour'])).toContain('none of what it offers can be allowed');
    expect(of([])).toContain('ssh -vv');
  });

  test('names the device and the run where they are known, so that commands can be pasted', () => {
    const where = { device: 'fw1', runId: '0197a3c2' };
    expect(said('verify.shrunk', where).todo).toContain('`roundsman diff fw1 0197a3c2`');
    expect(said('verify.shrunk', where).todo).toContain('`roundsman accept fw1`');
    expect(said('connect.host-key-changed', where).todo).toContain('`roundsman trust fw1 --replace`');
    expect(said('bug.unexpected', where).todo).toContain('run 0197a3c2');
  });

  test('leaves placeholders where they are not known', () => {
    expect(said('verify.prefix').todo).toContain('`roundsman diff NAME RUN`');
  });

  test('of a rejected login warns of a lockout, after saying that one attempt was made', () => {
    expect(said('login.rejected').message).toContain('exactly one attempt was made');
    expect(said('login.rejected').todo).toContain('locked out');
    expect(catalogue['login.rejected'].retry).toBe('after-change');
  });

  test('of a secret names the setting that points to it', () => {
    const of = (more: Partial<Details['inventory.secret-unavailable']>) =>
      describe({
        code: 'inventory.secret-unavailable',
        detail: { reference: 'file /etc/key', problem: 'does not exist', ...more },
      }).todo;
    expect(of({})).toContain('correct the reference under `credentials`');
    const named = of({ setting: 'secrets.fingerprint_key' });
    expect(named).toContain('correct `secrets.fingerprint_key`');
    expect(named).not.toContain('credentials');
  });

  test('of a private key that cannot be used says how to make it one that can', () => {
    const of = (key: 'encrypted' | 'wrong-passphrase' | 'other-format' | 'public') =>
      describe({ code: 'inventory.secret-unavailable', detail: { reference: 'key', problem: 'x', key } })
        .todo;
    expect(of('encrypted')).toContain('add `passphrase`');
    expect(of('wrong-passphrase')).toContain('correct `passphrase`');
    expect(of('other-format')).toContain('convert the key: `ssh-keygen -p -f FILE -m PEM`');
    expect(of('public')).toContain('private key');
  });

  test('of a secret that Vault does not give says what to do about that', () => {
    const of = (vault: VaultTrouble) =>
      describe({ code: 'inventory.secret-unavailable', detail: { reference: 'k', problem: 'x', vault } })
        .todo;
    expect(of('unreachable')).toContain('`vault.address`');
    expect(of('untrusted')).toContain('`vault.ca_file`');
    expect(of('sealed')).toContain('unseal Vault');
    expect(of('busy')).toContain('log of Vault');
    expect(of('login')).toContain('new secret_id');
    expect(of('token')).toContain('valid token');
    expect(of('forbidden')).toContain('"read"');
    expect(of('absent')).toContain('vault kv put');
    expect(of('answer')).toContain('load balancer');
  });

  test('of a wrong platform names the nearest one', () => {
    expect(said('inventory.unknown-platform').todo).toContain('did you mean "cisco_asa"?');
  });
});

test('no credential and no host key is tried again by itself', () => {
  for (const [code, { retry }] of Object.entries(catalogue))
    if (/^login\.(rejected|enable|password|method|question)|host-key/.test(code))
      expect(retry).toBe('after-change');
});
