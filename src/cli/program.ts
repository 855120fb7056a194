import { Command } from 'commander';
import type { Common, Context } from './context.ts';

/** How a command is put on the program and run. */
export interface Cli {
  /**
   * A subcommand with the common options and a help page that ends in `examples`, each a whole command
   * line. `usage` is its name and arguments.
   */
  command(usage: string, summary: string, examples: readonly string[]): Command;
  /**
   * Runs the body with services for these options; what it returns is the exit code. `service`: a signal
   * is its ordinary end, not an interruption, and its log is what it writes to a terminal.
   */
  run(
    options: Common,
    body: (context: Context) => Promise<number>,
    kind?: 'command' | 'service',
  ): Promise<void>;
}

/** The program without commands, and how to add them. */
export function createProgram(version: string, run: Cli['run']): { program: Command; cli: Cli } {
  const program = new Command('roundsman');
  program
    .description('Backs up the configurations of network devices and knows when it did not.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this page')
    .helpCommand('help [command]', 'print the page of a command')
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText('after', () => examplesText(['roundsman init', 'roundsman backup', 'roundsman diff fw1']))
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 failed, 2 usage or invalid configuration,\n3 at least one device is not ok, 130 interrupted.',
    );
  const cli: Cli = {
    command(usage, summary, examples) {
      return program
        .command(usage)
        .description(summary)
        .helpOption('-h, --help', 'print this page')
        .option(
          '--config <file>',
          'settings; default $ROUNDSMAN_CONFIG, /etc/roundsman/roundsman.yaml, ./config/roundsman.yaml',
        )
        .option('--json', 'JSON instead of text for people; fields are listed in docs/cli-json.md')
        .addHelpText('after', () => examplesText(examples));
    },
    run,
  };
  return { program, cli };
}

function examplesText(examples: readonly string[]): string {
  return `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((line) => `  $ ${line}`).join('\n')}`;
}
