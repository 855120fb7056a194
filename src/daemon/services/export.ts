import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { openArtefacts } from '../../artefacts/store.ts';
import type { Exported, MoveStep, Watch } from '../../cli/services.ts';
import { secretRefsOf, vaultPath } from '../../core/device.ts';
import { OperationError, UsageError } from '../../core/errors.ts';
import { bundleRepository } from '../../gitstore/bundle.ts';
import { makeDirectory, writeDurably } from '../../gitstore/durable.ts';
import { tipFileName } from '../../gitstore/tip.ts';
import { verifyChain } from '../../ledger/audit.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { maskKeyId, parseFingerprintKey } from '../../pipeline/mask.ts';
import { createCalendar } from '../../scheduler/calendar.ts';
import { settleUp } from '../../scheduler/settle-up.ts';
import { needsOf } from '../git-remotes.ts';
import { begin, copyPrivate, entriesOf, exists, flushTree, onDisk } from '../move/files.ts';
import { digestOf, type Manifest, names } from '../move/manifest.ts';
import { userName } from '../user.ts';
import { buildInfo } from '../version.ts';
import { filesOf } from '../web-config.ts';
import type { Configuration, Context, State } from './context.ts';

/** Writes an export; see Services. Nothing is left in `givenDir` where it fails. */
export async function exportState(
  context: Context,
  givenDir: string,
  watch: Watch<MoveStep>,
): Promise<Exported> {
  const configuration = await context.configuration();
  const { stateDir } = configuration.settings;
  const dir = resolve(givenDir);
  if (isInside(dir, stateDir))
    throw new UsageError(`${dir} lies inside state_dir`, 'name a directory elsewhere');
  if ((await entriesOf(dir)).length > 0)
    throw new OperationError(`${dir} is not empty`, 'name a new directory: nothing is overwritten');
  if (!(await exists(join(stateDir, 'ledger.db'))))
    throw new OperationError(
      `there is no state in ${stateDir}`,
      'name the settings of the collector to export',
    );
  // Its holder is named where it is a daemon; what a crash left is closed.
  const state = await context.changing();
  // Before anything is written, or a key that cannot be read would cost the whole work.
  const key = await fingerprintKey(context, configuration);
  const existed = await exists(dir);
  try {
    await onDisk(dir, async () => {
      await makeDirectory(dir);
      await chmod(dir, 0o700);
    });
    return await write(context, configuration, state, key, dir, watch);
  } catch (error) {
    await empty(dir, existed).catch(() => {});
    throw error;
  }
}

async function write(
  context: Context,
  configuration: Configuration,
  { ledger, spool }: State,
  key: string | null,
  dir: string,
  watch: Watch<MoveStep>,
): Promise<Exported> {
  const { stateDir } = configuration.settings;
  const repository = join(stateDir, 'configs.git');
  const exportedAtMs = context.clock.nowMs();
  const missed = await closeSlots(context, configuration, ledger, exportedAtMs);

  begin(watch, 'history');
  const main = await bundleRepository(repository, join(dir, names.bundle));
  const maskKey = key === null ? null : maskKeyId(parseFingerprintKey(key));

  begin(watch, 'ledger');
  const host = hostname();
  ledger.record('export', exportedAtMs, { by: userName(), host, main, mask_key: maskKey });
  const chain = verifyChain(ledger.chain());
  if (chain.brokenAt !== null)
    throw new OperationError(
      `the audit chain is broken at record ${chain.brokenAt}: no host would import this`,
      'somebody changed ledger.db; move the collector as docs/operations.md says for backup and restore, or restore a backup from before',
    );
  ledger.snapshot(join(dir, names.ledger));

  const waiting = await spool.waiting();
  const held = await spool.held(null);
  await onDisk(dir, async () => {
    await copyPrivate(join(repository, tipFileName), join(dir, names.tip)).catch(ifThere);
    await copyPrivate(join(stateDir, names.knownHosts), join(dir, names.knownHosts)).catch(ifThere);
    for (const below of [names.spool, names.quarantine]) await copyFiles(stateDir, below, dir);
    if (key !== null) await writeFile(join(dir, names.fingerprintKey), `${key}\n`, { mode: 0o600 });
  });
  const digests = new Set(ledger.sealedDigests());
  for (const { artefacts } of [...waiting, ...held])
    for (const { sealed } of artefacts) if (sealed !== null) digests.add(sealed);
  const sealed = await copySealed(stateDir, dir, [...digests], watch);

  begin(watch, 'flushing to the disk');
  const manifest: Manifest = {
    format: 1,
    roundsman: buildInfo().version,
    exported_at: new Date(exportedAtMs).toISOString(),
    host,
    chain: { length: chain.length, head: chain.head },
    main,
    mask_key: maskKey,
    lost: [...sealed.lost],
    files: await onDisk(dir, () => digestsOf(dir)),
  };
  await onDisk(dir, async () => {
    await flushTree(dir);
    // Last: an export without it is none.
    await writeDurably(join(dir, names.manifest), `${JSON.stringify(manifest, null, 2)}\n`);
  });
  return {
    ...{ dir, host, exportedAtMs, main, missed },
    ...{ chainLength: chain.length, chainHead: chain.head },
    ...{ sealedCopies: sealed.copies, sealedBytes: sealed.bytes, lostCopies: sealed.lost },
    ...{ waiting: waiting.length, held: held.length },
    fingerprintKeyFile: key === null ? null : join(dir, names.fingerprintKey),
    ...toCopy(configuration),
  };
}

