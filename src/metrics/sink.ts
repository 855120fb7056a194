import type { Failure } from '../core/errors.ts';
import type { RunEnded } from '../core/run.ts';
import type { MissedCause } from '../ledger/slots.ts';
import type {
  ChangeEventResult,
  HttpEndpoint,
  LogLevel,
  LogSink,
  SyslogResult,
  SyslogTransport,
  TimedStage,
} from './labels.ts';

/** Told of what happens, as it happens. No call throws, none does I/O. */
export interface MetricsSink {
  /** A scheduled run began `delayMs` after its slot plus splay. */
  runStarted(delayMs: number): void;
  /** A session to a device is about to be opened; each retry is one. */
  attemptStarted(platform: string): void;
  /**
   * The session and the judgement of what it brought are over. `failure` null: a reading was taken.
   * `receivedBytes`: configuration received, also by an attempt that failed later.
   */
  attemptEnded(attempt: { platform: string; failure: Failure | null; receivedBytes: number }): void;
  /** Once for each run, after its row was closed. */
  runEnded(ended: RunEnded): void;
  /** `slots` ended `missed` for this cause. */
  slotsMissed(cause: MissedCause, slots: number): void;
  stage(stage: TimedStage, durationMs: number): void;
  /** Commits were made durable together; `durationMs` is what each of them waited for. */
  committed(commits: number, durationMs: number): void;
  commitFailed(failure: Failure): void;
  staleLocksRemoved(count: number): void;
  clockJumped(): void;
  /** A record outside the end of a run (a slot, `trust`, a reload) could not be made durable; `runEnded` sees its own. */
  auditWriteFailed(): void;
  syslogMessage(transport: SyslogTransport, result: SyslogResult): void;
  syslogDropped(datagrams: number): void;
  syslogRefused(transport: SyslogTransport): void;
  changeEvent(platform: string, result: ChangeEventResult): void;
  /** Credentials of a request were wrong, or not enough. */
  httpRefused(endpoint: HttpEndpoint): void;
  logged(level: LogLevel): void;
  logDropped(sink: LogSink): void;
}
