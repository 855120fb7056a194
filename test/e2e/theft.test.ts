import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { inflateSync, unzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { casesOf, type FixtureCase, loadCase } from '../support/devices/cases.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { type BackupLine, deviceYaml, Workspace } from '../support/workspace.ts';

/*
 * Somebody takes the whole of state_dir, after a life with everything in it: readings of every platform, archives,
 * failures with their transcripts, a reading in quarantine, one that waits in the spool. No secret is in it, and nothing
 * by which a guess at one could be tried. Then somebody has the repository alone.
 */

const platforms = ['cisco_asa', 'cisco_ios', 'f5_bigip', 'fortinet_fortigate', 'paloalto_panos'] as const;
/** Every fixture with secrets of its own that one login can read: what a device keeps back is tested with its driver. */
const cases = platforms.flatMap((platform) =>
  casesOf(platform).filter(({ secrets, device }) => secrets.length > 0 && device.methods === undefined),
);
const passphrase = 'c4n4ryPassphraseOfArchives';
const password = 'c4n4ryPasswordOfAll';

const nameOf = ({ platform, name }: FixtureCase): string =>
  `${platform}-${name}`.replaceAll('_', '-').slice(0, 60);
const quoted = (value: unknown): string => JSON.stringify(value);

describe('a theft', () => {
  const workspace = new Workspace();
  const devices = new Map<string, FakeDevice>();
  /** Every secret that a configuration held, by its text. */
  const secrets = new Set<string>([password, passphrase]);
  /** What was displayed and sealed: one character per byte. */
  const clearTexts = new Set<string>();
  const rounds: Map<string, BackupLine>[] = [];
  let fingerprintKey = '';
  const lock = join(workspace.repository, 'refs/heads/main.lock');

  /** One device is read by one session: each round ends before the next begins. */
  async function round(...names: string[]): Promise<Map<string, BackupLine>> {
    const { lines, stderr } = await workspace.backup(...names);
    if (lines.size === 0) throw new Error(stderr);
    rounds.push(lines);
    return lines;
  }

  beforeAll(async () => {
    await workspace.init();
    fingerprintKey = readFileSync(join(workspace.dir, 'fingerprint.key'), 'latin1').trim();
    writeFileSync(join(workspace.dir, 'phrase'), `${passphrase}\n`, { mode: 0o600 });
    workspace.env.TEST_PASSWORD = password;
    let inventory = `credentials:\n  readonly: { username: backup, password: { env: TEST_PASSWORD }, enable: true, logins_per_second: 50 }\ndevices:\n`;
    for (const fixture of cases) {
      const { device, platform } = fixture;
      const started = await startFakeDevice({ ...device, username: 'backup', password, enable: password });
      devices.set(nameOf(fixture), started);
      const archive = { ucs: { schedule: '0 3 * * 0', passphrase: { file: './phrase' } } };
      const options =
        platform === 'f5_bigip' && fixture.name === 'typical'
          ? { ...fixture.options, ...archive }
          : fixture.options;
      inventory += deviceYaml(
        { name: nameOf(fixture), platform, port: started.port, hostKey: started.fingerprint },
        `options: ${quoted(options)}`,
      );
      for (const secret of fixture.secrets) secrets.add(secret);
    }
    workspace.inventory(inventory);
    const settings = readFileSync(workspace.config, 'utf8');
    writeFileSync(workspace.config, `${settings}\ntranscripts: failed\n`);

    await round();
    // Nothing changed but what is encrypted anew at every display.
    await round();
    const [asa, forti] = ['cisco-asa-typical', 'fortinet-fortigate-typical'] as const;
    devices.get(asa)?.setFaults({ cutAt: { command: 'more', byte: 2_500 } });
    devices.get(forti)?.setFaults({ replace: { command: 'show', with: 'Command fail. Return code -61\n' } });
    await round(asa, forti);
    devices.get(asa)?.setFaults({});
    devices.get(forti)?.setFaults({});
    // Half of it is gone: held.
    const { config } = loadCase('cisco_asa', 'typical').device;
    devices.get(asa)?.change(config.replace(/^(interface|object|access-list|snmp-server| )[^\n]*\n/gm, ''));
    await round(asa);
    // Somebody else holds the lock of main: what is read waits in the spool.
    devices
      .get('paloalto-panos-typical')
      ?.change(
        loadCase('paloalto_panos', 'typical').device.config.replace(
          /^set .*$/m,
          (line) => `${line}\nset deviceconfig system timezone UTC`,
        ),
      );
    const inAnHour = Date.now() / 1_000 + 3_600;
    writeFileSync(lock, '');
    utimesSync(lock, inAnHour, inAnHour);
    await round('paloalto-panos-typical');

    const displayed = [...devices.values()].flatMap((device) => device.displayed.map(({ text }) => text));
    for (const text of displayed)
      for (const [, encrypted = ''] of text.matchAll(/\bENC ([A-Za-z0-9+/=]{12,})/g)) secrets.add(encrypted);
    // One without a secret is in git as it is.
    for (const text of displayed)
      if ([...secrets].some((secret) => text.includes(secret))) clearTexts.add(text);
  }, 600_000);

  afterAll(async () => {
    for (const device of devices.values()) await device.stop();
    workspace[Symbol.dispose]();
  });

  it('comes after a whole life: stored, unchanged, failed, held, waiting, and an archive', () => {
    const outcomes = rounds.map((lines) =>
      [...lines.values()].map(({ outcome, error }) => error?.code ?? outcome),
    );
    const [first = [], second = [], failures, held, waiting] = outcomes;
    expect(first.filter((outcome) => outcome !== 'changed')).toEqual([]);
    expect(second.filter((outcome) => outcome !== 'unchanged')).toEqual([]);
    expect(failures).toHaveLength(2);
    expect(held).toEqual(['verify.shrunk']);
    expect(waiting).toEqual(['store.locked']);
    const below = (dir: string) =>
      readdirSync(join(workspace.state, dir)).filter((name) => !name.startsWith('.'));
    expect(below('spool').filter((name) => name.endsWith('.json'))).toHaveLength(1);
    expect(below('spool/quarantine')).toHaveLength(1);
    expect(below('transcripts')).toHaveLength(3);
    expect(below('artefacts').length).toBeGreaterThan(10);
    expect(new Set(cases.map(({ platform }) => platform))).toEqual(new Set(platforms));
    expect(secrets.size).toBeGreaterThan(150);
    using ledger = new DatabaseSync(join(workspace.state, 'ledger.db'));
    expect(ledger.prepare('SELECT count(*) AS n FROM archive WHERE digest IS NOT NULL').get()).toEqual({
      n: 1,
    });
  });

  /** Everything below state_dir, by where it lies: as it is, unpacked where it is packed, and row by row. */
  async function taken(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const walk = (dir: string): void => {
      for (const name of readdirSync(dir)) {
        const path = join(dir, name);
        const stat = statSync(path);
        if (stat.isDirectory()) walk(path);
        else if (stat.isFile()) {
          const octets = readFileSync(path);
          found.set(path, octets.toString('latin1'));
          for (const unpack of [inflateSync, unzipSync])
            try {
              found.set(`${path}, unpacked`, unpack(octets).toString('latin1'));
            } catch {}
        }
      }
    };
    walk(workspace.state);
    found.set('objects of git', await workspace.git('cat-file', '--batch-all-objects', '--batch'));
    using ledger = new DatabaseSync(join(workspace.state, 'ledger.db'));
    const tables = ledger.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).all();
    // A page can end in the middle of a value.
    for (const { name } of tables)
      found.set(
        `table ${name}`,
        JSON.stringify(ledger.prepare(`SELECT * FROM "${name}"`).all(), octetsAsHex),
      );
    return found;
  }

  it('of the whole state directory gives no secret, in any form, and no digest of one', async () => {
    const files = await taken();
    expect(files.size).toBeGreaterThan(100);
    expect([...files.keys()].join('\n')).toMatch(/transcripts[\s\S]*table run/);
    const wanted = [...secrets]
      .filter((secret) => secret.length >= 6)
      .map((secret) => ({ secret, in: formsOf(secret) }));
    const wrong = [...files].flatMap(([where, text]) =>
      wanted
        .filter((one) => one.in.some((form) => text.includes(form)))
        .map(({ secret }) => `${where}: ${secret}`),
    );
    expect(wrong).toEqual([]);
    for (const [where, text] of files) expect(text.includes(fingerprintKey), where).toBe(false);
  }, 300_000);

  it('of the whole state directory gives no digest of a clear text, and none of a line of it', async () => {
    const files = await taken();
    const everything = [...files.values()].join('\n');
    const lines = [...clearTexts].flatMap((text) =>
      text.split('\n').filter((line) => [...secrets].some((secret) => line.includes(secret))),
    );
    expect(lines.length).toBeGreaterThan(100);
    const wrong = [...clearTexts, ...new Set(lines)].filter((text) =>
      digestsOf(text).some((digest) => everything.includes(digest)),
    );
    expect(wrong).toEqual([]);
  }, 300_000);

  it('of the repository alone gives nothing to try a guess with: no unkeyed mask, no size of what is hidden', async () => {
    const objects = await workspace.git('cat-file', '--batch-all-objects', '--batch');
    const masks = new Set([...objects.matchAll(/<secret:([0-9a-f]{6})>/g)].map(([, mask = '']) => mask));
    expect(masks.size).toBeGreaterThan(50);
    const kinds = ['password', 'hash', 'shared-key', 'community', 'private-key', 'token'];
    const guessed = cases.flatMap((fixture) =>
      fixture.secrets.flatMap((secret) => [
        ...digestsOf(secret),
        // Whoever has the source knows how a mask is made, and not the key.
        ...[Buffer.alloc(0), Buffer.alloc(32)].flatMap((key) =>
          kinds.map((kind) => maskOf(key, nameOf(fixture), kind, secret)),
        ),
      ]),
    );
    const hits = guessed.filter((digest) => masks.has(digest.slice(0, 6)));
    // One guess of 16.7 million meets a mask by chance; there are some thousand guesses at some hundred masks.
    expect(hits.length).toBeLessThan(5);
    const messages = await workspace.git('log', '--all', '--format=%B');
    const numbers = new Set(messages.match(/(?<![\w.:-])\d{4,}(?![\w.:-])/g) ?? []);
    expect([...clearTexts].filter((text) => numbers.has(String(text.length)))).toEqual([]);
  }, 300_000);

  it('gives other masks once the key was changed, and the device is not said to have changed', async () => {
    const name = 'cisco-ios-typical';
    const masksNow = async (): Promise<readonly string[]> => {
      const text = await workspace.git('show', `main:default/${name}/running-config.cfg`);
      return [...text.matchAll(/<secret:([0-9a-f]{6})>/g)].map(([, mask = '']) => mask);
    };
    const before = await masksNow();
    const { config } = loadCase('cisco_ios', 'typical').device;
    const [community = ''] = /(?<=snmp-server community )\S+/.exec(config) ?? [];
    const maskWith = (key: string): string =>
      maskOf(Buffer.from(key, 'hex'), name, 'community', community).slice(0, 6);
    expect(before).toContain(maskWith(fingerprintKey));
    rmSync(lock);
    const other = randomBytes(32).toString('hex');
    writeFileSync(join(workspace.dir, 'fingerprint.key'), `${other}\n`);
    const line = (await round(name)).get(name);
    expect(line).toMatchObject({ outcome: 'changed', under_new_rules: true });
    expect(await workspace.git('log', '-1', '--format=%s', 'main')).toBe(
      `${name}: re-read under new rules\n`,
    );
    const after = await masksNow();
    expect(after).toContain(maskWith(other));
    expect(after).toHaveLength(before.length);
    expect(after.filter((mask) => before.includes(mask))).toEqual([]);
    expect((await round(name)).get(name)).toMatchObject({ outcome: 'unchanged', under_new_rules: false });
  }, 120_000);

  it('is looked for in the right way: what is planted is found', () => {
    const [first = ''] = secrets;
    for (const form of formsOf(first))
      expect(formsOf(first).some((one) => `x${form}x`.includes(one))).toBe(true);
    expect(formsOf('abc')).toContain(createHash('sha1').update('blob 3\0abc').digest('hex'));
    expect(Buffer.from(`x${first}`, 'latin1').toString('base64')).toSatisfy((text: string) =>
      formsOf(first).some((form) => text.includes(form)),
    );
  });
});

