import { spawn } from 'node:child_process';
import type { World } from '../world.ts';

/**
 * Shows finished text: through $PAGER (else `less -R`) where a person looks at a terminal, else as it
 * is. `PAGER=` or `PAGER=cat` means none. Resolves when the pager was left.
 */
export async function page(world: World, text: string): Promise<void> {
  const command = world.env.PAGER ?? 'less -R';
  const wanted = world.stdout.isTTY === true && command !== '' && command !== 'cat';
  if (!wanted || !(await paged(command, text, world.env))) world.stdout.write(text);
}

/** False where the pager could not be started. */
function paged(command: string, text: string, env: World['env']): Promise<boolean> {
  return new Promise((resolve) => {
    // F: text that fits is not paged at all. X: it stays on the screen afterwards.
    const child = spawn(command, {
      shell: true,
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { LESS: 'FRX', ...env },
    });
    child.once('error', () => resolve(false));
    // 127 is how a shell says that there is no such program.
    child.once('close', (code) => resolve(code !== 127));
    // A pager that is left early closes its input.
    child.stdin.on('error', () => {});
    child.stdin.end(text);
  });
}
