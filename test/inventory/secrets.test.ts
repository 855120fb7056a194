import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import type { SecretRef } from '../../src/core/device.ts';
import { BackupError } from '../../src/core/errors.ts';
import { createSecretReader } from '../../src/inventory/secrets.ts';
import { temporaryDir, temporaryFile } from './support.ts';

const canary = 'CANARY-hunter2';

/** What a reference that cannot be read says. */
async function refusal(ref: SecretRef, env: Record<string, string> = {}, clock?: Clock) {
  const error: unknown = await createSecretReader(
    env,
    clock,
  )(ref).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BackupError);
  const { code, detail, message, cause } = error as BackupError<'inventory.secret-unavailable'>;
  expect(code).toBe('inventory.secret-unavailable');
  expect(JSON.stringify({ detail, message, cause })).not.toContain(canary);
  return detail;
}

describe('a secret from the environment', () => {
  it('is read when it is used', async () => {
    const env: Record<string, string> = { RM: 'one' };
    const read = createSecretReader(env);
    expect(await read({ env: 'RM' })).toBe('one');
    env.RM = 'two';
    expect(await read({ env: 'RM' })).toBe('two');
  });

  it('is unavailable where the variable is not set or empty', async () => {
    expect(await refusal({ env: 'RM' })).toEqual({
      reference: 'environment variable RM',
      problem: 'is not set',
    });
    expect(await refusal({ env: 'RM' }, { RM: '' })).toEqual({
      reference: 'environment variable RM',
      problem: 'is empty',
    });
  });
});

describe('a secret from a file', () => {
  it('loses exactly one line end', async () => {
    const read = createSecretReader({});
    for (const [content, secret] of [
      ['pass\n', 'pass'],
      ['pass\r\n', 'pass'],
      ['pass', 'pass'],
      ['pass\n\n', 'pass\n'],
      [' pass ', ' pass '],
      ['-----BEGIN\nabc\n-----END\n', '-----BEGIN\nabc\n-----END'],
      ['pässword ✓\n', 'pässword ✓'],
    ] as const)
      expect(await read({ file: temporaryFile(content, 'secret') })).toBe(secret);
  });

  it.each([0o640, 0o604, 0o620, 0o601, 0o444, 0o777])(
    'of mode %o is refused: others have rights',
    async (mode) => {
      const file = temporaryFile(canary, 'secret');
      chmodSync(file, mode);
      const { reference, problem } = await refusal({ file });
      expect(reference).toBe(`file ${file}`);
      expect(problem).toBe(`can be read by others (mode ${mode.toString(8)}): chmod 0400`);
    },
  );

  it.each([0o400, 0o600, 0o700])('of mode %o is read', async (mode) => {
    const file = temporaryFile(canary, 'secret');
    chmodSync(file, mode);
    expect(await createSecretReader({})({ file })).toBe(canary);
  });

  it('is unavailable where it is absent, empty, a directory, huge or not UTF-8', async () => {
    const dir = temporaryDir();
    expect((await refusal({ file: join(dir, 'none') })).problem).toBe('does not exist');
    expect((await refusal({ file: dir })).problem).toBe('is not a file');
    expect((await refusal({ file: temporaryFile('\n', 'secret') })).problem).toBe('is empty');
    expect((await refusal({ file: temporaryFile('x'.repeat(70_000), 'secret') })).problem).toBe(
      'is larger than 65536 bytes',
    );
    expect((await refusal({ file: temporaryFile(Buffer.from([0xff]), 'secret') })).problem).toBe(
      'is not UTF-8',
    );
  });

  it('that is a named pipe does not hold anybody up', async () => {
    const pipe = join(temporaryDir(), 'pipe');
    execFileSync('sh', ['-c', 'mkfifo -m 600 "$1"', 'sh', pipe]);
    expect((await refusal({ file: pipe })).problem).toBe('is not a file');
  });
});

