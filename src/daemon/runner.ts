import type { Clock } from '../core/clock.ts';
import type { Device } from '../core/device.ts';
import { failureOf, type Stage } from '../core/errors.ts';
import type { ChangeOrigin, RunEnded, Trigger } from '../core/run.ts';
import { artefactPath } from '../gitstore/paths.ts';
import type { MetricsSink } from '../metrics/sink.ts';
import { withAttempts } from '../pipeline/attempts.ts';
import { createReadBefore } from '../pipeline/read-before.ts';
import { createRoom } from '../pipeline/room.ts';
import { type BackupHands, runBackup } from '../pipeline/run-backup.ts';
import { createCalendar } from '../scheduler/calendar.ts';
import { createLoginGate, type LoginGate } from '../scheduler/login-gate.ts';
import { collect } from '../transport/collect.ts';
import { createTranscript } from '../transport/transcript.ts';
import { dueArchives } from './archives.ts';
import { type Context, driverOf, type State } from './services/context.ts';
import { keepTranscript } from './services/transcripts.ts';
import { openVault } from './vault.ts';

/** The largest artefact that is read; a device that sends more is broken or hostile. */
export const maxArtefactBytes = 64 * 1024 * 1024;

/** Text that is judged, sealed and stored at the same time; it takes about ten times that in memory. */
const workBytes = 16 * 1024 * 1024;

/** Of the session of one run; the beginning and the end of more are kept. */
export const transcriptBytes = 1024 * 1024;
/** How often a follower is told how far a reading is: a device that pages sends hundreds of pieces, each a message. */
const progressMs = 500;

/** One run that is asked for. */
interface Job {
  readonly device: Device;
  readonly trigger: Trigger;
  /** UTC epoch milliseconds; null where no slot asked for it. */
  readonly slotMs: number | null;
  readonly runId: string;
  /** Who changed the device since its last good reading; absent: nobody said. */
  readonly change?: ChangeOrigin;
  readonly signal: AbortSignal;
  readonly onProgress: (receivedBytes: number) => void;
}

/** Reads devices, with retries and the hold-back of credentials. */
export interface Runner {
  /** Never rejects. */
  readonly run: (job: Job) => Promise<RunEnded>;
  readonly gate: LoginGate;
}

/**
 * What reads devices for the command line and for the daemon alike. `metrics` null: nobody counts.
 * Throws UsageError where secrets could neither be masked nor sealed.
 */
export async function createRunner(
  context: Context,
  state: State,
  metrics: MetricsSink | null,
): Promise<Runner> {
  const { clock, readSecret } = context;
  const { settings } = await context.configuration();
  const vault = await openVault(settings, context);
  const calendar = createCalendar();
  const room = createRoom(workBytes);
  const readBefore = createReadBefore();
  const gate = createLoginGate({ clock, ledger: state.ledger, readSecret, key: vault.fingerprintKey });

  const run = async (job: Job): Promise<RunEnded> => {
    // As it is when the run begins: a reload does not change it.
    const configuration = await context.configuration();
    const driver = driverOf(configuration, job.device.platform);
    const transcript = createTranscript({ limitBytes: transcriptBytes });
    const stages = stopwatch(clock, metrics);
    const hands: BackupHands = {
      ...state,
      ...vault,
      room,
      readBefore,
      artefactPath,
      clock,
      inGit: configuration.settings.secrets.inGit,
      onStage: stages.begin,
      dueArchives: dueArchives(calendar, clock),
      collect: (_job, readTwice, archives) => {
        const { device, slotMs, signal, onProgress } = job;
        const { platform, maxRuntimeMs } = device;
        const attempts = { clock, random: Math.random, maxRuntimeMs, signal, onFailed: () => {} };
        return withAttempts(attempts, (attempt) =>
          gate.around(device, slotMs, attempt.signal, async (login) => {
            metrics?.attemptStarted(platform);
            let receivedBytes = 0;
            let toldBytes = 0;
            let toldAtMs = Number.NEGATIVE_INFINITY;
            const tell = (): void => {
              toldBytes = receivedBytes;
              toldAtMs = clock.monotonicMs();
              onProgress(receivedBytes);
            };
            const counted = (bytes: number): void => {
              receivedBytes = bytes;
              if (clock.monotonicMs() - toldAtMs >= progressMs) tell();
            };
            try {
              const collected = await collect({
                device: { ...device, maxRuntimeMs: attempt.leftMs },
                driver,
                readSecret: login.readSecret,
                hostKeys: state.hostKeys,
                clock,
                signal: attempt.signal,
                readTwice,
                maxBytes: maxArtefactBytes,
                onPassed: login.passed,
                onLoggedIn: login.accepted,
                onProgress: counted,
                onStage: stages.begin,
                transcript,
                archives: archives(),
              });
              metrics?.attemptEnded({ platform, failure: null, receivedBytes });
              return collected;
            } catch (error) {
              // What follows is the wait for the next attempt, or the end.
              stages.end();
              metrics?.attemptEnded({ platform, failure: failureOf(error), receivedBytes });
              throw error;
            } finally {
              // The sum of all devices is made of what was told last.
              if (toldBytes !== receivedBytes) tell();
            }
          }),
        );
      },
    };
    const ended = await runBackup({ ...job, driver }, hands);
    stages.end();
    if (ended.settled.outcome === 'failed' && configuration.settings.transcripts === 'failed') {
      await keepTranscript(settings.stateDir, ended, driver, transcript).catch((error: unknown) =>
        context.log().then((log) => log.warn('a transcript could not be kept', { error: String(error) })),
      );
    }
    return ended;
  };
  return { run, gate };
}

/** Times the stages of one run, each from its beginning to the next one's. */
function stopwatch(
  clock: Clock,
  metrics: MetricsSink | null,
): { readonly begin: (stage: Stage) => void; readonly end: () => void } {
  let now: { readonly stage: Stage; readonly sinceMs: number } | null = null;
  const end = (): void => {
    if (now !== null) metrics?.stage(now.stage, clock.monotonicMs() - now.sinceMs);
    now = null;
  };
  return {
    begin(stage) {
      end();
      now = { stage, sinceMs: clock.monotonicMs() };
    },
    end,
  };
}
