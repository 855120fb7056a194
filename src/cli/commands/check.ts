import { describe } from '../../core/catalogue.ts';
import { InvalidConfiguration } from '../../core/errors.ts';
import { counted, duration, size } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { problemJson, problemLine } from '../errors.ts';
import { jsonFailure } from '../json.ts';
import type { Cli } from '../program.ts';
import { selectEnabled } from '../select.ts';
import type { Checked, DiskUse, Reached } from '../services.ts';

interface Options extends Common {
  readonly connect?: boolean;
}

export function check(cli: Cli): void {
  cli
    .command('check', 'Validates settings and inventory; with --connect reaches every device.', [
      'roundsman check',
      'roundsman check --connect',
      'roundsman check --connect fw1 --json',
    ])
    .argument('[names...]', 'with --connect: only these devices')
    .option('--connect', 'log in to each enabled device, as far as the prompt')
    .action((names: string[], options: Options) =>
      cli.run(options, async (context) => {
        const { services, json, paint, world } = context;
        const checked = await validate(context);
        if (!json) context.print(...validLines(checked));
        if (options.connect !== true) {
          if (json) context.document(checkedJson(checked, null));
          return exitCodes.ok;
        }
        const devices = selectEnabled(await services.fleet(), { names });
        const reached = await services.reach(
          devices.map(({ name }) => name),
          {
            signal: world.signal,
            onEvent({ device, durationMs, failure }) {
              if (json) return;
              if (failure === null) {
                context.print(`${device}  ${paint('good', 'reached')}  ${duration(durationMs)}`);
                return;
              }
              const { message, todo } = describe(failure, { device });
              context.print(`${device}  ${paint('bad', 'failed')}  ${message}`, `  → ${todo}`);
            },
          },
        );
        const failed = reached.filter(({ failure }) => failure !== null).length;
        if (json) context.document(checkedJson(checked, reached));
        else
          context.print(
            `${counted(reached.length, 'device')}, ${failed === 0 ? 'all reached' : `${failed} not reached`}`,
          );
        return failed === 0 ? exitCodes.ok : exitCodes.devices;
      }),
    );
}

/** Under `--json` the problems are what was asked for: they go to standard output. */
async function validate({ services, json, document }: Context): Promise<Checked> {
  try {
    return await services.check();
  } catch (thrown) {
    if (json && thrown instanceof InvalidConfiguration)
      document({ valid: false, problems: thrown.problems.map(problemJson) });
    throw thrown;
  }
}

function validLines({ configFile, inventoryFile, warnings, sizing }: Checked): string[] {
  const ground = sizing.measured ? 'as measured' : 'assumed, because nothing was backed up yet';
  return [
    `settings   ${configFile}: valid`,
    `inventory  ${inventoryFile}: valid, ${counted(sizing.devices, 'enabled device')}`,
    ...warnings.map((warning) => `warning: ${problemLine(warning)}`),
    `sizing     ${counted(sizing.sessions, 'session')} at once, ${duration(sizing.runMs)} a device (${ground}): one round takes ${duration(sizing.windowMs)}`,
    ...diskLines(sizing.disk),
  ];
}

/** `about 15 MiB on disk after a year (…): git 7 MiB, sealed copies 7 MiB, archives 1 MiB` */
function diskLines({ gitBytes, sealedBytes, archiveBytes, sealedForMs, measured }: DiskUse): string[] {
  const ground = measured ? 'as measured' : 'assumed, because nothing of the kind is stored yet';
  const parts = [
    `git ${size(gitBytes)}`,
    ...(sealedBytes > 0 ? [`sealed copies ${size(sealedBytes)}`] : []),
    ...(archiveBytes > 0 ? [`archives ${size(archiveBytes)}`] : []),
  ];
  const ends = sealedBytes > 0 ? `; what is sealed is kept for ${duration(sealedForMs)}` : '';
  return [
    `disk       about ${size(gitBytes + sealedBytes + archiveBytes)} after a year in which every device changes daily (${ground})`,
    `           ${parts.join(', ')}${ends}`,
  ];
}

function checkedJson(
  { configFile, inventoryFile, warnings, sizing }: Checked,
  reached: readonly Reached[] | null,
): object {
  return {
    valid: true,
    problems: [],
    config: configFile,
    inventory: inventoryFile,
    warnings: warnings.map(problemJson),
    sizing: {
      devices: sizing.devices,
      sessions: sizing.sessions,
      run_ms: sizing.runMs,
      window_ms: sizing.windowMs,
      measured: sizing.measured,
      bytes_a_year: sizing.disk.gitBytes + sizing.disk.sealedBytes + sizing.disk.archiveBytes,
      git_bytes: sizing.disk.gitBytes,
      sealed_bytes: sizing.disk.sealedBytes,
      archive_bytes: sizing.disk.archiveBytes,
      disk_measured: sizing.disk.measured,
    },
    devices:
      reached?.map(({ device, platform, durationMs, failure }) => ({
        device,
        platform,
        duration_ms: durationMs,
        error: jsonFailure(failure, { device, runId: null }),
      })) ?? null,
  };
}