function octetsAsHex(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}

/** As src/pipeline/mask.ts makes it, before it is cut. */
function maskOf(key: Buffer, device: string, kind: string, secret: string): string {
  return createHmac('sha256', key)
    .update(`${device}\0${kind}\0`, 'utf8')
    .update(secret, 'latin1')
    .digest('hex');
}

/** A text as it may be written down. */
function formsOf(text: string): readonly string[] {
  const octets = Buffer.from(text, 'latin1');
  // Base64 of a longer text holds it in one of three ways; what its neighbours decide is left out.
  const aligned = [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), octets])
      .toString('base64')
      .replace(/=+$/, '');
    return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + octets.length) * 8) / 6));
  });
  const forms = [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    octets.toString('hex'),
    ...aligned,
  ];
  return [...new Set([...forms, ...digestsOf(text)])].filter((form) => form.length >= 6);
}

/** How a guess could be tried: digests without a key, as hexadecimal digits and as base64, with and without a line feed. */
function digestsOf(text: string): readonly string[] {
  return [text, `${text}\n`].flatMap((one) => {
    const octets = Buffer.from(one, 'latin1');
    const made = ['md5', 'sha1', 'sha256', 'sha512'].map((name) => createHash(name).update(octets).digest());
    const blob = createHash('sha1').update(`blob ${octets.length}\0`).update(octets).digest();
    const keyless = createHmac('sha256', '').update(octets).digest();
    return [...made, blob, keyless].flatMap((digest) => [
      digest.toString('hex'),
      digest.toString('base64').replace(/=+$/, ''),
    ]);
  });
}
