import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blobType, fingerprint, type PinnedKey } from '../../src/transport/host-keys.ts';
import { openHostKeys, parseKnownHosts } from '../../src/transport/known-hosts.ts';
import { generateKey } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';

const run = promisify(execFile);

/** A blob of this type; it has only to look like a key. */
function blob(type: string, seed: string): Buffer {
  const field = (text: string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    return Buffer.concat([length, Buffer.from(text, 'latin1')]);
  };
  return Buffer.concat([field(type), field(seed)]);
}

function key(host: string, port: number, seed: string, type = 'ssh-ed25519'): PinnedKey {
  return { host, port, type, blob: blob(type, seed) };
}

const base64 = (seed: string, type = 'ssh-ed25519') => blob(type, seed).toString('base64');

describe('reading known_hosts', () => {
  it('plain names, ports, lists and comments are understood', () => {
    const known = parseKnownHosts(
      [
        '# a comment',
        '',
        `fw1 ssh-ed25519 ${base64('a')} put in by hand`,
        `[fw2]:2222,FW3 ssh-rsa ${base64('b', 'ssh-rsa')}`,
        `fw1\tssh-rsa\t${base64('c', 'ssh-rsa')}\r`,
        `::1 ssh-ed25519 ${base64('d')}`,
      ].join('\n'),
    );
    expect(known.problems).toEqual([]);
    expect(known.of('fw1', 22)).toEqual([key('fw1', 22, 'a'), key('fw1', 22, 'c', 'ssh-rsa')]);
    expect(known.of('FW1', 22)).toHaveLength(2);
    expect(known.of('fw1', 2222)).toEqual([]);
    expect(known.of('fw2', 2222)).toHaveLength(1);
    expect(known.of('fw2', 22)).toEqual([]);
    expect(known.of('fw3', 22)).toHaveLength(1);
    expect(known.of('::1', 22)).toHaveLength(1);
  });

  it('hashed names are understood', () => {
    const salt = Buffer.from('0123456789abcdefghij');
    const hash = createHmac('sha1', salt).update('[fw1]:2222').digest('base64');
    const known = parseKnownHosts(`|1|${salt.toString('base64')}|${hash} ssh-ed25519 ${base64('a')}\n`);
    expect(known.of('fw1', 2222)).toHaveLength(1);
    expect(known.of('fw1', 22)).toEqual([]);
  });

  it('a revoked key is trusted for no host, wherever its line stands', () => {
    const known = parseKnownHosts(
      [
        `fw1 ssh-ed25519 ${base64('a')}`,
        `fw1 ssh-ed25519 ${base64('b')}`,
        `@revoked * ssh-ed25519 ${base64('a')}`,
      ].join('\n'),
    );
    expect(known.of('fw1', 22)).toEqual([key('fw1', 22, 'b')]);
    expect(known.revoked(blob('ssh-ed25519', 'a'))).toBe(true);
  });

  it('certificate authorities pin nothing', () => {
    const known = parseKnownHosts(`@cert-authority fw1 ssh-ed25519 ${base64('a')}`);
    expect(known.of('fw1', 22)).toEqual([]);
    expect(known.problems).toEqual([]);
  });

  it.each([
    ['too few fields', 'fw1 ssh-ed25519'],
    ['a key that is not base64', 'fw1 ssh-ed25519 AAAA!'],
    ['a key that was cut', `fw1 ssh-ed25519 ${base64('a').slice(0, 12)}`],
    ['another type than the key has', `fw1 ssh-rsa ${base64('a')}`],
    ['an SSH 1 key', 'fw1 1024 35 123456789'],
    ['an unknown marker', `@trusted fw1 ssh-ed25519 ${base64('a')}`],
    ['a wildcard', `* ssh-ed25519 ${base64('a')}`],
    ['a negation', `!fw2,fw? ssh-ed25519 ${base64('a')}`],
  ])('a line with %s pins nothing and is reported', (_what, line) => {
    const known = parseKnownHosts(`fw9 ssh-ed25519 ${base64('z')}\n${line}\n`);
    expect(known.problems.map((problem) => problem.line)).toEqual([2]);
    for (const host of ['fw1', '*', 'fw?', 'anything']) expect(known.of(host, 22)).toEqual([]);
    expect(known.of('fw9', 22)).toHaveLength(1);
  });

  it('no text makes it throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const known = parseKnownHosts(`${text}\n|1|${text}|${text} ssh-ed25519 ${base64('a')}`);
        known.of('fw1', 22);
        known.of(text, 1);
      }),
    );
  });

  it('a fingerprint and a type are read from any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fingerprint(Buffer.from(bytes))).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
        blobType(Buffer.from(bytes));
      }),
    );
  });
});

