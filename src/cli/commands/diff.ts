import { UsageError } from '../../core/errors.ts';
import { instant } from '../../core/units.ts';
import type { Version } from '../../ledger/ledger.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import {
  find,
  newest,
  openShelf,
  predecessor,
  principalArtefact,
  type Reading,
  type Shelf,
} from '../revision.ts';
import { known } from '../select.ts';
import type { Comparison, Services } from '../services.ts';
import { comparisonJson, comparisonLines } from '../terminal/diff-view.ts';
import { page } from '../terminal/pager.ts';
import { parseInstant } from '../time.ts';

interface Options extends Common {
  readonly artefact: string;
}

export function diff(cli: Cli): void {
  cli
    .command('diff', 'What changed, and in which section.', [
      'roundsman diff fw1',
      'roundsman diff fw1 1f3c9a2b',
      'roundsman diff fw1 1f3c9a2b 77d0e4c1',
      'roundsman diff fw1 2026-03-01T00:00:00Z',
    ])
    .argument('<name>', 'a device')
    .argument('[a]', 'alone: a commit or run, for what it changed, or an instant, for what changed since')
    .argument('[b]', 'what A is compared with; default of both: the last two versions')
    .option('--artefact <name>', 'which of its texts', principalArtefact)
    .addHelpText('after', '\nA quarantined run, named by its id, is compared with the last good version.')
    .action((name: string, a: string | undefined, b: string | undefined, options: Options) =>
      cli.run(options, async (context) => {
        const { services, world, paint } = context;
        const device = known(await services.fleet(), name);
        const compared = await comparedSides(services, device, options.artefact, [a, b]);
        if (context.json) {
          context.document(compared.document);
          return exitCodes.ok;
        }
        const { before, after, comparison } = compared;
        const from = before === null ? 'nothing' : sideName(before);
        const heading = `${device} ${options.artefact}: ${from} → ${sideName(after)}`;
        const lines = comparisonLines(heading, comparison, paint);
        await page(world, `${lines.join('\n')}\n`);
        return exitCodes.ok;
      }),
    );
}

/** What two revisions name, compared, and what `diff --json` prints of it. `before` null: there is nothing before `after`. */
export async function comparedSides(
  services: Services,
  device: string,
  artefact: string,
  [a, b]: readonly (string | undefined)[],
): Promise<{
  readonly before: Reading | null;
  readonly after: Reading;
  readonly comparison: Comparison;
  readonly document: object;
}> {
  const shelf = await openShelf(services, device, artefact);
  const { before, after } = await sides(services, shelf, a, b);
  const [beforeText, afterText] = await Promise.all([textOf(services, before), textOf(services, after)]);
  const comparison = await services.compare(device, beforeText, afterText);
  const from = before === null ? null : sideJson(before);
  const document = { device, artefact, from, to: sideJson(after), ...comparisonJson(comparison) };
  return { before, after, comparison, document };
}

async function sides(
  services: Services,
  shelf: Shelf,
  a: string | undefined,
  b: string | undefined,
): Promise<{ before: Reading | null; after: Reading }> {
  if (a !== undefined && b !== undefined)
    return { before: await find(services, shelf, a), after: await find(services, shelf, b) };
  if (a !== undefined && parseInstant(a) !== null)
    return { before: await find(services, shelf, a), after: version(newest(shelf)) };
  const after = await find(services, shelf, a);
  const previous = predecessor(shelf, after);
  if (previous !== null) return { before: version(previous), after };
  if (a !== undefined) return { before: null, after };
  throw new UsageError(
    `there is only one version of ${shelf.artefact} of ${shelf.device}`,
    `see it with \`roundsman show ${shelf.device}\``,
  );
}

function version(of: Version): Reading {
  return { kind: 'version', version: of };
}

function textOf(services: Services, reading: Reading | null): Promise<string> {
  if (reading === null) return Promise.resolve('');
  return reading.kind === 'held' ? Promise.resolve(reading.text) : services.text(reading.version);
}

function sideName(reading: Reading): string {
  if (reading.kind === 'held') return `held run ${reading.held.entry.runId}`;
  return `${reading.version.commit.slice(0, 10)} (${instant(reading.version.atMs)})`;
}

function sideJson(reading: Reading): object {
  if (reading.kind === 'version') {
    const { commit, runId, atMs } = reading.version;
    return { commit, run_id: runId, at: jsonInstant(atMs), held: false };
  }
  const { runId, readAtMs } = reading.held.entry;
  return { commit: null, run_id: runId, at: jsonInstant(readAtMs), held: true };
}
