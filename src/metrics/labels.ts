import { catalogue } from '../core/catalogue.ts';
import type { ErrorCode, Stage } from '../core/errors.ts';
import type { PushFailureReason } from '../core/remotes.ts';
import type { Trigger } from '../core/run.ts';
import type { MissedCause } from '../ledger/slots.ts';

/**
 * The closed lists of label values. A counter starts at 0 for each of them, because `increase()` does
 * not see the first sample of a series that begins at 1.
 */

/** The members of a union as a list that the compiler knows to be complete. */
function every<Member extends string>(members: Readonly<Record<Member, true>>): readonly Member[] {
  return Object.keys(members) as Member[];
}

/** Where a device stands; by precedence, the first that applies. */
export type StateLabel = 'disabled' | 'never' | 'quarantined' | 'missed' | 'failing' | 'late' | 'ok';

/** What lies in `state_dir`. */
export type StatePart = 'configs.git' | 'artefacts' | 'ledger' | 'spool';

/** Why a commit was not made durable. */
export type CommitFailureReason = 'no_space' | 'lock' | 'corrupt' | 'timeout' | 'hook' | 'other';

/** What became of a syslog message. */
export type SyslogResult = 'change' | 'other' | 'unknown' | 'shed';

/** What became of a message that tells of a change; see docs/operations.md. */
export type ChangeEventResult = 'began' | 'joined' | 'own' | 'disabled' | 'started' | 'limited';

/** How syslog messages come. */
export type SyslogTransport = 'udp' | 'tcp' | 'tls';

/** What an endpoint of the HTTP port demands of a caller. */
export type HttpEndpoint = 'observe' | 'read' | 'operate' | 'admin';

/** Levels of the log. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Where log records go. */
export type LogSink = 'console';

/** A stage of the catalogue, or the wait for a worker before all of them. */
export type TimedStage = Stage | 'queue';

/** Codes that refuse an output: the checks that a text has to pass before it is believed. */
export type OutputCheck = Extract<
  ErrorCode,
  | 'collect.command-refused'
  | 'collect.not-ready'
  | 'collect.too-large'
  | 'verify.incomplete'
  | 'verify.shrunk'
  | 'verify.prefix'
  | 'verify.downgraded'
>;

export const triggers = every<Trigger>({
  schedule: true,
  retry: true,
  'catch-up': true,
  manual: true,
  change: true,
  job: true,
});

export const missedCauses = every<MissedCause>({
  collector_down: true,
  overload: true,
  overlap: true,
  paused: true,
  clock: true,
});

export const states = every<StateLabel>({
  disabled: true,
  never: true,
  quarantined: true,
  missed: true,
  failing: true,
  late: true,
  ok: true,
});

export const stateParts = every<StatePart>({
  'configs.git': true,
  artefacts: true,
  ledger: true,
  spool: true,
});

export const commitFailureReasons = every<CommitFailureReason>({
  no_space: true,
  lock: true,
  corrupt: true,
  timeout: true,
  hook: true,
  other: true,
});

export const pushFailureReasons = every<PushFailureReason>({
  diverged: true,
  rejected: true,
  identity: true,
  login: true,
  credentials: true,
  unreachable: true,
  silent: true,
  other: true,
});

export const syslogResults = every<SyslogResult>({ change: true, other: true, unknown: true, shed: true });

export const changeEventResults = every<ChangeEventResult>({
  began: true,
  joined: true,
  own: true,
  disabled: true,
  started: true,
  limited: true,
});

export const syslogTransports = every<SyslogTransport>({ udp: true, tcp: true, tls: true });

export const httpEndpoints = every<HttpEndpoint>({ observe: true, read: true, operate: true, admin: true });

export const logLevels = every<LogLevel>({ error: true, warn: true, info: true, debug: true });

export const logSinks = every<LogSink>({ console: true });

export const timedStages = every<TimedStage>({
  queue: true,
  inventory: true,
  connect: true,
  login: true,
  collect: true,
  verify: true,
  redact: true,
  store: true,
  record: true,
});

export const outputChecks = every<OutputCheck>({
  'collect.command-refused': true,
  'collect.not-ready': true,
  'collect.too-large': true,
  'verify.incomplete': true,
  'verify.shrunk': true,
  'verify.prefix': true,
  'verify.downgraded': true,
});

/** Every code of the catalogue. */
export const errorCodes = Object.keys(catalogue) as readonly ErrorCode[];

/** Codes that can hold a run back until a person accepts it. */
export const quarantineCodes: readonly ErrorCode[] = errorCodes.filter((code) => code.startsWith('verify.'));

/** Whether this code refuses an output. */
export function isOutputCheck(code: ErrorCode): code is OutputCheck {
  return (outputChecks as readonly ErrorCode[]).includes(code);
}