/**
 * What fell due up to now is this host's: whoever goes on with the ledger answers for what falls due later.
 * Returns how many slots were missed.
 */
async function closeSlots(
  context: Context,
  { devices }: Configuration,
  ledger: Ledger,
  nowMs: number,
): Promise<number> {
  const log = await context.log();
  let missed = 0;
  for (const { device, write } of settleUp(ledger, createCalendar(), devices, nowMs)) {
    if (write.end.state !== 'missed') continue;
    const { name, platform, group } = device;
    const { slotMs, deadlineMs } = write;
    const count = write.kind === 'record-more' ? write.count : 1;
    missed += count;
    log.slotMissed({ device: name, platform, group, cause: write.end.cause, slotMs, count, deadlineMs });
  }
  return missed;
}

/** As its file has it; null where secrets go to git as they are. */
async function fingerprintKey(context: Context, { settings }: Configuration): Promise<string | null> {
  if (settings.secrets.inGit === 'keep') return null;
  const key = (await context.readSecret(settings.secrets.fingerprintKey)).trim();
  parseFingerprintKey(key);
  return key;
}

interface SealedCopies {
  readonly copies: number;
  readonly bytes: number;
  readonly lost: readonly string[];
}

/** One that is gone or damaged cannot be made whole by staying here: it is named, and the others go. */
async function copySealed(
  stateDir: string,
  dir: string,
  digests: readonly string[],
  watch: Watch<MoveStep>,
): Promise<SealedCopies> {
  const from = openArtefacts({ dir: join(stateDir, names.artefacts), recipients: [] });
  const to = openArtefacts({ dir: join(dir, names.artefacts), recipients: [] });
  const lost: string[] = [];
  let bytes = 0;
  for (const [done, digest] of digests.entries()) {
    begin(watch, 'sealed copies', done, digests.length);
    const sealed = await from.read(digest).catch((error: unknown) => {
      if (error instanceof OperationError) return null;
      throw error;
    });
    if (sealed === null) lost.push(digest);
    else {
      const file = to.path(digest);
      await onDisk(file, async () => {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        await writeFile(file, sealed, { mode: 0o600 });
      });
      bytes += sealed.length;
    }
  }
  return { copies: digests.length - lost.length, bytes, lost };
}

/** Files, not directories, and nothing half-written. */
async function copyFiles(from: string, below: string, to: string): Promise<void> {
  for (const entry of await readdir(join(from, below), { withFileTypes: true })) {
    if (entry.isFile() && !entry.name.startsWith('.'))
      await copyPrivate(join(from, below, entry.name), join(to, below, entry.name));
  }
}

async function digestsOf(dir: string): Promise<Record<string, string>> {
  const files: string[] = [];
  for (const below of ['', names.spool, names.quarantine]) {
    for (const name of await entriesOf(join(dir, below))) {
      const path = below === '' ? name : `${below}/${name}`;
      if (path !== names.fingerprintKey && (await stat(join(dir, path))).isFile()) files.push(path);
    }
  }
  const found: Record<string, string> = {};
  for (const path of files.toSorted()) found[path] = await digestOf(join(dir, path));
  return found;
}

/** What makes the other host this one, and is not ours to copy: it belongs to root, or to nobody's disk. */
function toCopy({ file, settings, devices }: Configuration): Pick<Exported, 'filesToCopy' | 'secretsToCopy'> {
  const remotes = settings.git.remotes.map(needsOf);
  const refs = [...devices.flatMap(secretRefsOf), ...remotes.flatMap(({ secret }) => secret?.ref ?? [])];
  const files = refs.flatMap((ref) => ('file' in ref ? [ref.file] : []));
  const others = refs.flatMap((ref) => {
    if ('env' in ref) return [`environment variable ${ref.env}`];
    if ('credential' in ref) return [`systemd credential ${ref.credential}`];
    if ('vault' in ref) return [`key ${ref.vault.key} of ${vaultPath(ref.vault)} in Vault`];
    // Without its arguments: they can be secrets too.
    return 'command' in ref ? [`what the command ${ref.command[0] ?? ''} prints`] : [];
  });
  return {
    filesToCopy: [
      ...new Set([
        resolve(file),
        settings.inventory,
        ...(settings.http.web === null ? [] : filesOf(settings.http.web)),
        ...files,
        ...remotes.flatMap(({ ca }) => ca ?? []),
      ]),
    ],
    secretsToCopy: [...new Set(others)],
  };
}

function isInside(path: string, dir: string): boolean {
  const way = relative(dir, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Takes back what a failed export wrote; a directory that was there before stays. */
async function empty(dir: string, existed: boolean): Promise<void> {
  for (const name of existed ? await readdir(dir) : [])
    await rm(join(dir, name), { recursive: true, force: true });
  if (!existed) await rm(dir, { recursive: true, force: true });
}
