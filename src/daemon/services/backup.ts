import type { BackupEvent, Reached, Watch } from '../../cli/services.ts';
import { credentialsOf } from '../../core/device.ts';
import { failureOf, UsageError } from '../../core/errors.ts';
import { nearest } from '../../core/nearest.ts';
import type { RunEnded } from '../../core/run.ts';
import { artefactPath } from '../../gitstore/paths.ts';
import { recover } from '../../pipeline/recover.ts';
import type { LoginGate } from '../../scheduler/login-gate.ts';
import { reach } from '../../transport/collect.ts';
import { createTranscript } from '../../transport/transcript.ts';
import { eachDevice } from '../fleet.ts';
import { housekeeping } from '../housekeeping.ts';
import { pushOnce } from '../replication.ts';
import { newRunId } from '../run-id.ts';
import { createRunner, maxArtefactBytes, transcriptBytes } from '../runner.ts';
import { openSealed } from '../vault.ts';
import { type Context, deviceNamed, driverOf, type State } from './context.ts';
import { atOnce, type Visiting } from './visiting.ts';

/** Reads each device once; see Services. Refuses (UsageError) where secrets could neither be masked nor sealed. */
export async function backup(
  context: Context,
  names: readonly string[],
  { onEvent, signal }: Watch<BackupEvent>,
): Promise<readonly RunEnded[]> {
  const configuration = await context.configuration();
  const devices = names.map((name) => deviceNamed(configuration, name));
  const state = await context.changing();
  const runner = await createRunner(context, state, null);
  const log = await context.log();
  const ended: RunEnded[] = [];
  await eachDevice(devices, configuration.settings.workers, signal, async (device) => {
    onEvent({ type: 'started', device: device.name });
    const run = await runner.run({
      device,
      trigger: 'manual',
      slotMs: null,
      runId: newRunId(context.clock.nowMs()),
      signal,
      onProgress: (receivedBytes) => onEvent({ type: 'progress', device: device.name, receivedBytes }),
    });
    ended.push(run);
    log.runEnded(run);
    onEvent({ type: 'ended', ended: run });
  });
  // Where no daemon runs, no night does it, and nobody pushes later.
  await housekeeping(context);
  await pushOnce(context, signal);
  return ended;
}

/** Closes what a crash left behind and logs each end. The state lock is held. */
export async function recoverLeftovers(context: Context, state: State): Promise<void> {
  const log = await context.log();
  for (const run of await recover(...(await recovery(context, state)))) log.runEnded(run);
}

/** What readings are settled with that outlived their runs. */
export async function recovery(context: Context, state: State): Promise<Parameters<typeof recover>> {
  const configuration = await context.configuration();
  return [
    {
      driver: (platform) => configuration.drivers.get(platform) ?? null,
      expect: (name) => configuration.devices.find((device) => device.name === name)?.expect ?? null,
      newRunId: () => newRunId(context.clock.nowMs()),
    },
    {
      ...state,
      artefacts: openSealed(configuration.settings),
      artefactPath,
      clock: context.clock,
    },
  ];
}

/**
 * Lets a credential be used again that is held back. `gate` null: this process has none, and what the
 * ledger remembers is released. `by` is recorded. Throws UsageError where the inventory has no credential of this name.
 */
export async function release(
  context: Context,
  credential: string,
  gate: LoginGate | null,
  by: string,
): Promise<void> {
  const { devices } = await context.configuration();
  const names = new Set(devices.flatMap(credentialsOf).map(({ name }) => name));
  if (!names.has(credential)) {
    const near = nearest(credential, names);
    throw new UsageError(
      `no device uses credentials ${credential}${near === null ? '' : `; did you mean ${near}?`}`,
      'name an entry under `credentials:` of the inventory',
    );
  }
  const used = gate ?? (await createRunner(context, await context.changing(), null)).gate;
  used.release(credential, by);
}

/**
 * Logs in to each device and leaves at the prompt; see Services. Obeys the hold-back of credentials, by
 * `ownGate` where this process has one; `visit` gives each session its turn.
 */
export async function reachAll(
  context: Context,
  names: readonly string[],
  { onEvent, signal }: Watch<Reached>,
  ownGate: LoginGate | null,
  visit: Visiting = atOnce,
): Promise<readonly Reached[]> {
  const configuration = await context.configuration();
  const state = await context.changing();
  const gate = ownGate ?? (await createRunner(context, state, null)).gate;
  const results: Reached[] = [];
  const devices = names.map((name) => deviceNamed(configuration, name));
  await eachDevice(devices, configuration.settings.workers, signal, async (device) => {
    const { clock } = context;
    const startedMs = clock.monotonicMs();
    const login = visit(device.name, signal, (either) =>
      gate.around(device, null, either, ({ readSecret, passed, accepted }) =>
        reach({
          device,
          driver: driverOf(configuration, device.platform),
          readSecret,
          hostKeys: state.hostKeys,
          clock,
          signal: either,
          readTwice: false,
          maxBytes: maxArtefactBytes,
          onPassed: passed,
          onLoggedIn: accepted,
          onProgress: () => {},
          transcript: createTranscript({ limitBytes: transcriptBytes }),
        }),
      ),
    );
    const failure = await login.then(() => null, failureOf);
    const durationMs = Math.round(clock.monotonicMs() - startedMs);
    const reached = { device: device.name, platform: device.platform, durationMs, failure };
    results.push(reached);
    onEvent(reached);
  });
  return results;
}
