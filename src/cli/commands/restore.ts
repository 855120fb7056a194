import { writeFile } from 'node:fs/promises';
import { decodeBytes, harmlessLines } from '../../core/display.ts';
import { OperationError, UsageError } from '../../core/errors.ts';
import { size } from '../../core/units.ts';
import type { ArchiveAttempt } from '../../ledger/archives.ts';
import { type Common, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';
import { findNamed, openShelf, principalArtefact, type Shelf } from '../revision.ts';
import { known } from '../select.ts';
import type { Services, Unsealed } from '../services.ts';
import { parseInstant } from '../time.ts';

interface Options extends Common {
  readonly identity: string;
  readonly artefact: string;
  readonly output?: string;
}

export function restore(cli: Cli): void {
  cli
    .command('restore', 'The bytes that the device gave, unsealed, secrets included.', [
      'roundsman restore fw1 --identity /media/safe/identity.txt --output fw1.cfg',
      'roundsman restore fw1 1f3c9a2b --identity identity.txt > fw1.cfg',
    ])
    .argument('<name>', 'a device')
    .argument('[rev]', 'a commit, a run id or an RFC 3339 instant; default: the newest')
    .requiredOption('--identity <file>', 'the age identity that `roundsman init` made')
    .option('--output <file>', 'a new file, readable for its owner alone; default: standard output')
    .option('--artefact <name>', 'which of its texts or archives', principalArtefact)
    .action((name: string, revision: string | undefined, options: Options) =>
      cli.run(options, async ({ services, world, json, document, remark }) => {
        const { identity, output } = options;
        if (json && output === undefined)
          throw new UsageError('--json and the bytes both want standard output', 'add `--output FILE`');
        const device = known(await services.fleet(), name);
        const kept = (await services.archives(device)).filter(({ name }) => name === options.artefact);
        const isArchive = kept.length > 0;
        const { runId, unsealed } = isArchive
          ? await restoreArchive(services, kept, revision, identity, device)
          : await restoreText(services, device, options.artefact, revision, identity);
        if (unsealed === null)
          throw new OperationError(
            `nothing is sealed of ${options.artefact} of ${device}${runId === null ? '' : ` in run ${runId}`}`,
            `name another version of \`roundsman log ${device}\`; sealed copies are kept as long as \`retention\` says`,
          );
        if (output === undefined) {
          if (world.stdout.isTTY === true) refuseControls(unsealed.bytes);
          world.stdout.write(unsealed.bytes);
        } else await writeNew(output, unsealed.bytes);
        // What a text is worth says nothing of an archive.
        const run = isArchive ? null : await services.run(unsealed.runId);
        if (json)
          document({
            device,
            artefact: options.artefact,
            run_id: unsealed.runId,
            restorable: run?.restorable ?? null,
            bytes: unsealed.bytes.length,
            output,
          });
        else {
          const where = output === undefined ? '' : ` to ${output}`;
          remark(`${size(unsealed.bytes.length)} of ${device}, read by run ${unsealed.runId}${where}`);
          if (runId !== null && runId !== unsealed.runId)
            remark(
              `run ${runId} found the masked text unchanged and has no copy of its own any more: a secret that its mask does not tell apart may differ`,
            );
          if (run?.restorable != null && run.restorable !== 'yes')
            remark(
              `restorable: ${run.restorable}${run.restorableBecause === null ? '' : `: ${run.restorableBecause}`}`,
            );
        }
        return exitCodes.ok;
      }),
    );
}

async function restoreText(
  services: Services,
  device: string,
  artefact: string,
  revision: string | undefined,
  identity: string,
): Promise<{ runId: string | null; unsealed: Unsealed | null }> {
  const shelf = await openShelf(services, device, artefact);
  if (revision !== undefined) return restoreNamed(services, shelf, revision, identity);
  return { runId: null, unsealed: await services.restore(device, artefact, null, identity) };
}

/** The archive of the run that is named, or the newest one at an instant; without a revision the newest of all. */
async function restoreArchive(
  services: Services,
  kept: readonly ArchiveAttempt[],
  revision: string | undefined,
  identity: string,
  device: string,
): Promise<{ runId: string; unsealed: Unsealed | null }> {
  const instantMs = revision === undefined ? null : parseInstant(revision);
  const found = kept.find(({ runId, attemptedAtMs }) => {
    if (revision === undefined) return true;
    return instantMs === null ? runId.startsWith(revision) : attemptedAtMs <= instantMs;
  });
  if (found === undefined)
    throw new UsageError(
      `${device} has no archive "${kept[0]?.name ?? ''}" of ${revision ?? ''}`,
      `name its run or an instant; there is one of each of these runs: ${kept.map(({ runId }) => runId).join(', ')}`,
    );
  const { runId } = found;
  return { runId, unsealed: await services.restore(device, found.name, runId, identity) };
}

/**
 * The copy of exactly the run that is named, because a text that is masked alike may hold other secrets;
 * where that run has none, the copy of the run that stored its version.
 */
async function restoreNamed(
  services: Services,
  shelf: Shelf,
  revision: string,
  identity: string,
): Promise<{ runId: string; unsealed: Unsealed | null }> {
  const { device, artefact } = shelf;
  const { runId, reading } = await findNamed(services, shelf, revision);
  const unsealed = await services.restore(device, artefact, runId, identity);
  if (unsealed !== null || reading.kind === 'held' || reading.version.runId === runId)
    return { runId, unsealed };
  return { runId, unsealed: await services.restore(device, artefact, reading.version.runId, identity) };
}

/** Exact bytes are never changed to make them harmless, so a terminal does not get harmful ones at all. */
function refuseControls(bytes: Buffer): void {
  const text = decodeBytes(bytes.toString('latin1'));
  if (harmlessLines(text) !== text)
    throw new UsageError(
      'these bytes hold control characters, which a terminal would obey',
      'add `--output FILE`',
    );
}

/** 0600 from the first byte; never over a file that is there. */
async function writeNew(path: string, bytes: Buffer): Promise<void> {
  try {
    await writeFile(path, bytes, { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw new OperationError(`${path} exists already`, 'name a new file: nothing is overwritten');
    throw new OperationError(`${path} cannot be written: ${message}`, 'name another place with `--output`', {
      cause: error,
    });
  }
}
