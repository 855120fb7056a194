import { readFileSync } from 'node:fs';
import { runCli } from './cli/run-cli.ts';
import { systemClock } from './core/clock.ts';
import { compose } from './daemon/compose.ts';

const packageFile = new URL('../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };

// The first signal ends the command in good order, the second at once: `once` leaves it to the system.
const interruption = new AbortController();
let terminated = false;
process.once('SIGINT', () => interruption.abort());
process.once('SIGTERM', () => {
  terminated = true;
  interruption.abort();
});

// A reader that has seen enough (`| head`) is no failure, and no reason to stop a backup.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

const exitCode = await runCli(process.argv.slice(2), {
  services: (options) => compose(options, process.env),
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  clock: systemClock,
  signal: interruption.signal,
  version,
});
// Not process.exit: what is still being written to a pipe would be lost.
process.exitCode = terminated ? 143 : exitCode;
