import { type Command, CommanderError } from 'commander';
import { UsageError } from '../core/errors.ts';
import { accept } from './commands/accept.ts';
import { backup } from './commands/backup.ts';
import { check } from './commands/check.ts';
import { daemon } from './commands/daemon.ts';
import { diff } from './commands/diff.ts';
import { exportCommand } from './commands/export.ts';
import { importCommand } from './commands/import.ts';
import { init } from './commands/init.ts';
import { log } from './commands/log.ts';
import { release } from './commands/release.ts';
import { restore } from './commands/restore.ts';
import { runs } from './commands/runs.ts';
import { show } from './commands/show.ts';
import { status } from './commands/status.ts';
import { token } from './commands/token.ts';
import { trust } from './commands/trust.ts';
import { verify } from './commands/verify.ts';
import { createContext, exitCodes } from './context.ts';
import { errorText, verdictOf } from './errors.ts';
import { createProgram } from './program.ts';
import type { World } from './world.ts';

/** In the order of the help page. */
const commands = [
  init,
  check,
  trust,
  backup,
  daemon,
  status,
  runs,
  log,
  show,
  diff,
  accept,
  restore,
  release,
  token,
  exportCommand,
  importCommand,
  verify,
];

/**
 * Runs one command line (without node and script) and resolves to its exit code. Never rejects: what
 * goes wrong is written to `world.stderr`.
 */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const { program, cli } = createProgram(world.version, async (options, body, kind = 'command') => {
    const { signal } = world;
    await using services = world.services({
      configFile: options.config ?? null,
      logLines: kind === 'service' || world.stderr.isTTY !== true,
    });
    exitCode = await body(createContext(world, services, options.json === true));
    if (signal.aborted && kind === 'command') exitCode = exitCodes.interrupted;
  });
  for (const command of commands) command(cli);

  let complaint = '';
  for (const command of [program, ...program.commands])
    command.configureOutput({
      writeOut: (text) => void world.stdout.write(text),
      writeErr: (text) => {
        complaint += text;
      },
      getOutHelpWidth: () => world.stdout.columns ?? 80,
      getErrHelpWidth: () => world.stderr.columns ?? 80,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    if (world.signal.aborted) return exitCodes.interrupted;
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return exitCodes.ok;
      // `roundsman` alone: its help page is the answer.
      if (thrown.code === 'commander.help') {
        world.stderr.write(complaint);
        return exitCodes.usage;
      }
    }
    const verdict = verdictOf(thrown instanceof CommanderError ? usageError(thrown, program, argv) : thrown);
    world.stderr.write(errorText(verdict, argv.includes('--json')));
    return verdict.exitCode;
  }
}

/** Commander's complaint in our form; it knows the nearest command and option itself. */
function usageError(error: CommanderError, program: Command, argv: readonly string[]): UsageError {
  const [first = '', ...hints] = error.message.replace(/^error: /, '').split('\n');
  const command = program.commands.find((candidate) => candidate.name() === argv[0])?.name();
  const hint = hints.map((line) => line.replace(/^\(|\)$/g, '')).join(' ');
  const page = `\`roundsman ${command === undefined ? '' : `${command} `}--help\` lists what there is`;
  return new UsageError(first, hint === '' ? page : `${hint} ${page}`);
}
