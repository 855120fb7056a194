import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { armor, Encrypter } from 'age-encryption';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openArtefacts } from '../../src/artefacts/store.ts';
import { generateIdentity, unseal, validRecipient } from '../../src/artefacts/unseal.ts';
import { OperationError } from '../../src/core/errors.ts';

let dir: string;
const keys = await generateIdentity();
const others = await generateIdentity();

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'roundsman-artefacts-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const store = (recipients: readonly string[] = [keys.recipient]) =>
  openArtefacts({ dir: join(dir, 'deep', 'artefacts'), recipients });
const opened = async (sealed: Buffer, identity = keys.identity): Promise<string> =>
  (await unseal(sealed, identity)).toString('latin1');

describe('sealed artefacts', () => {
  it('give back the bytes that were sealed', async () => {
    const artefacts = store();
    const text = 'a\0\u00e9\u00ff\r\n'.repeat(1000);
    expect(await opened(await artefacts.read(await artefacts.seal(text)))).toBe(text);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
        const latin1 = Buffer.from(bytes).toString('latin1');
        expect(await opened(await artefacts.read(await artefacts.seal(latin1)))).toBe(latin1);
      }),
      { numRuns: 20 },
    );
  });

  it('are named by the digest of the sealed bytes, which says nothing of the text', async () => {
    const artefacts = store();
    const [first, second] = [await artefacts.seal('text'), await artefacts.seal('text')];
    expect(first).not.toBe(second);
    const bytes = await readFile(artefacts.path(first));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(first);
    expect(artefacts.path(first)).toBe(join(dir, 'deep', 'artefacts', first.slice(0, 2), `${first}.age`));
  });

  it('open for each of several recipients', async () => {
    const artefacts = store([keys.recipient, others.recipient]);
    const sealed = await artefacts.read(await artefacts.seal('text'));
    expect(await opened(sealed)).toBe('text');
    expect(await opened(sealed, others.identity)).toBe('text');
  });

  it('are readable by their owner alone, and leave nothing else behind', async () => {
    const artefacts = store();
    const digest = await artefacts.seal('text');
    const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
    expect(await mode(artefacts.path(digest))).toBe('600');
    expect(await mode(join(dir, 'deep'))).toBe('700');
    expect(await mode(join(dir, 'deep', 'artefacts'))).toBe('700');
    expect(await mode(join(dir, 'deep', 'artefacts', digest.slice(0, 2)))).toBe('700');
    expect(await readdir(join(dir, 'deep', 'artefacts'))).toEqual([digest.slice(0, 2)]);
  });

  it('never leave clear text on the disk', async () => {
    const text = 'canary-in-clear-text '.repeat(50);
    await store().seal(text);
    for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(join(entry.parentPath, entry.name));
      expect(bytes.includes('canary')).toBe(false);
      expect(bytes.includes(gzipSync(text).subarray(10, 30))).toBe(false);
    }
  });

  it('sweep what a killed process left half written, and nothing else', async () => {
    const folder = join(dir, 'deep', 'artefacts');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, '.sealing-1-00ff'), 'x');
    await writeFile(join(folder, 'README'), 'x');
    const digest = await store().seal('text');
    expect((await readdir(folder)).sort()).toEqual([digest.slice(0, 2), 'README'].sort());
  });

  it('can be sealed at the same time', async () => {
    const artefacts = store();
    const texts = Array.from({ length: 20 }, (_, index) => `text ${index}`);
    const digests = await Promise.all(texts.map((text) => artefacts.seal(text)));
    const back = await Promise.all(digests.map(async (digest) => opened(await artefacts.read(digest))));
    expect(back).toEqual(texts);
  });

  it('are gone once removed, and removing twice is no failure', async () => {
    const artefacts = store();
    const digest = await artefacts.seal('text');
    await artefacts.remove(digest);
    await artefacts.remove(digest);
    await expect(artefacts.read(digest)).rejects.toThrow(/is gone/);
  });

  it('are refused when they were tampered with', async () => {
    const artefacts = store();
    const digest = await artefacts.seal('text');
    await writeFile(artefacts.path(digest), 'other');
    await expect(artefacts.read(digest)).rejects.toThrow(OperationError);
  });

  it('are not looked for outside of their folder', async () => {
    await expect(store().read('../../etc/passwd')).rejects.toThrow(/holds no digest/);
  });

  it('name the recipient that nothing can be sealed to', async () => {
    await expect(store(['age1nonsense']).seal('text')).rejects.toMatchObject({
      code: 'store.seal-failed',
      detail: { recipient: 'age1nonsense' },
    });
    await expect(store([]).seal('text')).rejects.toMatchObject({ code: 'store.seal-failed' });
  });

  it('say what the file system said', async () => {
    await writeFile(join(dir, 'file'), '');
    const artefacts = openArtefacts({ dir: join(dir, 'file', 'artefacts'), recipients: [keys.recipient] });
    await expect(artefacts.seal('text')).rejects.toMatchObject({
      code: 'store.io',
      detail: { errno: 'ENOTDIR' },
    });
  });
});

