import { generateIdentity } from '../artefacts/unseal.ts';
import type { Services, ServicesOptions } from '../cli/services.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { createContext, type OwnedContext } from './context.ts';
import { writeFirstConfiguration } from './init.ts';
import { remoteStatuses } from './replication.ts';
import { backup, reachAll, release } from './services/backup.ts';
import { check } from './services/check.ts';
import { exportState } from './services/export.ts';
import * as history from './services/history.ts';
import * as hostKeys from './services/host-keys.ts';
import { importState } from './services/import.ts';
import { readTranscript } from './services/transcripts.ts';
import { acceptBreak, verify } from './services/verify.ts';
import { personAsking } from './user.ts';

/** Where values meet: everything done by this process, with a context of its own. */
export function compose(
  options: ServicesOptions,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock = systemClock,
): Services {
  return localServices(createContext(options, env, clock), env);
}

/** The same on a context that is there. */
export function localServices(
  context: OwnedContext,
  env: Readonly<Record<string, string | undefined>>,
): Services {
  return {
    init: (dir) => writeFirstConfiguration(dir, generateIdentity),
    async daemon(signals) {
      // What answers HTTP and counts for it is loaded by the daemon alone: a fifth of what a command takes to begin.
      const { runDaemon } = await import('./daemon.ts');
      return runDaemon(context, localServices(context, env), signals, env);
    },
    async fleet() {
      const { devices, groups, warnings } = await context.configuration();
      const { ledger } = await context.state();
      const names = new Set(devices.map((device) => device.name));
      const gone = [...ledger.idsByName().keys()].filter((name) => !names.has(name));
      return { devices, groups, gone, warnings };
    },
    exportState: (dir, watch) => exportState(context, dir, watch),
    importState: (dir, watch) => importState(context, dir, watch),
    verify: (anchor, watch) => verify(context.stateDir(), context.clock, anchor, watch),
    acceptBreak: ({ because, fingerprint }, watch) =>
      acceptBreak(context.stateDir(), context.clock, { because, fingerprint, by: personAsking(env) }, watch),
    check: () => check(context),
    reach: (devices, watch) => reachAll(context, devices, watch, null),
    backup: (devices, watch) => backup(context, devices, watch),
    status: (devices) => history.status(context, devices),
    remotes: () => remoteStatuses(context),
    runs: (filter) => history.runs(context, filter),
    run: (runId) => history.run(context, runId),
    versions: (device) => history.versions(context, device),
    held: (device) => history.held(context, device),
    archives: (device) => history.archives(context, device),
    text: (version) => history.text(context, version),
    messages: (commits) => history.messages(context, commits),
    compare: (device, before, after) => history.compareTexts(context, device, before, after),
    async transcript(device, runId) {
      return readTranscript((await context.configuration()).settings.stateDir, device, runId);
    },
    accept: (device, runId, by = personAsking(env)) => history.accept(context, device, runId, by),
    release: (credential, by = personAsking(env)) => release(context, credential, null, by),
    offeredKeys: (devices, signal) => hostKeys.offeredKeys(context, devices, signal, null),
    keysFromFile: (devices, file) => hostKeys.keysFromFile(context, devices, file),
    trust: (keys, replace) => hostKeys.trust(context, keys, replace),
    sealed: (device, artefact, runId) => history.sealed(context, device, artefact, runId),
    restore: (device, artefact, runId, identityFile) =>
      history.restore(context, device, artefact, runId, identityFile),
    [Symbol.asyncDispose]: () => context[Symbol.asyncDispose](),
  };
}
