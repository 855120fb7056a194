/**
 * What a failed backup may say. One code is one thing that an operator can act on.
 *
 * Rules of this file: a code is never renamed once released (dashboards and alerts hold it);
 * a detail holds facts, in the unit its name says, and never a secret or a piece of configuration.
 */

/** The step that was under way. The value of the `stage` metric label. */
export type Stage = 'inventory' | 'connect' | 'login' | 'collect' | 'verify' | 'redact' | 'store' | 'record';

/** Where the remedy lies; it decides who is told, not whether the run failed. */
export type Owner = 'network' | 'device' | 'credentials' | 'settings' | 'driver' | 'host' | 'us';

/**
 * When trying again can help.
 * - `soon`: within this run, after a back-off.
 * - `next-run`: at the next scheduled time.
 * - `after-change`: only once a person changed something. A rejected password is here because
 *   repeating it locks the account on most AAA servers.
 */
export type Retry = 'soon' | 'next-run' | 'after-change';

/** Whether what was read is enough to rebuild the device from. */
export type Restorable = 'yes' | 'partial' | 'no';

/** Why a secret of HashiCorp Vault could not be had. */
export type VaultTrouble =
  | 'unreachable'
  | 'untrusted'
  | 'sealed'
  | 'busy'
  | 'login'
  | 'token'
  | 'forbidden'
  | 'absent'
  | 'answer';

/** The facts that each code carries. */
export interface Details {
  'inventory.invalid': { file: string; path: string; problem: string };
  'inventory.unknown-platform': { platform: string; known: readonly string[] };
  'inventory.secret-unavailable': {
    reference: string;
    problem: string;
    /** The setting that names it; absent: one under `credentials`. */
    setting?: string;
    /** It was read, and is a private key that cannot be used. */
    key?: 'encrypted' | 'wrong-passphrase' | 'other-format' | 'public';
    /** It lies in HashiCorp Vault, and this stands between; absent: it lies elsewhere. */
    vault?: VaultTrouble;
  };
  'credentials.held-back': { credential: string; rejectedBy: readonly string[]; sinceMs: number };
  /** `via` here and below: the jump host that was asked to connect and says so; absent: this machine tried. */
  'connect.unresolved': { host: string; via?: string };
  'connect.refused': { host: string; port: number; via?: string };
  'connect.unreachable': { host: string; port: number; errno: string; via?: string };
  'connect.timeout': { host: string; port: number; afterMs: number; via?: string };
  'connect.protocol': { received: string };
  'connect.lost-before-login': {
    afterMs: number;
    /** A password or key had been sent, so that the device may have refused it; absent: nothing was. */
    credentialSent?: true;
  };
  'connect.jump': {
    /** Its name under `jump_hosts:`. */
    hop: string;
    host: string;
    port: number;
    /** What failed there: a code of this list, or `not-forwarded`: it let us in and passes nothing on. */
    code: string;
    /** What the catalogue says of that failure, and what to do, in words about the jump host. */
    says: string;
    todo: string;
    /** A password or key had been sent to the jump host, which may have refused it; absent: nothing was. */
    credentialSent?: true;
  };
  'connect.no-common-algorithm': {
    kind: 'kex' | 'cipher' | 'mac' | 'host-key';
    /** What the device offers, in its order; empty where it did not say. */
    offered: readonly string[];
    /** The members of `offered` that `ssh.allow` would accept. */
    allowable: readonly string[];
  };
  'connect.host-key-unknown': { fingerprint: string };
  'connect.host-key-changed': { expected: string; presented: string };
  'login.rejected': { username: string; methods: readonly string[] };
  'login.enable-rejected': { username: string };
  'login.method-unavailable': { offered: readonly string[]; wanted: readonly string[] };
  'login.question-unknown': { question: string };
  'login.password-expired': { username: string };
  'login.prompt-unrecognised': { lastLine: string; expected: readonly string[] };
  'collect.command-refused': { command: string; reply: string };
  'collect.stalled': { command: string; idleMs: number; receivedBytes: number };
  'collect.connection-lost': { command: string; receivedBytes: number };
  'collect.too-long': { limitMs: number };
  'collect.too-large': { limitBytes: number };
  'collect.not-ready': { reply: string };
  /** A unit that stands by answered, and the inventory says not to store its copy. */
  'collect.standby': { ha: string };
  'collect.archive-failed': {
    archive: string;
    step: 'make' | 'digest' | 'fetch' | 'compare' | 'remove';
    reply: string;
  };
  'verify.incomplete': { artefact: string; because: string; lines: number };
  'verify.shrunk': {
    artefact: string;
    previousLines: number;
    lines: number;
    lostSections: readonly string[];
  };
  'verify.prefix': { artefact: string; previousObjects: number; objects: number };
  'verify.downgraded': { was: 'yes' | 'partial'; is: 'partial' | 'no'; because: string };
  'verify.identity': { expected: string; presented: string };
  'redact.leak': { artefact: string; rule: string; line: number };
  'store.locked': { lockFile: string; heldForMs: number };
  'store.disk-full': { path: string; freeBytes: number };
  'store.read-only': { path: string };
  'store.permission': { path: string };
  'store.io': { path: string; errno: string };
  'store.seal-failed': { recipient: string };
  'store.foreign-tip': { expected: string; found: string };
  'store.git-failed': { command: string; exitCode: number; stderr: string };
  'record.busy': { waitedMs: number };
  'record.failed': { problem: string };
  'run.interrupted': { by: 'signal' | 'crash' };
  'bug.unexpected': { thrown: string };
}
export type ErrorCode = keyof Details;