describe('unseal', () => {
  const sealed = async (data: Buffer | string, recipient = keys.recipient): Promise<Buffer> => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    return Buffer.from(await encrypter.encrypt(data));
  };

  it('reads identity files as age-keygen writes them, with several identities', async () => {
    const file = `# created: today\r\n# public key: age1…\r\n${others.identity}\r\n\r\n${keys.identity}\n`;
    expect(await opened(await sealed(gzipSync('text')), file)).toBe('text');
  });

  it('says what to try when the identity does not fit', async () => {
    const error = await unseal(await sealed(gzipSync('text')), others.identity).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(OperationError);
    expect(error.message).toMatch(/cannot be opened/);
    expect(error.todo).toContain('secrets.recipients');
    expect(error.todo).toContain(others.recipient);
    expect(JSON.stringify([error.message, error.todo])).not.toContain(others.identity);
  });

  it.each([
    ['an empty file', '', /no identity/],
    ['comments alone', '# nothing\n', /no identity/],
    ['something else', 'ssh-ed25519 AAAA\n', /no age identity/],
    ['a mistyped identity', `${keys.identity.slice(0, -1)}\n`, /no age identity/],
    ['a plugin identity', 'AGE-PLUGIN-YUBIKEY-1QQQ\n', /plugin/],
    ['an encrypted identity', 'age-encryption.org/v1\n-> scrypt x\n', /itself encrypted/],
  ])('refuses %s without quoting it', async (_what, file, message) => {
    const error = await unseal(await sealed(gzipSync('text')), file).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(OperationError);
    expect(error.message).toMatch(message);
    expect(`${error.message} ${error.todo}`).not.toContain(keys.identity.slice(16, 30));
  });

  it('refuses an armoured, passphrase-protected identity file', async () => {
    const encrypter = new Encrypter();
    encrypter.setPassphrase('x');
    encrypter.setScryptWorkFactor(4);
    const file = armor.encode(await encrypter.encrypt(keys.identity));
    await expect(unseal(Buffer.alloc(0), file)).rejects.toThrow(/itself encrypted/);
  });

  it('refuses what is no sealed copy, or is a damaged one', async () => {
    await expect(opened(Buffer.from('nonsense'))).rejects.toThrow(OperationError);
    await expect(opened(await sealed('not compressed'))).rejects.toThrow(/damaged/);
    const cut = (await sealed(gzipSync('text'))).subarray(0, -1);
    await expect(opened(cut)).rejects.toThrow(OperationError);
  });
});

describe('validRecipient', () => {
  it('tells a recipient from anything else', () => {
    expect(validRecipient(keys.recipient)).toBe(true);
    for (const text of ['', 'age1', keys.identity, `${keys.recipient}x`, 'ssh-ed25519 AAAA']) {
      expect(validRecipient(text)).toBe(false);
    }
  });
});