describe('the file of pinned keys', () => {
  let dir: string;
  let file: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'roundsman-keys-'));
    file = join(dir, 'known_hosts');
  });
  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  it('pins are kept, in a file that nobody else can read, without a trace of the writing', async () => {
    const keys = openHostKeys(file);
    expect(keys.of('fw1', 22)).toEqual([]);
    await keys.pin([key('fw1', 22, 'a'), key('fw2', 2222, 'b')]);
    expect(await readFile(file, 'latin1')).toBe(
      `fw1 ssh-ed25519 ${base64('a')}\n[fw2]:2222 ssh-ed25519 ${base64('b')}\n`,
    );
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['known_hosts']);
    expect(openHostKeys(file).of('fw2', 2222)).toEqual([key('fw2', 2222, 'b')]);
  });

  it('lines that are there stay as they are, damaged ones too', async () => {
    const before = `# mine\nfw9 broken\nfw1 ssh-ed25519 ${base64('a')} note`;
    await writeFile(file, before);
    const keys = openHostKeys(file);
    await keys.pin([key('fw1', 22, 'b')]);
    expect(await readFile(file, 'latin1')).toBe(`${before}\nfw1 ssh-ed25519 ${base64('b')}\n`);
    expect(keys.problems()).toEqual([{ line: 2, problem: expect.any(String) }]);
    expect(keys.of('fw1', 22)).toHaveLength(2);
  });

  it('a key that is pinned already is not added again, nor twice from one list', async () => {
    const keys = openHostKeys(file);
    await keys.pin([key('fw1', 22, 'a'), key('fw1', 22, 'a')]);
    const before = await stat(file);
    await keys.pin([key('fw1', 22, 'a')]);
    expect((await stat(file)).ino).toBe(before.ino);
    expect(keys.of('fw1', 22)).toHaveLength(1);
  });

  it('pins made at the same time are all kept', async () => {
    const keys = openHostKeys(file);
    await Promise.all(Array.from({ length: 20 }, (_, n) => keys.pin([key(`fw${n}`, 22, `k${n}`)])));
    for (let n = 0; n < 20; n++) expect(keys.of(`fw${n}`, 22)).toHaveLength(1);
  });

  it('replacing takes all keys of one host and leaves the other names of their lines', async () => {
    const salt = Buffer.from('0123456789abcdefghij');
    const hashed = `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update('fw1').digest('base64')}`;
    await writeFile(
      file,
      [
        `fw1,192.0.2.1 ssh-ed25519 ${base64('a')} note`,
        `fw1 ssh-rsa ${base64('b', 'ssh-rsa')}`,
        `${hashed} ssh-ed25519 ${base64('c')}`,
        `[fw1]:2222 ssh-ed25519 ${base64('d')}`,
        `@revoked fw1 ssh-ed25519 ${base64('e')}`,
        '',
      ].join('\n'),
    );
    const keys = openHostKeys(file);
    await keys.replace('fw1', 22, [key('fw1', 22, 'new')]);
    expect(await readFile(file, 'latin1')).toBe(
      [
        `192.0.2.1 ssh-ed25519 ${base64('a')} note`,
        `[fw1]:2222 ssh-ed25519 ${base64('d')}`,
        `@revoked fw1 ssh-ed25519 ${base64('e')}`,
        `fw1 ssh-ed25519 ${base64('new')}`,
        '',
      ].join('\n'),
    );
  });

  it('a revoked key cannot be pinned', async () => {
    const before = `@revoked * ssh-ed25519 ${base64('a')}\n`;
    await writeFile(file, before);
    const keys = openHostKeys(file);
    await expect(keys.pin([key('fw1', 22, 'a')])).rejects.toMatchObject({ name: 'OperationError' });
    await expect(keys.replace('fw1', 22, [key('fw1', 22, 'a')])).rejects.toMatchObject({
      name: 'OperationError',
    });
    expect(await readFile(file, 'latin1')).toBe(before);
    await keys.pin([key('fw1', 22, 'b')]);
    expect(keys.of('fw1', 22)).toHaveLength(1);
  });

  it('a pin by another process is seen without a restart', async () => {
    const daemon = openHostKeys(file);
    expect(daemon.of('fw1', 22)).toEqual([]);
    await openHostKeys(file).pin([key('fw1', 22, 'a')]);
    expect(daemon.of('fw1', 22)).toHaveLength(1);
    await rm(file);
    expect(daemon.of('fw1', 22)).toEqual([]);
  });

  it('a file that cannot be read is a failure, not an empty list', async () => {
    await chmod(dir, 0o700);
    const keys = openHostKeys(dir);
    expect(() => keys.of('fw1', 22)).toThrow('store.io');
  });

  it('a file that cannot be written leaves nothing behind', async () => {
    const keys = openHostKeys(join(dir, 'absent', 'known_hosts'));
    await expect(keys.pin([key('fw1', 22, 'a')])).rejects.toMatchObject({ code: 'store.io' });
    expect(await readdir(dir)).toEqual([]);
  });

  it('a host name that would become another line is refused', async () => {
    const keys = openHostKeys(file);
    for (const host of ['fw1 ssh-rsa', 'fw1,fw2', '#fw1', '@revoked', '*', 'a\nb', '']) {
      await expect(keys.pin([key(host, 22, 'a')])).rejects.toThrow('known_hosts');
    }
    expect(await readdir(dir)).toEqual([]);
  });

  describeWith('ssh-keygen', 'together with OpenSSH', () => {
    it('ssh-keygen finds what we wrote, and we find what it hashed', async () => {
      await generateKey(join(dir, 'key'), 'ed25519');
      const [type = '', text = ''] = (await readFile(join(dir, 'key.pub'), 'utf8')).split(' ');
      const pinned = { host: 'fw1.example', port: 2222, type, blob: Buffer.from(text, 'base64') };
      const keys = openHostKeys(file);
      await keys.pin([pinned, { ...pinned, host: 'fw2', port: 22 }]);
      const shown = await run('ssh-keygen', ['-l', '-F', '[fw1.example]:2222', '-f', file]);
      expect(shown.stdout).toContain(fingerprint(pinned.blob));
      await run('ssh-keygen', ['-H', '-f', file]);
      expect(await readFile(file, 'latin1')).not.toContain('fw1');
      expect(keys.of('fw1.example', 2222)).toEqual([pinned]);
      await keys.replace('fw2', 22, []);
      expect(keys.of('fw2', 22)).toEqual([]);
      expect(keys.of('fw1.example', 2222)).toEqual([pinned]);
    });
  });
});
