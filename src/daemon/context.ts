import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServicesOptions } from '../cli/services.ts';
import { describe } from '../core/catalogue.ts';
import type { Clock } from '../core/clock.ts';
import { failureOf } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { loadDrivers } from '../drivers/registry.ts';
import { openRepository } from '../gitstore/open-repository.ts';
import { openSpool } from '../gitstore/open-spool.ts';
import type { CommitSigner } from '../gitstore/signing.ts';
import { loadInventory } from '../inventory/inventory.ts';
import { createSecretReader } from '../inventory/secrets.ts';
import { lockState } from '../ledger/lock.ts';
import { openLedger } from '../ledger/open-ledger.ts';
import { knownAlgorithms } from '../transport/algorithms.ts';
import { openHostKeys } from '../transport/known-hosts.ts';
import { archiveNames } from './archives.ts';
import { readSigner, signingBy } from './commit-signing.ts';
import { createLog } from './log.ts';
import { mendingBy, type RepairHands } from './mending.ts';
import { refuseDraft } from './move/draft.ts';
import { shareRepository } from './readers.ts';
import { recoverLeftovers } from './services/backup.ts';
import { type Configuration, type Context, registerFleet, type State } from './services/context.ts';
import { rebuildLedger, settleLives } from './services/lives.ts';
import { loadSettings, type Settings } from './settings.ts';
import { findSettings } from './settings-file.ts';
import { type CommitSink, timedRepository } from './timed-repository.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A context that owns what it opened, and whose configuration can be replaced while it runs. */
export interface OwnedContext extends Context, AsyncDisposable {
  /** Of the settings alone. */
  stateDir(): string;
  /** From now on tells how many stale locks of git were removed, beginning with those until now. */
  staleLocksTo(tell: (count: number) => void): void;
  /** From now on tells of every commit, whoever asks for it. */
  commitsTo(sink: CommitSink): void;
  /** Reads settings and inventory anew and leaves what is in use alone. Throws as `configuration` does. */
  reread(): Promise<Configuration>;
  /** From now on `configuration` is this one. */
  adopt(configuration: Configuration): void;
}

/** Opens things at their first use, each once; a failure is remembered like a success. */
export function createContext(options: ServicesOptions, env: Environment, clock: Clock): OwnedContext {
  const opened: Disposable[] = [];
  let configuration = once(() => readConfiguration(options, env, clock));
  const log = once(async () =>
    createLog((await configuration()).settings.log, clock, !options.logLines, env),
  );
  let staleLocks = 0;
  let tellStaleLocks: ((count: number) => void) | null = null;
  const onStaleLock = (): void => {
    if (tellStaleLocks === null) staleLocks += 1;
    else tellStaleLocks(1);
  };
  let commitSink: CommitSink | null = null;
  let isLocked = false;
  let signer: CommitSigner | null = null;
  const state = once(async () => {
    const hands = { allowed: () => isLocked, log: await log(), clock, signer: () => signer };
    const found = await openState((await configuration()).settings, opened, onStaleLock, hands);
    return { ...found, repository: timedRepository(found.repository, clock, () => commitSink) };
  });
  const changing = once(async () => {
    const { settings } = await configuration();
    const { stateDir, git } = settings;
    signer = await readSigner(settings, context);
    await makeStateDir(stateDir);
    opened.push(await lockState(stateDir));
    isLocked = true;
    const hands = await state();
    await shareRepository(stateDir, git.readersGroup);
    hands.ledger.refuseDamaged();
    // What a power cut left is repaired before anybody reads it.
    await hands.repository.ready().catch(() => {});
    // Before devices are registered, and before anybody asks what was missed.
    await rebuildLedger(context, hands).catch(async (error: unknown) => {
      const failure = failureOf(error);
      if (!failure.code.startsWith('store.')) throw error;
      // A repository that cannot be read keeps nothing from being collected; the spool holds it.
      const { code, message, todo } = describe(failure);
      (await log()).warn('the repository cannot be read', { code, error: message, todo });
    });
    registerFleet(await configuration(), hands, clock.nowMs());
    await recoverLeftovers(context, hands);
    await settleLives(await configuration(), hands, context, await log(), null);
    return hands;
  });
  const context: OwnedContext = {
    clock,
    readSecret: createSecretReader(env, clock, async () => {
      const { settings, secretVariables } = await configuration();
      return { vault: settings.vault, secretVariables };
    }),
    configuration: () => configuration(),
    state,
    changing,
    log,
    stateDir: () => loadSettings(findSettings(options.configFile, env, existsSync)).stateDir,
    staleLocksTo(tell) {
      tellStaleLocks = tell;
      if (staleLocks > 0) tell(staleLocks);
      staleLocks = 0;
    },
    commitsTo(sink) {
      commitSink = sink;
    },
    reread: () => readConfiguration(options, env, clock),
    adopt(next) {
      configuration = () => Promise.resolve(next);
    },
    async [Symbol.asyncDispose]() {
      // Last opened, first closed: the ledger before the lock, or another process would find it open.
      for (const thing of opened.reverse()) thing[Symbol.dispose]();
      opened.length = 0;
    },
  };
  return context;
}

async function readConfiguration(
  options: ServicesOptions,
  env: Environment,
  clock: Clock,
): Promise<Configuration> {
  const drivers = await loadDrivers();
  const file = findSettings(options.configFile, env, existsSync);
  const settings = loadSettings(file);
  const { secretVariables, warnings, ...inventory } = loadInventory(settings.inventory, {
    defaults: settings,
    platforms: [...drivers.keys()],
    choices: new Map(
      [...drivers].map(([id, driver]) => [
        id,
        { options: driver.options ?? [], archives: archiveNames(driver) },
      ]),
    ),
    algorithms: knownAlgorithms,
    nowMs: clock.nowMs(),
    vault: settings.vault !== null,
  });
  return {
    ...inventory,
    file,
    settings,
    secretVariables: [...settings.secretVariables, ...secretVariables],
    warnings: [...settings.warnings, ...warnings],
    drivers,
  };
}

async function openState(
  { stateDir, git }: Settings,
  opened: Disposable[],
  onStaleLock: () => void,
  hands: RepairHands & { readonly signer: () => CommitSigner | null },
): Promise<State> {
  await makeStateDir(stateDir);
  await refuseDraft(stateDir);
  const ledger = openLedger(join(stateDir, 'ledger.db'));
  opened.push(ledger);
  return {
    ledger,
    repository: await openRepository({
      ...{ dir: join(stateDir, 'configs.git'), onStaleLock, mending: mendingBy(ledger, hands) },
      readable: git.readersGroup !== null,
      signing: signingBy(hands.signer, ledger, hands.clock),
    }),
    spool: await openSpool(join(stateDir, 'spool')),
    hostKeys: openHostKeys(join(stateDir, 'known_hosts')),
  };
}

async function makeStateDir(stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, stateDir);
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