describe('a systemd credential', () => {
  it('is the file of this name below $CREDENTIALS_DIRECTORY, whatever its mode shows', async () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'backup'), 'pass\n', { mode: 0o440 });
    expect(await createSecretReader({ CREDENTIALS_DIRECTORY: dir })({ credential: 'backup' })).toBe('pass');
  });

  it('is unavailable without the directory, without the file, and by a name that leads elsewhere', async () => {
    const file = temporaryFile(canary, 'secret');
    const env = { CREDENTIALS_DIRECTORY: join(file, '..', 'credentials') };
    expect((await refusal({ credential: 'backup' })).problem).toContain('LoadCredential=');
    expect((await refusal({ credential: 'backup' }, env)).problem).toBe('does not exist');
    for (const name of ['../secret', '..', '.', '', 'a/b'])
      expect((await refusal({ credential: name }, env)).problem).toBe('is not a file name');
  });
});

describe('a secret from a command', () => {
  const sh = (script: string): SecretRef => ({ command: ['/bin/sh', '-c', script] });

  it('is the first line of what it prints', async () => {
    const read = createSecretReader({});
    expect(await read(sh('echo pass; echo more'))).toBe('pass');
    expect(await read(sh('printf pass'))).toBe('pass');
    expect(await read({ command: ['printf', 'a b;$HOME\\n'] })).toBe('a b;$HOME');
  });

  it('is not run by a shell', async () => {
    const witness = join(temporaryDir(), 'witness');
    expect(await createSecretReader({})({ command: ['echo', `; touch ${witness}`] })).toBe(
      `; touch ${witness}`,
    );
    expect(existsSync(witness)).toBe(false);
  });

  it('is unavailable where the command fails, and nothing that it printed is shown', async () => {
    const shown = await refusal(sh(`echo ${canary}; echo ${canary} >&2; exit 3`));
    expect(shown).toEqual({ reference: 'command /bin/sh', problem: 'ended with exit status 3' });
    expect((await refusal(sh('kill -9 $$'))).problem).toBe('was ended by SIGKILL');
    expect((await refusal(sh('true'))).problem).toBe('is empty');
    expect((await refusal({ command: ['/nonexistent', canary] })).problem).toBe('the program does not exist');
    expect((await refusal({ command: [temporaryFile('', 'no-program')] })).problem).toBe(
      'the program cannot be executed',
    );
    expect((await refusal(sh('head -c 100000 /dev/zero'))).problem).toBe('printed more than 65536 bytes');
  });

  it('is not given the environment variables in which other secrets lie', async () => {
    const env = { PATH: process.env.PATH, RM_OTHER: canary, RM_OWN: 'token of the helper' };
    const read = createSecretReader(env, undefined, async () => ({
      vault: null,
      secretVariables: ['RM_OTHER'],
    }));
    expect(await read(sh('echo "<$RM_OTHER> $RM_OWN"'))).toBe('<> token of the helper');
    expect(await read({ env: 'RM_OTHER' })).toBe(canary);
  });

  it('gets no input, so that a question ends it', async () => {
    expect((await refusal(sh('read answer && echo "$answer"'))).problem).toBe('ended with exit status 1');
  });

  it('is given up after ten seconds, even where a grandchild holds the pipe', async () => {
    const timers: { delayMs: number; then: () => void }[] = [];
    const clock: Clock = {
      nowMs: () => 0,
      monotonicMs: () => 0,
      after(delayMs, then) {
        timers.push({ delayMs, then });
        return { cancel: () => undefined };
      },
    };
    const pidFile = join(temporaryDir(), 'pid');
    const refused = refusal(sh(`sleep 100 & echo $! > ${pidFile}; wait`), {}, clock);
    await expect.poll(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n')).toBe(true);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([10_000]);
    timers[0]?.then();
    try {
      expect((await refused).problem).toBe('did not answer within 10 s');
    } finally {
      process.kill(Number(readFileSync(pidFile, 'utf8')));
    }
  });
});

describe('a secret in the inventory itself', () => {
  it('is what is written', async () => {
    expect(await createSecretReader({})({ literal: 'pass' })).toBe('pass');
  });
});
