import { decodeBytes, harmlessLines } from '../../core/display.ts';
import { OperationError, UsageError } from '../../core/errors.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import { find, openShelf, principalArtefact } from '../revision.ts';
import { known } from '../select.ts';
import type { Services } from '../services.ts';
import { page } from '../terminal/pager.ts';

interface Options extends Common {
  readonly artefact: string;
  readonly transcript?: boolean;
}

export function show(cli: Cli): void {
  cli
    .command('show', 'One version of a device, secrets masked.', [
      'roundsman show fw1',
      'roundsman show fw1 1f3c9a2b',
      'roundsman show fw1 2026-03-01T00:00:00Z',
      'roundsman show fw1 --transcript',
    ])
    .argument('<name>', 'a device')
    .argument('[rev]', 'a commit, a run id or an RFC 3339 instant; default: the newest')
    .option('--artefact <name>', 'which of its texts', principalArtefact)
    .option('--transcript', 'what was typed and answered in a failed run instead; REV is a run id')
    .action((name: string, revision: string | undefined, options: Options) =>
      cli.run(options, async (context) => {
        const device = known(await context.services.fleet(), name);
        if (options.transcript === true) return transcript(context, device, revision);
        const shown = await shownText(context.services, device, options.artefact, revision);
        if (context.json) context.document(shown.document);
        else await page(context.world, forPeople(shown.text));
        return exitCodes.ok;
      }),
    );
}

/** A text, one character per byte, and what `show --json` prints of it. */
export async function shownText(
  services: Services,
  device: string,
  artefact: string,
  revision: string | undefined,
): Promise<{ readonly text: string; readonly document: object }> {
  const shelf = await openShelf(services, device, artefact);
  const reading = await find(services, shelf, revision);
  const held = reading.kind === 'held';
  const text = held ? reading.text : await services.text(reading.version);
  const document = {
    device,
    artefact: shelf.artefact,
    commit: held ? null : reading.version.commit,
    run_id: held ? reading.held.entry.runId : reading.version.runId,
    at: jsonInstant(held ? reading.held.entry.readAtMs : reading.version.atMs),
    path: held ? null : reading.version.path,
    held,
    text: decodeBytes(text),
  };
  return { text, document };
}

async function transcript(context: Context, device: string, runId: string | undefined): Promise<number> {
  const found = await context.services.transcript(device, runId ?? null);
  if (found === null) {
    const todo =
      'with `transcripts: failed` those of failed runs are kept for as long as `retention: { transcripts: … }` says, at most 20 of a device; set it, then run `roundsman backup`';
    if (runId === undefined) throw new OperationError(`no run of ${device} left a transcript`, todo);
    throw new UsageError(`there is no transcript of run "${runId}" of ${device}`, todo);
  }
  if (context.json) context.document({ device, run_id: found.runId, transcript: decodeBytes(found.text) });
  else await page(context.world, forPeople(found.text));
  return exitCodes.ok;
}

/** Harmless whether or not a terminal reads it, because a pipe often ends at one. */
function forPeople(text: string): string {
  const shown = harmlessLines(decodeBytes(text));
  return shown.endsWith('\n') ? shown : `${shown}\n`;
}
