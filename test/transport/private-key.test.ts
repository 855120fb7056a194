import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parsePrivateKey } from '../../src/transport/private-key.ts';
import { describeWith } from '../support/system.ts';

describeWith('ssh-keygen', 'a private key with a passphrase', (keygen) => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'roundsman-keys-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const phrase = 'a passphrase';
  function made(name: string, ...options: string[]): { readonly text: string; readonly publicKey: string } {
    const path = join(dir, name);
    execFileSync(keygen, ['-q', '-N', phrase, '-C', 'x', '-f', path, ...options]);
    const [, publicKey = ''] = readFileSync(`${path}.pub`, 'utf8').split(' ');
    return { text: readFileSync(path, 'utf8'), publicKey };
  }
  const ref = { file: 'key' };

  it.each([
    ['ed25519', ['-t', 'ed25519', '-a', '4']],
    ['ecdsa', ['-t', 'ecdsa', '-a', '4']],
    ['rsa', ['-t', 'rsa', '-b', '2048', '-a', '4']],
    ['rsa in PEM', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
  ])('opens as %s, and signs as the key that it is', async (name, options) => {
    const { text, publicKey } = made(name.replaceAll(' ', '-'), ...options);
    const key = await parsePrivateKey(text, phrase, ref);
    expect(key.getPublicSSH().toString('base64')).toBe(publicKey);
    const data = Buffer.from('something to sign');
    expect(key.verify(data, key.sign(data) as Buffer)).toBe(true);
    await expect(parsePrivateKey(text, 'another', ref)).rejects.toMatchObject({
      detail: { key: 'wrong-passphrase' },
    });
    await expect(parsePrivateKey(text, undefined, ref)).rejects.toMatchObject({
      detail: { key: 'encrypted' },
    });
  });

  it('is opened while everything else goes on, and once for all who want it', async () => {
    const { text } = made('busy', '-t', 'ed25519', '-a', '16');
    let turns = 0;
    let isOpen = false;
    const turn = (): void => {
      turns += 1;
      if (!isOpen) setImmediate(turn);
    };
    setImmediate(turn);
    const [first, second] = await Promise.all([
      parsePrivateKey(text, phrase, ref),
      parsePrivateKey(text, phrase, ref),
    ]);
    isOpen = true;
    expect(turns).toBeGreaterThan(100);
    expect(first).toBe(second);
    expect(await parsePrivateKey(text, phrase, ref)).toBe(first);
  });
});
