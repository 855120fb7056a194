import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { openArtefacts } from '../../artefacts/store.ts';
import type { Imported, MoveStep, Watch } from '../../cli/services.ts';
import { failureOf, OperationError } from '../../core/errors.ts';
import { unbundleRepository } from '../../gitstore/bundle.ts';
import { openRepository } from '../../gitstore/open-repository.ts';
import { openSpool } from '../../gitstore/open-spool.ts';
import { tipFileName } from '../../gitstore/tip.ts';
import { verifyChain } from '../../ledger/audit.ts';
import type { ChainRecord, Ledger } from '../../ledger/ledger.ts';
import { lockState } from '../../ledger/lock.ts';
import { openLedger } from '../../ledger/open-ledger.ts';
import { buildState } from '../move/draft.ts';
import { begin, copyPrivate, onDisk } from '../move/files.ts';
import { readKeyFile, settleKey } from '../move/key.ts';
import { altered, digestOf, type Manifest, names, readManifest } from '../move/manifest.ts';
import type { Context } from './context.ts';

/** Clocks of two hosts differ; by more than this one of them is wrong. */
const skewMs = 60_000;

/** Takes over an export; see Services. */
export async function importState(
  context: Context,
  givenDir: string,
  watch: Watch<MoveStep>,
): Promise<Imported> {
  const { settings } = await context.configuration();
  const dir = resolve(givenDir);
  const manifest = await readManifest(dir);
  const exportedAtMs = Date.parse(manifest.exported_at);
  const { stateDir } = settings;
  using _lock = await lockState(stateDir);
  const key = await readKeyFile(dir, manifest.mask_key);
  const settled = key === null ? null : await settleKey(context, settings, dir, key);
  let importedAtMs = 0;
  let taken: Taken = { copies: 0, bytes: 0, waiting: 0, held: 0 };
  await buildState(stateDir, async (draft) => {
    importedAtMs = context.clock.nowMs();
    if (importedAtMs < exportedAtMs - skewMs)
      throw new OperationError(
        `the export is of ${manifest.exported_at}, and here it is ${new Date(importedAtMs).toISOString()}`,
        'set the clock of this host, then import again',
      );
    taken = await build(dir, draft, manifest, importedAtMs, watch);
    // Before the state is there: with another key the first backup would change every mask.
    await settled?.write();
  });
  return {
    ...{ stateDir, host: manifest.host, exportedAtMs, importedAtMs, main: manifest.main },
    ...{ chainLength: manifest.chain.length, chainHead: manifest.chain.head },
    ...{ sealedCopies: taken.copies, sealedBytes: taken.bytes, lostCopies: manifest.lost },
    ...{ waiting: taken.waiting, held: taken.held },
    fingerprintKey: settled?.found ?? null,
  };
}

interface Taken {
  readonly copies: number;
  readonly bytes: number;
  readonly waiting: number;
  readonly held: number;
}

async function build(
  dir: string,
  draft: string,
  manifest: Manifest,
  importedAtMs: number,
  watch: Watch<MoveStep>,
): Promise<Taken> {
  begin(watch, 'ledger');
  for (const name of Object.keys(manifest.files)) {
    if (name !== names.bundle && name !== names.tip)
      await copyVerified(dir, name, join(draft, name), manifest);
  }
  if (manifest.files[names.ledger] === undefined) throw altered(names.manifest, `names no ${names.ledger}`);
  using ledger = openLedger(join(draft, names.ledger));
  checkChain(ledger, manifest);

  begin(watch, 'history');
  await buildRepository(dir, join(draft, 'configs.git'), manifest);

  const spool = await openSpool(join(draft, names.spool));
  const [waiting, held] = [await spool.waiting(), await spool.held(null)];
  const digests = new Set(ledger.sealedDigests());
  for (const { artefacts } of [...waiting, ...held])
    for (const { sealed } of artefacts) if (sealed !== null) digests.add(sealed);
  for (const lost of manifest.lost) digests.delete(lost);
  const bytes = await copySealed(dir, draft, [...digests], watch);

  begin(watch, 'flushing to the disk');
  startExpecting(ledger, manifest, importedAtMs);
  return { copies: digests.size, bytes, waiting: waiting.length, held: held.length };
}

