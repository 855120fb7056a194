import { type Common, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';

export function release(cli: Cli): void {
  cli
    .command('release', 'Lets a credential be used again that is held back because devices rejected it.', [
      'roundsman release readonly',
    ])
    .argument('<credential>', 'a name under credentials: of the inventory')
    .action((credential: string, options: Common) =>
      cli.run(options, async ({ services, json, document, print }) => {
        await services.release(credential);
        if (json) document({ credential, released: true });
        else print(`credentials ${credential} can be used again`);
        return exitCodes.ok;
      }),
    );
}
