import { randomBytes } from 'node:crypto';
import type { Artefacts } from '../../artefacts/artefacts.ts';
import { openArtefacts } from '../../artefacts/store.ts';
import type { BackupEvent, Reached, Watch } from '../../cli/services.ts';
import type { Device } from '../../core/device.ts';
import { failureOf, UsageError } from '../../core/errors.ts';
import type { RunEnded } from '../../core/run.ts';
import { artefactPath } from '../../gitstore/paths.ts';
import { parseFingerprintKey } from '../../pipeline/mask.ts';
import { recover } from '../../pipeline/recover.ts';
import { type BackupHands, type BackupJob, runBackup } from '../../pipeline/run-backup.ts';
import { type CollectRequest, collect, reach } from '../../transport/collect.ts';
import { createTranscript } from '../../transport/transcript.ts';
import { eachDevice } from '../fleet.ts';
import type { Settings } from '../settings.ts';
import { type Configuration, type Context, deviceNamed, driverOf, type State } from './context.ts';
import { keepTranscript } from './transcripts.ts';

/** The largest artefact that is read; a device that sends more is broken or hostile. */
const maxArtefactBytes = 64 * 1024 * 1024;

/** Of the session of one run; the beginning and the end of more are kept. */
const transcriptBytes = 1024 * 1024;

/**
 * Sortable by time, unique without coordination, and not to be confused with a commit:
 * `20260301T020007Z-9f3a1c5e`.
 */
function newRunId(nowMs: number): string {
  const instant = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${instant}-${randomBytes(4).toString('hex')}`;
}

/** Reads each device once; see Services. Refuses (UsageError) where secrets could neither be masked nor sealed. */
export async function backup(
  context: Context,
  names: readonly string[],
  watch: Watch<BackupEvent>,
): Promise<readonly RunEnded[]> {
  const configuration = await context.configuration();
  const { settings } = configuration;
  const devices = names.map((name) => deviceNamed(configuration, name));
  const vault = await openVault(settings, context);
  const state = await context.changing();
  const log = await context.log();
  const ended: RunEnded[] = [];
  await eachDevice(devices, settings.workers, async (device) => {
    watch.onEvent({ type: 'started', device: device.name });
    const run = await backupOne(device, configuration, state, vault, context, watch);
    ended.push(run);
    log.runEnded(run);
    watch.onEvent({ type: 'ended', ended: run });
  });
  return ended;
}

/** Closes what a crash left behind and logs each end. The state lock is held. */
export async function recoverLeftovers(context: Context, state: State): Promise<void> {
  const configuration = await context.configuration();
  const log = await context.log();
  const ended = await recover(
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
  );
  for (const run of ended) log.runEnded(run);
}

/** Logs in to each device and leaves at the prompt; see Services. */
export async function reachAll(
  context: Context,
  names: readonly string[],
  watch: Watch<Reached>,
): Promise<readonly Reached[]> {
  const configuration = await context.configuration();
  const state = await context.changing();
  const results: Reached[] = [];
  await eachDevice(
    names.map((name) => deviceNamed(configuration, name)),
    configuration.settings.workers,
    async (device) => {
      const startedMs = context.clock.monotonicMs();
      const failure = await reach(requestOf(device, configuration, state, context, watch.signal)).then(
        () => null,
        failureOf,
      );
      const durationMs = Math.round(context.clock.monotonicMs() - startedMs);
      const reached = { device: device.name, platform: device.platform, durationMs, failure };
      results.push(reached);
      watch.onEvent(reached);
    },
  );
  return results;
}

/** Sealed copies as they are, for reading and removing; null where none can be made. */
export function openSealed(settings: Settings): Artefacts | null {
  const { recipients } = settings.secrets;
  return recipients.length === 0
    ? null
    : openArtefacts({ dir: `${settings.stateDir}/artefacts`, recipients });
}

interface Vault {
  readonly artefacts: Artefacts | null;
  readonly fingerprintKey: Buffer;
}

async function openVault(settings: Settings, context: Context): Promise<Vault> {
  const artefacts = openSealed(settings);
  if (settings.secrets.inGit === 'keep') {
    const log = await context.log();
    log.warn('secrets go to git unmasked', { setting: 'secrets.in_git: keep' });
    return { artefacts, fingerprintKey: Buffer.alloc(0) };
  }
  if (artefacts === null) {
    throw new UsageError(
      'there is nobody to seal for: secrets.recipients is empty',
      'make an age identity and a first configuration with `roundsman init`, or add an age recipient to secrets.recipients',
    );
  }
  const key = await context.readSecret(settings.secrets.fingerprintKey);
  return { artefacts, fingerprintKey: parseFingerprintKey(key) };
}

async function backupOne(
  device: Device,
  configuration: Configuration,
  state: State,
  vault: Vault,
  context: Context,
  watch: Watch<BackupEvent>,
): Promise<RunEnded> {
  const { settings } = configuration;
  const job: BackupJob = {
    device,
    driver: driverOf(configuration, device.platform),
    trigger: 'manual',
    slotMs: null,
    runId: newRunId(context.clock.nowMs()),
  };
  const request = requestOf(device, configuration, state, context, watch.signal);
  const hands: BackupHands = {
    ...state,
    ...vault,
    artefactPath,
    clock: context.clock,
    inGit: settings.secrets.inGit,
    collect: (_job, readTwice) =>
      collect({
        ...request,
        readTwice,
        onProgress: (receivedBytes) =>
          watch.onEvent({ type: 'progress', device: device.name, receivedBytes }),
      }),
  };
  const ended = await runBackup(job, hands);
  if (ended.settled.outcome === 'failed' && settings.transcripts === 'failed') {
    await keepTranscript(settings.stateDir, ended, job.driver, request.transcript).catch((error: unknown) =>
      context.log().then((log) => log.warn('a transcript could not be kept', { error: String(error) })),
    );
  }
  return ended;
}

function requestOf(
  device: Device,
  configuration: Configuration,
  state: State,
  context: Context,
  signal: AbortSignal,
): CollectRequest & { readonly transcript: ReturnType<typeof createTranscript> } {
  return {
    device,
    driver: driverOf(configuration, device.platform),
    readSecret: context.readSecret,
    hostKeys: state.hostKeys,
    clock: context.clock,
    signal,
    readTwice: false,
    maxBytes: maxArtefactBytes,
    onProgress: () => {},
    transcript: createTranscript({ limitBytes: transcriptBytes }),
  };
}