/**
 * From now on this host answers for what falls due. Nobody knows whether the old one went on after the
 * export, so the time in between makes no slots; what was owed at the export stays owed.
 */
function startExpecting(ledger: Ledger, { exported_at, host }: Manifest, importedAtMs: number): void {
  ledger.together(() => {
    for (const { deviceId, plan } of ledger.slots.histories(0, importedAtMs).histories)
      ledger.slots.keepPlan(deviceId, plan, importedAtMs);
    ledger.record('import', importedAtMs, { exported_at_ms: Date.parse(exported_at), from_host: host });
  });
}

/** The copy is what is checked: it is what will be used. */
async function copyVerified(dir: string, name: string, to: string, { files }: Manifest): Promise<void> {
  await onDisk(to, () => copyPrivate(join(dir, name), to)).catch((error: unknown) => {
    if (failureOf(error).code === 'store.io') throw altered(name, 'it cannot be read', error);
    throw error;
  });
  if ((await onDisk(to, () => digestOf(to))) !== files[name]) throw altered(name, 'its digest differs');
}

/** The newest record is the export's own, and says again what the manifest says. */
function checkChain(ledger: Ledger, manifest: Manifest): void {
  let newest = '{}';
  const remembering = function* (): Iterable<ChainRecord> {
    for (const record of ledger.chain()) {
      newest = record.record;
      yield record;
    }
  };
  const { length, head, brokenAt } = verifyChain(remembering());
  if (brokenAt !== null) throw altered(names.ledger, `its audit chain is broken at record ${brokenAt}`);
  if (length !== manifest.chain.length || head !== manifest.chain.head)
    throw altered(names.ledger, `its audit chain has ${length} records and ends in another hash`);
  const said = JSON.parse(newest) as Record<string, unknown>;
  const { host, main, mask_key } = manifest;
  const expected = { category: 'export', at_ms: Date.parse(manifest.exported_at), host, main, mask_key };
  for (const [member, value] of Object.entries(expected)) {
    if (said[member] !== value)
      throw altered(
        names.manifest,
        `${member === 'at_ms' ? 'exported_at' : member} is not what the ledger recorded`,
      );
  }
}

async function buildRepository(dir: string, repository: string, manifest: Manifest): Promise<void> {
  await openRepository({ dir: repository });
  if (manifest.main === null) return;
  const bundle = join(dir, names.bundle);
  const digest = await digestOf(bundle).catch((error: unknown) => {
    throw altered(names.bundle, 'it cannot be read', error);
  });
  if (digest !== manifest.files[names.bundle]) throw altered(names.bundle, 'its digest differs');
  const tip = await unbundleRepository(bundle, repository);
  if (tip !== manifest.main)
    throw altered(names.bundle, `main is at ${tip ?? 'nothing'}, not at ${manifest.main}`);
  if (manifest.files[names.tip] !== undefined)
    await copyVerified(dir, names.tip, join(repository, tipFileName), manifest);
}

/** Returns how many bytes they have. */
async function copySealed(
  dir: string,
  draft: string,
  digests: readonly string[],
  watch: Watch<MoveStep>,
): Promise<number> {
  const from = openArtefacts({ dir: join(dir, names.artefacts), recipients: [] });
  const to = openArtefacts({ dir: join(draft, names.artefacts), recipients: [] });
  let bytes = 0;
  for (const [done, digest] of digests.entries()) {
    begin(watch, 'sealed copies', done, digests.length);
    const sealed = await from.read(digest).catch((error: unknown) => {
      const name = from.path(digest).slice(dir.length + 1);
      throw altered(name, 'it is gone, or its digest differs', error);
    });
    const file = to.path(digest);
    await onDisk(file, async () => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(file, sealed, { mode: 0o600 });
    });
    bytes += sealed.length;
  }
  return bytes;
}
