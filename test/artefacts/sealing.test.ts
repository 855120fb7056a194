import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openArtefacts } from '../../src/artefacts/store.ts';
import { generateIdentity, unseal, unsealArchive } from '../../src/artefacts/unseal.ts';

let dir: string;
const keys = await generateIdentity();

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'roundsman-sealing-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const store = () => openArtefacts({ dir, recipients: [keys.recipient] });
const filesIn = async (): Promise<readonly string[]> =>
  (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

describe('a sealed file that comes in pieces', () => {
  it('gives back every octet, whatever the pieces are', async () => {
    const artefacts = store();
    const pieces = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        const sealing = await artefacts.sealStream();
        for (const chunk of chunks) await sealing.write(Buffer.from(chunk));
        const { digest, bytes } = await sealing.finish();
        const sealed = await artefacts.read(digest);
        expect(sealed.length).toBe(bytes);
        expect(Buffer.compare(await unsealArchive(sealed, keys.identity), Buffer.concat(chunks))).toBe(0);
      }),
      { numRuns: 15 },
    );
  });

  it('may be larger than any piece of the encryption, and does not mind a buffer that is used again', async () => {
    const sealing = await store().sealStream();
    const whole = randomBytes(700_000);
    const buffer = Buffer.alloc(50_000);
    for (let at = 0; at < whole.length; at += buffer.length) {
      whole.copy(buffer, 0, at, at + buffer.length);
      await sealing.write(buffer);
      buffer.fill(0);
    }
    const { digest } = await sealing.finish();
    expect(Buffer.compare(await unsealArchive(await store().read(digest), keys.identity), whole)).toBe(0);
  });

  it('is named by the digest of the sealed file, belongs to its owner alone, and leaves nothing else', async () => {
    const artefacts = store();
    const sealing = await artefacts.sealStream();
    await sealing.write(Buffer.from('canary-in-clear-text'));
    expect((await filesIn()).every((name) => name.startsWith('.sealing-'))).toBe(true);
    const { digest } = await sealing.finish();
    const file = await readFile(artefacts.path(digest));
    expect(createHash('sha256').update(file).digest('hex')).toBe(digest);
    expect(file.includes('canary')).toBe(false);
    expect((await stat(artefacts.path(digest))).mode & 0o777).toBe(0o600);
    expect(await filesIn()).toEqual([`${digest}.age`]);
    await sealing.discard();
    expect(await filesIn()).toEqual([`${digest}.age`]);
  });

  it('thrown away, it leaves nothing, however often and at whatever moment', async () => {
    const artefacts = store();
    const unbegun = await artefacts.sealStream();
    await unbegun.discard();
    const begun = await artefacts.sealStream();
    await begun.write(randomBytes(200_000));
    await Promise.all([begun.discard(), begun.discard()]);
    expect(await filesIn()).toEqual([]);
    await expect(begun.write(Buffer.from('x'))).rejects.toThrow();
    expect(await filesIn()).toEqual([]);
  });

  it('is no text: what opens texts says that it is damaged', async () => {
    const artefacts = store();
    const sealing = await artefacts.sealStream();
    await sealing.write(Buffer.from('not gzip'));
    const { digest } = await sealing.finish();
    await expect(unseal(await artefacts.read(digest), keys.identity)).rejects.toThrow(/damaged/);
  });

  it('is not begun where there is nobody to seal for', async () => {
    const artefacts = openArtefacts({ dir, recipients: [] });
    await expect(artefacts.sealStream()).rejects.toMatchObject({ code: 'store.seal-failed' });
    expect(await filesIn()).toEqual([]);
  });

  it('that cannot get its place fails as a matter of the store, and leaves no draft', async () => {
    const artefacts = store();
    const sealing = await artefacts.sealStream();
    await sealing.write(Buffer.from('x'));
    // Every folder that a digest can need is a file already.
    for (let n = 0; n < 256; n++) await writeFile(join(dir, n.toString(16).padStart(2, '0')), '');
    await expect(sealing.finish()).rejects.toMatchObject({ code: expect.stringMatching(/^store\./) });
    expect((await filesIn()).filter((name) => name.startsWith('.sealing-'))).toEqual([]);
  });
});
