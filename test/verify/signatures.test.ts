import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { publicKeyLine } from '../../src/core/ssh-signature.ts';
import type { CommitSigner } from '../../src/gitstore/signing.ts';
import { retire } from '../../src/pipeline/moves.ts';
import { parseSigningKey } from '../../src/transport/signing-key.ts';
import { generateKey } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';
import { forget, history, type State } from './support.ts';

describeWith('ssh-keygen', 'signatures of commits', () => {
  const keys = mkdtempSync(join(tmpdir(), 'roundsman-keys-'));
  const fileOf = (name: string): string => join(keys, name);
  const signers = new Map<string, CommitSigner>();
  let state: State;
  let day = 10;

  beforeAll(async () => {
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      await generateKey(fileOf(type), type);
      const ref = { file: fileOf(type) };
      signers.set(type, await parseSigningKey(readFileSync(ref.file, 'latin1'), ref));
    }
  });
  beforeEach(async () => {
    state = await history();
  });
  afterEach(() => state[Symbol.dispose]());
  afterAll(() => {
    rmSync(keys, { recursive: true });
    forget();
  });

  function signWith(name: string | null): void {
    state.signer = name === null ? null : (signers.get(name) ?? null);
  }

  async function read(name = 'fw1'): Promise<string> {
    state.nowMs += 60_000;
    await state.read({ name, texts: { 'running-config': `hostname ${name}\nday ${day++}\n` } });
    return state.git('rev-parse', 'main');
  }

  /** A commit of somebody's hand on top of main; returns it. `key`: it is signed with this one. */
  function byHand(key: string | null, ...args: string[]): string {
    const sign = ['-c', 'gpg.format=ssh', '-c', `user.signingKey=${key === null ? '' : fileOf(key)}`];
    const made = state.git(
      ...(key === null ? [] : sign),
      ...['commit-tree', 'main^{tree}', ...(key === null ? [] : ['-S']), ...args],
    );
    state.git('update-ref', 'refs/heads/main', made);
    return made;
  }

  const told = async (kind: string) =>
    (await state.verify()).findings.filter((finding) => finding.kind === kind);

  it.each(['ed25519', 'ecdsa', 'rsa'])(
    'by a key of type %s are good, and asked of no older commit',
    async (type) => {
      signWith(type);
      await read('fw1');
      await read('fw2');
      expect(await state.found()).toEqual([]);
      const [record] = state.rows<{ record: string }>(`SELECT record FROM chain WHERE category = 'sign-key'`);
      expect(JSON.parse(record?.record ?? '')).toMatchObject({
        public_key: publicKeyLine(signers.get(type)?.publicKey ?? Buffer.alloc(0)),
        after: state.main().at(-3),
      });
      expect(readFileSync(`${fileOf(type)}.pub`, 'latin1')).toContain(
        JSON.parse(record?.record ?? '').public_key,
      );
    },
  );

  it('a move of files and a retirement are signed as well', async () => {
    signWith('ed25519');
    state.register({ name: 'fw1', group: 'edge' });
    await state.move();
    expect(state.git('log', '-1', '--format=%B', 'main')).toContain('edge');
    const known = state.ledger.device('fw2') ?? expect.fail();
    const { id, name, platform } = known;
    expect(await retire({ id, name, platform }, state.nowMs, state.hands)).toBe(
      state.git('rev-parse', 'main'),
    );
    for (const commit of ['main', 'main^'])
      expect(state.git('cat-file', 'commit', commit)).toMatch(/^gpgsig /m);
    expect(await state.found()).toEqual([]);
  });

  it('a commit that was made by hand and is not signed is named, also when ours came after it', async () => {
    signWith('ed25519');
    await read();
    const foreign = byHand(null, '-p', 'main', '-m', 'by hand');
    expect(await state.found()).toEqual([
      `commit.unknown commit ${foreign}`,
      `commit.unsigned commit ${foreign}`,
    ]);
    await read();
    expect(await state.found()).toEqual([`commit.unsigned commit ${foreign}`]);
    await state.accept('known');
    await read();
    expect(await state.found()).toEqual([]);
  });

  it('an unsigned commit that was written with our name, for a run, is named with device and run', async () => {
    signWith('ed25519');
    await read();
    signWith('ed25519');
    const message = 'fw1: x\n\nDevice: fw1\nRun-Id: 20260301T020000Z-abcdef';
    const made = byHand(null, '-p', 'main', '-m', message);
    const [finding] = await told('commit.unsigned');
    expect(finding).toMatchObject({ where: `commit ${made}`, sinceMs: expect.any(Number) });
    expect(finding?.what).toContain('of device fw1, run 20260301T020000Z-abcdef');
  });

  it('a commit whose words were changed after it was signed is named', async () => {
    signWith('ed25519');
    const commit = await read();
    const raw = state.git('cat-file', 'commit', commit);
    const file = join(state.dir, 'amended');
    writeFileSync(file, `${raw.replace('fw1: running-config', 'fw1: running_config')}\n`);
    const amended = state.git('hash-object', '-t', 'commit', '-w', file);
    state.git('update-ref', 'refs/heads/main', amended);
    expect(await state.found()).toContain(`commit.badly-signed commit ${amended}`);
    const [finding] = await told('commit.badly-signed');
    expect(finding?.what).toMatch(/of device fw1, run \S+\) has a signature that does not fit it/);
  });

  it('a signature by another key is named, be it good', async () => {
    signWith('ed25519');
    await read();
    const made = byHand('rsa', '-p', 'main', '-m', 'by hand');
    expect(await state.found()).toContain(`commit.badly-signed commit ${made}`);
    expect((await told('commit.badly-signed'))[0]?.what).toContain('is signed by another key');
    // One that git made with the right key is as good as ours.
    state.git('update-ref', 'refs/heads/main', 'main^');
    const good = byHand('ed25519', '-p', 'main', '-m', 'by hand');
    expect(await state.found()).toEqual([`commit.unknown commit ${good}`]);
  });

  it('a signature that is none, or for another purpose, is named', async () => {
    signWith('ed25519');
    await read();
    const tree = state.git('rev-parse', 'main^{tree}');
    const who = 'Roundsman <roundsman@localhost> 1772000000 +0000';
    const payload = join(state.dir, 'payload');
    const file = join(state.dir, 'made');
    const head = `tree ${tree}\nparent ${state.git('rev-parse', 'main')}\nauthor ${who}\ncommitter ${who}\n`;
    writeFileSync(payload, `${head}\nx\n`);
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'file', '-f', fileOf('ed25519'), payload], {
      stdio: 'ignore',
    });
    const forFiles = readFileSync(`${payload}.sig`, 'latin1');
    for (const signature of [
      forFiles,
      '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n',
      'x\n',
    ]) {
      const lines = signature.trimEnd().replaceAll('\n', '\n ');
      writeFileSync(file, `${head}gpgsig ${lines}\n\nx\n`);
      const made = state.git('hash-object', '-t', 'commit', '--literally', '-w', file);
      state.git('update-ref', 'refs/heads/main', made);
      expect((await told('commit.badly-signed')).map(({ where }) => where)).toEqual([`commit ${made}`]);
      state.git('update-ref', 'refs/heads/main', 'main^');
    }
  });

  it('a key that changes, is taken away and comes again is asked for where it was in force', async () => {
    signWith('ed25519');
    await read();
    signWith('rsa');
    await read();
    signWith(null);
    const unsigned = await read();
    signWith('ed25519');
    await read();
    await read();
    expect(await state.found()).toEqual([]);
    expect(state.rows(`SELECT 1 FROM chain WHERE category = 'sign-key'`)).toHaveLength(4);
    expect((await state.verify()).notes).toEqual([
      expect.stringContaining(`commits after ${state.git('rev-parse', `${unsigned}^`)} are not signed`),
    ]);
    // The old key is no key for what came after it.
    const made = byHand('rsa', '-p', 'main', '-m', 'by hand');
    expect(await state.found()).toContain(`commit.badly-signed commit ${made}`);
  });

  it('a history that was written anew before the key came into force is asked for signatures from its beginning', async () => {
    signWith('ed25519');
    await read();
    state.git('update-ref', 'refs/heads/main', state.git('commit-tree', 'main^{tree}', '-m', 'anew'));
    expect(await state.found()).toContain(`commit.unsigned commit ${state.git('rev-parse', 'main')}`);
  });
});
