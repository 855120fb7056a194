import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

/** Runs `roundsman --help` with these streams; `null` collects what is written. */
async function help(stdout: number | null, stderr: number | null) {
  const child = spawn(process.execPath, [program, '--help'], {
    stdio: ['ignore', stdout ?? 'pipe', stderr ?? 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    said += piece;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, said };
}

describe.skipIf(!existsSync('/dev/full'))('an output that takes nothing (needs /dev/full)', () => {
  it('of the answer is one line on standard error, and a failure', async () => {
    const full = openSync('/dev/full', 'w');
    const { code, said } = await help(full, null);
    closeSync(full);
    expect(said).toBe('roundsman: standard output cannot be written (ENOSPC): the answer is not complete\n');
    expect(code).toBe(1);
  });

  it('of both is a failure all the same', async () => {
    const full = openSync('/dev/full', 'w');
    expect((await help(full, full)).code).toBe(1);
    closeSync(full);
  });
});

describe('a reader that has seen enough', () => {
  it('is no failure', async () => {
    const child = spawn('sh', ['-c', '"$0" "$1" --help; echo "exit $?" >&2', process.execPath, program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(said).toBe('exit 0\n');
  });
});
