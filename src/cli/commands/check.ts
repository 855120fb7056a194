import { describe } from '../../core/catalogue.ts';
import { InvalidConfiguration } from '../../core/errors.ts';
import { counted, duration, size } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { problemJson, problemLine } from '../errors.ts';
import { jsonFailure } from '../json.ts';
import type { Cli } from '../program.ts';
import { selectEnabled } from '../select.ts';
import type { Checked, Reached } from '../services.ts';

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
    `sizing     ${counted(sizing.sessions, 'session')} at once, ${duration(sizing.runMs)} a device: one round takes ${duration(sizing.windowMs)}`,
    `           about ${size(sizing.bytesAYear)} a year on disk (${ground})`,
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
      bytes_a_year: sizing.bytesAYear,
      measured: sizing.measured,
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
