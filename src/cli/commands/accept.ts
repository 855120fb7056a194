import { describe } from '../../core/catalogue.ts';
import { OperationError, UsageError } from '../../core/errors.ts';
import { instant } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';
import { known } from '../select.ts';
import type { Held, Services } from '../services.ts';
import { confirmed } from '../terminal/ask.ts';
import { comparisonLines } from '../terminal/diff-view.ts';

interface Options extends Common {
  readonly yes?: boolean;
}

export function accept(cli: Cli): void {
  cli
    .command('accept', 'Takes a quarantined run as the new good one, after showing why it was held.', [
      'roundsman accept fw1',
      'roundsman accept fw1 20260301T020004Z-70d1a5b5 --yes',
    ])
    .argument('<name>', 'a device')
    .argument('[run]', 'a run id or the beginning of one; default: the newest held one')
    .option('--yes', 'do not ask')
    .action((name: string, run: string | undefined, options: Options) =>
      cli.run(options, async (context) => {
        const { services, json } = context;
        const device = known(await services.fleet(), name);
        const held = pick(device, await services.held(device), run);
        const { runId } = held.entry;
        if (!json) context.print(...(await reasons(services, device, held, context)));
        const command = `roundsman accept ${device} ${runId} --yes`;
        if (options.yes !== true) {
          if (json) throw new UsageError('--json cannot ask', `run \`${command} --json\``);
          if (!(await confirmed(context.world, `Take this as the new good copy of ${device}?`, command))) {
            context.print('Nothing was accepted.');
            return exitCodes.failed;
          }
        }
        const commit = await services.accept(device, runId);
        if (json) context.document({ device, run_id: runId, commit });
        else context.print(`accepted: run ${runId} of ${device} is commit ${commit.slice(0, 10)}`);
        return exitCodes.ok;
      }),
    );
}

function pick(device: string, held: readonly Held[], run: string | undefined): Held {
  const [newest] = held;
  if (newest === undefined)
    throw new OperationError(
      `nothing of ${device} is held`,
      `\`roundsman status ${device}\` says where it stands`,
    );
  if (run === undefined) return newest;
  const named = held.filter(({ entry }) => entry.runId.toLowerCase().startsWith(run.toLowerCase()));
  const [only, ...others] = named;
  if (only !== undefined && others.length === 0 && run !== '') return only;
  throw new UsageError(
    `"${run}" names ${only === undefined ? 'no' : 'more than one'} held run of ${device}`,
    `held: ${held.map(({ entry }) => entry.runId).join(', ')}`,
  );
}

/** Why it was held, and every text in which it differs from the last good one. */
async function reasons(
  services: Services,
  device: string,
  { entry, failure }: Held,
  { paint }: Context,
): Promise<string[]> {
  const { message } = describe(failure, { device, runId: entry.runId });
  const lines = [`${device}, read ${instant(entry.readAtMs)}: ${message}`, ''];
  const versions = await services.versions(device);
  for (const artefact of entry.artefacts) {
    const last = versions.find((version) => version.artefact === artefact.name);
    const before = last === undefined ? '' : await services.text(last);
    if (before === artefact.masked) continue;
    const from = last === undefined ? 'nothing' : last.commit.slice(0, 10);
    const comparison = await services.compare(device, before, artefact.masked);
    lines.push(...comparisonLines(`${artefact.name}: ${from} → held run`, comparison, paint), '');
  }
  return lines;
}
