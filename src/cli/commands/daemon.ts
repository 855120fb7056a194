import { type Common, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';

export function daemon(cli: Cli): void {
  cli
    .command('daemon', 'Keeps the schedule: backs up each device when it is due, and says when it did not.', [
      'roundsman daemon --config /etc/roundsman/roundsman.yaml',
    ])
    .addHelpText(
      'after',
      '\nSIGHUP reads settings and inventory anew. The first SIGTERM lets the runs in progress end, the second aborts them.',
    )
    .action((options: Common) =>
      cli.run(
        options,
        async ({ services, world }) => {
          await services.daemon({
            stop: world.signal,
            onAbort: world.onSecondSignal,
            onReload: world.onHangup,
          });
          return exitCodes.ok;
        },
        'service',
      ),
    );
}
