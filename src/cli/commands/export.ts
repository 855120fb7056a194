import { harmless } from '../../core/display.ts';
import { counted, instant, size } from '../../core/units.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import type { Exported, Moved } from '../services.ts';
import { createSteps } from '../terminal/steps.ts';

export function exportCommand(cli: Cli): void {
  cli
    .command(
      'export',
      'Writes everything that another host needs to go on: history, ledger, sealed copies.',
      ['sudo systemctl stop roundsman', 'roundsman export /media/disk/roundsman-export'],
    )
    .argument('<dir>', 'a new or an empty directory')
    .action((dir: string, options: Common) =>
      cli.run(options, async ({ services, world, json, document, print, remark }) => {
        const steps = createSteps(world.stderr);
        const exported = await services
          .exportState(dir, { onEvent: steps.show, signal: world.signal })
          .finally(steps.end);
        if (json) document(exportJson(exported));
        else {
          print(...exportLines(exported).map(harmless));
          remark(...remarksOn(exported));
        }
        return exitCodes.ok;
      }),
    );
}

function exportLines(exported: Exported): string[] {
  const { dir, exportedAtMs, fingerprintKeyFile, missed, filesToCopy, secretsToCopy } = exported;
  const secret =
    fingerprintKeyFile === null
      ? []
      : [
          '',
          `${fingerprintKeyFile} is the key of every mask in git, a secret: whoever has it and this directory can`,
          'guess masked secrets. Carry it as you carry a password, and delete it once it is imported.',
        ];
  return [
    `exported at ${instant(exportedAtMs)} to ${dir}`,
    ...contents(exported),
    ...(missed === 0
      ? []
      : [`  ${counted(missed, 'slot')} had passed while no daemon ran: recorded as missed`]),
    ...secret,
    '',
    'Not in it: the age identity, transcripts, and what is configured. Copy to the other host yourself:',
    ...[...filesToCopy, ...secretsToCopy].map((place) => `  ${place}`),
    '',
    'Next:',
    '  1. keep this host stopped: sudo systemctl disable roundsman',
    `  2. on the other host: roundsman import DIR`,
  ];
}

/** The lines that both sides show, so that a person can compare them. */
export function contents(moved: Moved): string[] {
  const { chainLength, chainHead, main, sealedCopies, sealedBytes, waiting, held } = moved;
  return [
    `  main         ${main ?? 'nothing was committed yet'}`,
    `  audit chain  ${counted(chainLength, 'record')}, head ${chainHead}`,
    `  sealed       ${sealedCopies === 1 ? '1 copy' : `${sealedCopies} copies`}, ${size(sealedBytes)}`,
    `  spool        ${waiting} waiting, ${held} in quarantine`,
  ];
}

/** What was lost before, for standard error. */
export function remarksOn({ lostCopies }: Moved): string[] {
  if (lostCopies.length === 0) return [];
  const some = lostCopies.slice(0, 5).map((digest) => `  ${digest}`);
  const rest = lostCopies.length > some.length ? [`  and ${lostCopies.length - some.length} more`] : [];
  return [
    `the ledger names sealed copies that were gone or damaged before the export (${lostCopies.length}):`,
    ...some,
    ...rest,
  ];
}

/** The fields that both commands have. */
export function movedJson(moved: Moved): object {
  return {
    host: moved.host,
    exported_at: jsonInstant(moved.exportedAtMs),
    main: moved.main,
    chain: { length: moved.chainLength, head: moved.chainHead },
    sealed: { copies: moved.sealedCopies, bytes: moved.sealedBytes, lost: moved.lostCopies },
    spool: { waiting: moved.waiting, held: moved.held },
  };
}

function exportJson(exported: Exported): object {
  const { dir, fingerprintKeyFile, missed, filesToCopy, secretsToCopy } = exported;
  return {
    directory: dir,
    ...movedJson(exported),
    fingerprint_key: fingerprintKeyFile,
    missed,
    copy_yourself: { files: filesToCopy, secrets: secretsToCopy },
  };
}
