import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { UsageError } from '../../core/errors.ts';
import type { World } from '../world.ts';

/** Asks on stderr; only `y` or `yes` is a yes. `instead` is the command that needs no answer. */
export async function confirmed(world: World, question: string, instead: string): Promise<boolean> {
  if (world.stdin.isTTY !== true || world.stderr.isTTY !== true)
    throw new UsageError('this needs an answer, and there is no terminal to ask on', `run \`${instead}\``);
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      world.stderr.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input: world.stdin, output, terminal: false });
  try {
    const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
    const asked = lines.question(`${question} [y/N] `, { signal: world.signal });
    return /^y(es)?$/i.test((await Promise.race([asked, closed])).trim());
  } finally {
    lines.close();
  }
}