/** Policy and wording of one code, side by side, so that neither is forgotten. */
export interface ErrorSpec<C extends ErrorCode> {
  readonly stage: Stage;
  readonly owner: Owner;
  readonly retry: Retry;
  /** What happened: one line, no trailing full stop. */
  readonly says: (detail: Details[C]) => string;
  /** What to do, as an imperative, naming the setting, the command or the page. */
  readonly todo: (detail: Details[C]) => string;
}

/** `export const catalogue = {…} satisfies Catalogue`: a code without an entry does not compile. */
export type Catalogue = { readonly [C in ErrorCode]: ErrorSpec<C> };

/** A failure as data: what the ledger stores, the command line prints and tests compare. */
export type Failure = {
  [C in ErrorCode]: { readonly code: C; readonly detail: Details[C] };
}[ErrorCode];

/** A failure while it is being thrown. Anything else that is thrown is a bug of ours. */
export class BackupError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'BackupError';
  readonly code: C;
  readonly detail: Details[C];

  constructor(code: C, detail: Details[C], options?: { cause?: unknown }) {
    super(code, options);
    this.code = code;
    this.detail = detail;
  }
}

/**
 * The failure that `thrown` stands for: its own where it is a BackupError, else `bug.unexpected`
 * with the name and message of what was thrown (never its stack: that goes to the log alone).
 */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof BackupError) return { code: thrown.code, detail: thrown.detail } as Failure;
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return { code: 'bug.unexpected', detail: { thrown: text } };
}

/** One mistake in a file that a person wrote. */
export interface Problem {
  /** The file as the person named it. */
  readonly file: string;
  /** Where in the document, such as `devices[2].platform`; empty for the document itself. */
  readonly path: string;
  /** 1-based; null where the place is not known. */
  readonly line: number | null;
  /** What is wrong and what was expected, one line. */
  readonly message: string;
  /** The nearest valid word; null where nothing is near. */
  readonly nearest: string | null;
}

/** Settings or inventory cannot be used; holds every mistake, not the first. Exit code 2. */
export class InvalidConfiguration extends Error {
  override readonly name = 'InvalidConfiguration';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => `${problem.file}: ${problem.message}`).join('\n'));
    this.problems = problems;
  }
}

/** A command was called in a way that cannot work. Exit code 2. `todo` names the next step. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly todo: string;

  constructor(message: string, todo: string) {
    super(message);
    this.todo = todo;
  }
}

/** A command was right and could not be carried out. Exit code 1. `todo` names the next step. */
export class OperationError extends Error {
  override readonly name = 'OperationError';
  readonly todo: string;

  constructor(message: string, todo: string, options?: { cause?: unknown }) {
    super(message, options);
    this.todo = todo;
  }
}
