import { quotable } from '../../core/display.ts';
import { instant } from '../../core/units.ts';
import { type Common, exitCodes } from '../context.ts';
import { decodedText, jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import { openShelf, principalArtefact } from '../revision.ts';
import { known } from '../select.ts';
import type { Message, Services } from '../services.ts';
import { page } from '../terminal/pager.ts';
import { table } from '../terminal/table.ts';

interface Options extends Common {
  readonly artefact: string;
}

const columns = [
  { title: 'COMMIT', min: 10 },
  { title: 'READ AT', min: 20 },
  { title: 'CHANGED BY', min: 8, dropped: 1 },
  { title: 'CHANGE', min: 10 },
];

export function log(cli: Cli): void {
  cli
    .command('log', 'The versions of a device, newest first.', [
      'roundsman log fw1',
      'roundsman log lb1 --artefact running-config --json',
    ])
    .argument('<name>', 'a device')
    .option('--artefact <name>', 'which of its texts', principalArtefact)
    .action((name: string, options: Options) =>
      cli.run(options, async (context) => {
        const { services, json, paint, width } = context;
        const device = known(await services.fleet(), name);
        if (json) {
          context.document(await versionsJson(services, device, options.artefact));
          return exitCodes.ok;
        }
        const { versions, held } = await openShelf(services, device, options.artefact);
        const messages = await services.messages(versions.map(({ commit }) => commit));
        const rows = versions.map((version) => {
          const message = messages.get(version.commit);
          return [
            { text: version.commit.slice(0, 10), style: 'doubtful' as const },
            instant(version.atMs),
            quotable(trailer(message, 'Changed-By') ?? '-', 40),
            quotable((message?.subject ?? '').replace(`${device}: `, ''), 200),
          ];
        });
        for (const { entry } of held)
          context.remark(
            `held since ${instant(entry.readAtMs)}: see \`roundsman diff ${device} ${entry.runId}\``,
          );
        await page(context.world, `${table(columns, rows, width, paint).join('\n')}\n`);
        return exitCodes.ok;
      }),
    );
}

/** What `log --json` prints. */
export async function versionsJson(
  services: Services,
  device: string,
  artefact: string,
): Promise<readonly object[]> {
  const { versions } = await openShelf(services, device, artefact);
  const messages = await services.messages(versions.map(({ commit }) => commit));
  return versions.map((version) => {
    const message = messages.get(version.commit);
    return {
      device,
      artefact: version.artefact,
      commit: version.commit,
      run_id: version.runId,
      at: jsonInstant(version.atMs),
      path: version.path,
      subject: decodedText(message?.subject ?? ''),
      trailers: trailersJson(message),
    };
  });
}

function trailer(message: Message | undefined, key: string): string | null {
  return message?.trailers.find(([name]) => name === key)?.[1] ?? null;
}

function trailersJson(message: Message | undefined): object {
  return Object.fromEntries((message?.trailers ?? []).map(([key, value]) => [key, decodedText(value)]));
}
