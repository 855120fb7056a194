import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runCli } from './cli/run-cli.ts';
import { systemClock } from './core/clock.ts';
import { answeringServices } from './daemon/answering.ts';

/** What runCli says of a command that a signal ended; a shell tells SIGTERM from SIGINT. */
const interrupted = 130;
const packageFile = new URL('../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };

// V8 lets garbage grow to several times what is held before it looks after it. Reading devices makes much of it: without
// this a daemon takes twice the memory (decision 13).
for (const flag of ['--semi-space-growth-factor=1', '--heap-growing-percent=60']) setFlagsFromString(flag);

// The first signal ends the command in good order; the second at once, unless somebody takes it over.
const interruption = new AbortController();
let terminated = false;
let onSecondSignal: (() => void) | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!interruption.signal.aborted) {
      terminated = signal === 'SIGTERM';
      interruption.abort();
    } else if (onSecondSignal !== null) onSecondSignal();
    else {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    }
  });
}

// Whatever is written, for its owner alone: everything that is kept here is worth protecting.
process.umask(0o077);

// No output is a reason to stop a backup. A reader that has seen enough (`| head`) is not even a failure.
let outputFailed = false;
for (const [stream, name] of [
  [process.stdout, 'output'],
  [process.stderr, 'error'],
] as const)
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || outputFailed) return;
    outputFailed = true;
    process.exitCode = 1;
    const reason = error.code ?? error.message;
    process.stderr.write(
      `roundsman: standard ${name} cannot be written (${reason}): the answer is not complete\n`,
    );
  });

const exitCode = await runCli(process.argv.slice(2), {
  services: (options) => answeringServices(options, process.env),
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  clock: systemClock,
  signal: interruption.signal,
  onSecondSignal(then) {
    onSecondSignal = then;
  },
  onHangup(then) {
    process.on('SIGHUP', then);
  },
  version,
});
// Not process.exit: what is still being written to a pipe would be lost.
const ended = terminated && exitCode === interrupted ? 143 : exitCode;
process.exitCode = outputFailed ? 1 : ended;
