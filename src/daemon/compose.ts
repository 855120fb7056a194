import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { generateIdentity } from '../artefacts/unseal.ts';
import type { Services, ServicesOptions } from '../cli/services.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { storageError } from '../core/storage-errors.ts';
import { loadDrivers } from '../drivers/registry.ts';
import { openRepository } from '../gitstore/open-repository.ts';
import { openSpool } from '../gitstore/open-spool.ts';
import { loadInventory } from '../inventory/inventory.ts';
import { createSecretReader } from '../inventory/secrets.ts';
import { lockState, type StateLock } from '../ledger/lock.ts';
import { openLedger } from '../ledger/open-ledger.ts';
import { knownAlgorithms } from '../transport/algorithms.ts';
import { openHostKeys } from '../transport/known-hosts.ts';
import { writeFirstConfiguration } from './init.ts';
import { createLog } from './log.ts';
import { backup, reachAll, recoverLeftovers } from './services/backup.ts';
import { check } from './services/check.ts';
import { type Configuration, type Context, registerFleet, type State } from './services/context.ts';
import * as history from './services/history.ts';
import * as hostKeys from './services/host-keys.ts';
import { readTranscript } from './services/transcripts.ts';
import { findSettings, loadSettings } from './settings.ts';

/** Where values meet: everything that the commands ask for, made from the real hands. */
export function compose(
  options: ServicesOptions,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock = systemClock,
): Services {
  const opened: Disposable[] = [];
  const readSecret = createSecretReader(env, clock);
  const configuration = once(() => readConfiguration(options, env, clock));
  const log = once(async () => createLog((await configuration()).settings.log, !options.logLines));
  const state = once(async () => openState((await configuration()).settings.stateDir, opened));
  const changing = once(async () => {
    const { stateDir } = (await configuration()).settings;
    await makeStateDir(stateDir);
    const lock: StateLock = await lockState(stateDir);
    opened.push(lock);
    const hands = await state();
    registerFleet(await configuration(), hands, clock.nowMs());
    await recoverLeftovers(context, hands);
    return hands;
  });
  const context: Context = { clock, configuration, state, changing, log, readSecret };

  return {
    init: (dir) => writeFirstConfiguration(dir, generateIdentity),
    async fleet() {
      const { devices, groups } = await configuration();
      const { ledger } = await state();
      const names = new Set(devices.map((device) => device.name));
      const gone = ledger.devices().map((device) => device.name);
      return { devices, groups, gone: gone.filter((name) => !names.has(name)) };
    },
    check: () => check(context),
    reach: (devices, watch) => reachAll(context, devices, watch),
    backup: (devices, watch) => backup(context, devices, watch),
    status: (devices) => history.status(context, devices),
    runs: (filter) => history.runs(context, filter),
    run: (runId) => history.run(context, runId),
    versions: (device) => history.versions(context, device),
    held: (device) => history.held(context, device),
    text: (version) => history.text(context, version),
    messages: (commits) => history.messages(context, commits),
    compare: (device, before, after) => history.compareTexts(context, device, before, after),
    async transcript(device, runId) {
      return readTranscript((await configuration()).settings.stateDir, device, runId);
    },
    accept: (device, runId) => history.accept(context, device, runId),
    offeredKeys: (devices, signal) => hostKeys.offeredKeys(context, devices, signal),
    keysFromFile: (devices, file) => hostKeys.keysFromFile(context, devices, file),
    trust: (keys, replace) => hostKeys.trust(context, keys, replace),
    restore: (device, artefact, runId, identityFile) =>
      history.restore(context, device, artefact, runId, identityFile),
    async [Symbol.asyncDispose]() {
      // The lock goes last: nobody may take it while the ledger is still being closed.
      for (const thing of opened.reverse()) thing[Symbol.dispose]();
      opened.length = 0;
    },
  };
}

async function readConfiguration(
  options: ServicesOptions,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
): Promise<Configuration> {
  const drivers = await loadDrivers();
  const file = findSettings(options.configFile, env, existsSync);
  const settings = loadSettings(file);
  const { devices, groups, warnings } = loadInventory(settings.inventory, {
    defaults: settings,
    platforms: [...drivers.keys()],
    algorithms: knownAlgorithms,
    nowMs: clock.nowMs(),
  });
  return { file, settings, devices, groups, warnings: [...settings.warnings, ...warnings], drivers };
}

async function openState(stateDir: string, opened: Disposable[]): Promise<State> {
  await makeStateDir(stateDir);
  const ledger = openLedger(join(stateDir, 'ledger.db'));
  opened.push(ledger);
  return {
    ledger,
    repository: await openRepository({ dir: join(stateDir, 'configs.git') }),
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

/** The same promise at every call; a failure is remembered too. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
