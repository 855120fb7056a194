import { UsageError } from '../../core/errors.ts';
import { type Common, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';

const places = ['/etc/roundsman', 'config', './config', './config/', 'config/', '/etc/roundsman/'];

export function init(cli: Cli): void {
  cli
    .command('init', 'Writes a first configuration: settings, inventory, keys.', [
      'roundsman init',
      'roundsman init /etc/roundsman',
    ])
    .argument('[dir]', 'where to; overwrites nothing', 'config')
    .action((dir: string, options: Common) =>
      cli.run(options, async ({ services, json, document, print }) => {
        if (options.config !== undefined)
          throw new UsageError(
            'init writes settings, it reads none',
            'name the directory instead of `--config`',
          );
        const made = await services.init(dir);
        if (json) {
          document({
            config: made.configFile,
            inventory: made.inventoryFile,
            fingerprint_key: made.fingerprintKeyFile,
            identity: made.identityFile,
            recipient: made.recipient,
          });
          return exitCodes.ok;
        }
        const config = places.includes(dir) ? '' : ` --config ${made.configFile}`;
        print(
          `settings         ${made.configFile}`,
          `inventory        ${made.inventoryFile}`,
          `fingerprint key  ${made.fingerprintKeyFile}`,
          `age identity     ${made.identityFile}`,
          '',
          'The age identity opens every sealed configuration: keep this off this machine. Copy it to a safe',
          'place, then delete it here. Without it nothing can be restored.',
          '',
          'Next:',
          `  1. write your devices into ${made.inventoryFile}`,
          `  2. roundsman check${config}`,
          `  3. roundsman trust --all${config}`,
          `  4. roundsman backup${config}`,
        );
        return exitCodes.ok;
      }),
    );
}
