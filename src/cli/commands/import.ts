import { harmless } from '../../core/display.ts';
import { duration, instant } from '../../core/units.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import type { Imported } from '../services.ts';
import { createSteps } from '../terminal/steps.ts';
import { contents, movedJson, remarksOn } from './export.ts';

export function importCommand(cli: Cli): void {
  cli
    .command('import', 'Goes on with what `roundsman export` wrote on another host.', [
      'roundsman import /media/disk/roundsman-export',
    ])
    .argument('<dir>', 'the directory of an export; it is only read')
    .addHelpText(
      'after',
      '\nSettings, inventory and secrets come first, and state_dir has to be empty. Everything is taken over or nothing.',
    )
    .action((dir: string, options: Common) =>
      cli.run(options, async ({ services, world, json, document, print, remark }) => {
        const steps = createSteps(world.stderr);
        const imported = await services
          .importState(dir, { onEvent: steps.show, signal: world.signal })
          .finally(steps.end);
        if (json) document(importJson(imported));
        else {
          print(...importLines(imported).map(harmless));
          remark(...remarksOn(imported));
        }
        return exitCodes.ok;
      }),
    );
}

function importLines(imported: Imported): string[] {
  const { host, stateDir, exportedAtMs, importedAtMs } = imported;
  const gapMs = Math.max(0, importedAtMs - exportedAtMs);
  return [
    `imported into ${stateDir}: ${host}, as it was at ${instant(exportedAtMs)}`,
    ...contents(imported),
    ...keyLines(imported),
    '',
    'Compare main and the head of the chain with what the export printed.',
    `Nobody knows whether ${host} went on after the export, so the ${duration(gapMs)} since then count as neither`,
    'backed up nor missed. From now on this host answers; what was overdue at the export still is.',
    '',
    'Next:',
    '  1. roundsman check',
    `  2. make sure that ${host} is stopped: two collectors must not read the same devices`,
    '  3. start the service; `roundsman backup` reads every device at once',
  ];
}

function keyLines({ fingerprintKey }: Imported): string[] {
  if (fingerprintKey === null) return ['  mask key     none: secrets go to git unmasked'];
  const { place } = fingerprintKey;
  switch (fingerprintKey.state) {
    case 'written':
      return [`  mask key     written to ${place}`];
    case 'same':
      return [`  mask key     ${place} has it already`];
    case 'unread':
      return [
        `  mask key     could not be compared: ${fingerprintKey.problem}`,
        '               put fingerprint.key of the export there before the first backup, or every mask changes',
      ];
  }
}

function importJson(imported: Imported): object {
  const { stateDir, importedAtMs, exportedAtMs, fingerprintKey } = imported;
  return {
    state_dir: stateDir,
    ...movedJson(imported),
    imported_at: jsonInstant(importedAtMs),
    gap_ms: Math.max(0, importedAtMs - exportedAtMs),
    fingerprint_key: fingerprintKey,
  };
}
