/**
 * The contract of one platform.
 *
 * A driver is data. It opens nothing, sends nothing and imports nothing but this file, so a reader
 * sees everything that will ever be typed on a device by reading one page, and a test can prove it
 * without a network. Text is one character per byte (latin1) everywhere; lines end in `\n`.
 */

/** Where a claim can be checked. */
export interface Source {
  readonly claim: string;
  readonly see: { readonly url: string; readonly read: string } | { readonly fixture: string };
}

/** Whether what was read is enough to rebuild the device from. */
export type Restorable = 'yes' | 'partial' | 'no';

/* ── Options: what the inventory may choose ───────────────────────────────────────────────── */

/** One key under `options:` of the inventory. */
export interface OptionSpec {
  /** Lower case with underscores. */
  readonly name: string;
  /** A flag; one of these words; or what `matching` (anchored at both ends) accepts. */
  readonly takes: 'flag' | readonly string[] | { readonly matching: RegExp; readonly expected: string };
  /** Where the inventory says nothing. */
  readonly standard: string | boolean;
  /** What it does, one sentence: the docs print it. */
  readonly says: string;
}

/** Every option of the driver, as the inventory says or as is standard. */
export type Options = Readonly<Record<string, string | boolean>>;

/** What a session has shown so far. */
export interface Seen {
  /** The exact answer to a command; null where it was not sent, was refused, or has not been sent yet. */
  readonly text: (command: string) => string | null;
  readonly options: Options;
  /** Name of the dialogue that the device speaks. */
  readonly dialogue: string;
}

/* ── Dialogue: how to reach a prompt, and how to know one ─────────────────────────────────── */

/** Names what the inventory holds for a login. A driver never sees its value. */
export type Credential = 'username' | 'password' | 'enable';

/** What to type. `text` without `enter` is a bare key press. */
export type Answer = { readonly credential: Credential } | { readonly text: string; readonly enter: boolean };

/** A way from one mode to another. Any mode outside `leadsTo` ends the login. */
export interface Move<Mode extends string> {
  /** `{name}` stands for the value of the option `name`. */
  readonly send: string;
  readonly leadsTo: readonly Mode[];
}

/** A state that the far side can be in, told by the last line that it printed. */
export type ModeSpec<Mode extends string> =
  /**
   * A prompt at which commands can be sent. `line` may hold the group `(?<host>…)`: once seen, the
   * session accepts only that host's prompts, so that a line of configuration which ends in `#`, `>`
   * or `$` is never taken for one.
   */
  | {
      readonly kind: 'prompt';
      readonly line: RegExp;
      readonly moves?: { readonly [M in Mode]?: Move<Mode> };
      /** What a copy read at this prompt is worth, where the prompt itself tells that rights are missing. */
      readonly restorable?: { readonly is: 'partial' | 'no'; readonly because: string };
    }
  /** A question that has to be answered before there is a prompt. */
  | {
      readonly kind: 'question';
      readonly line: RegExp;
      /** False: nobody chose the way on which it is asked, so it is not answered. Absent: always. */
      readonly when?: (options: Options) => boolean;
      readonly answer: Answer;
      readonly leadsTo: readonly Mode[];
    }
  /** A state in which the login is over, and which failure that is. */
  | {
      readonly kind: 'dead-end';
      readonly line: RegExp;
      readonly failsWith: 'login.rejected' | 'login.enable-rejected' | 'login.password-expired';
    };

/** What interrupts an answer and waits for a key. `line` is matched on the end of what was received. */
export interface Pager {
  readonly line: RegExp;
  /** Typed without Enter. */
  readonly press: string;
}

/** One terminal; prompts tell where an output ends. */
export interface ShellDialogue<Mode extends string = string> {
  readonly channel: 'shell';
  readonly name: string;
  readonly modes: { readonly [M in Mode]: ModeSpec<NoInfer<Mode>> };
  /** What may greet us once SSH has let us in. */
  readonly greetedBy: readonly NoInfer<Mode>[];
  /** Where commands run: any of these prompts. */
  readonly worksIn: readonly NoInfer<Mode>[];
  /** Settings of this session only. A line that outlives the session is a bug. */
  readonly prepare: readonly string[];
  /** Kept even where `prepare` turns the pager off: some roles may not turn it off. */
  readonly pagers: readonly Pager[];
  /** Typed at the end, one line each; the answers are not awaited. */
  readonly leave: readonly string[];
}

/** One channel for each command; its exit status tells that the output is whole. */
export interface ExecDialogue {
  readonly channel: 'exec';
  readonly name: string;
  /** The command line; `{commands}` is the command with its `before` lines in front, joined by `; `. */
  readonly line: string;
  /** A reply to the first command that tells that another shell listens: the next dialogue is tried. */
  readonly otherShellWhen: RegExp;
}

export type Dialogue<Mode extends string = string> = ShellDialogue<Mode> | ExecDialogue;

/* ── Commands: what is asked, and what becomes of the answer ──────────────────────────────── */

/** One way to ask for an artefact, and what a copy that was read this way is worth. */
export interface Way {
  /** What is typed; with `by`, the path of a file. */
  readonly send: string;
  /** The file is fetched over the same SSH connection, octet by octet; absent: the answer is read. */
  readonly by?: 'scp' | 'sftp';
  /** False: this way is no way now. Absent: always. */
  readonly when?: (seen: Seen) => boolean;
  readonly restorable: Restorable;
  /** Why it is not `yes`; null where it is. */
  readonly because: string | null;
}

/** One of the things that a command is asked for: a context, a VDOM, a route domain. Values by placeholder. */
export type Item = Readonly<Record<string, string>>;

/**
 * A command that is asked once for each item; `{key}` in its name, in `before`, `after` and in what is sent stands
 * for the item's value. A value that is not plain (letters, digits and `._:/@+~-`, at most 128) is never typed: the
 * backup fails. Where the device refuses an item, `over` is asked again: an item that is gone by then is left out.
 */
export interface Each<Name extends string = string> {
  /** The command whose answer lists them, asked before. */
  readonly over: NoInfer<Name>;
  /** `listing`: its answer. Never throws, whatever it is given. */
  readonly items: (listing: string, seen: Seen) => readonly Item[];
}

interface Asked<Name extends string> {
  readonly name: Name;
  /** Typed first, in the same session (shell) or on the same command line (exec). */
  readonly before?: readonly string[];
  /** Typed afterwards, also where the command itself was refused: a way back. Shell alone. */
  readonly after?: readonly string[];
  /** False: it is not asked. Absent: always. */
  readonly when?: (seen: Seen) => boolean;
  /** Absent: asked once. */
  readonly forEach?: Each<Name>;
  /** Instead of the `line` of an exec dialogue, where this is for another program. */
  readonly execLine?: string;
  /** The longest silence before the command counts as stalled, in milliseconds; absent: the device's own. */
  readonly idleMs?: number;
}

/** Feeds `facts`, `when`, `forEach` and `state`. */
export interface FactsCommand<Name extends string = string> extends Asked<Name> {
  readonly keep: 'facts';
  readonly send: string;
  /** Why a refusal is normal on some models or accounts. Without it a refusal fails the backup. */
  readonly mayBeRefusedBecause?: string;
}

/** Goes to git, under the name of the command, once it is known to be whole. */
export interface ArtefactCommand<Name extends string = string> extends Asked<Name> {
  readonly keep: 'artefact';
  /** Tried in order while the device refuses; the last refusal fails the backup. */
  readonly firstOf: readonly [Way, ...Way[]];
  /** Why some devices do not have it: refused, it is left out. Without it a refusal fails the backup. */
  readonly mayBeRefusedBecause?: string;
  /** What it is worth does not count: another artefact restores the same, or `state` says that none does. */
  readonly besides?: true;
  readonly wholeWhen: Completeness;
}

/**
 * A file that the device makes for us, on a schedule of its own: `options: { <name>: { schedule, passphrase } }`. Never
 * in git: sealed, and kept as long as sealed copies are. It leaves a trace on the device while it is made, so it is
 * asked for by the inventory or not at all. Its failure fails no backup of the text; it is told apart.
 */
export interface ArchiveCommand<Name extends string = string> extends Asked<Name> {
  readonly keep: 'archive';
  /** Typed before and after, whatever happened: nothing of ours stays on the device. A refusal is no failure. */
  readonly remove: readonly string[];
  /** `{passphrase}` stands for the secret; with none, `makeOpen` is typed instead. */
  readonly make: string;
  readonly makeOpen: string;
  /** Found in the answer when the file was made. */
  readonly madeWhen: RegExp;
  /** Prints the SHA-256 of the file, which is found by `(?<sha256>[0-9a-f]{64})` in the answer. */
  readonly digest: string;
  /** Its path on the device, and how it is fetched. */
  readonly file: string;
  readonly by: 'scp' | 'sftp';
  /** Of the stored file, without the dot. */
  readonly extension: string;
  /** What it takes, in words: told where `when` says no. */
  readonly needs?: string;
}

export type Command<Name extends string = string> =
  | FactsCommand<Name>
  | ArtefactCommand<Name>
  | ArchiveCommand<Name>;

/* ── Completeness: why we may believe that nothing is missing ─────────────────────────────── */

/**
 * One answer of a device, exact: no echo, no pager residue, no CR before LF, no final prompt. Of a transfer: the octets.
 */
export interface Capture {
  readonly text: string;
  /** `transfer`: as many octets came as were announced, and both sides said so. */
  readonly endedBy: 'prompt' | 'exit-status' | 'transfer';
  /** Null unless `endedBy` is `exit-status`. */
  readonly exitStatus: number | null;
  /** What was typed. */
  readonly sent: string;
}

export type Verdict = { readonly whole: true } | { readonly whole: false; readonly because: string };

/** All that are given have to hold. A test cuts every fixture at every line: no cut may pass. */
export interface Completeness {
  /** Matches the first line that is not blank. */
  readonly firstLine?: RegExp;
  /** Matches the last line that is not blank. */
  readonly lastLine?: RegExp;
  readonly atLeastLines: number;
  /** For platforms whose blocks have to close. */
  readonly structure?: (text: string) => Verdict;
  /**
   * `end-marker`: the text says itself where it ends. `structure`: it does not, so a cut on an object
   * boundary looks whole; the first copy is read twice, later ones are compared with the last good one.
   */
  readonly proof: 'end-marker' | 'structure';
}

/* ── Outline: what the parts of a configuration are called ────────────────────────────────── */

/** One object of a configuration. Blocks may nest; they come in the order of their first line. */
export interface Block {
  /** 0-based, both inclusive. */
  readonly firstLine: number;
  readonly lastLine: number;
  /** The section it belongs to, such as `config router multicast` or `ltm virtual`. */
  readonly section: string;
  /** What a person calls it, such as `interface GigabitEthernet0/1`. */
  readonly title: string;
}

/* ── Rules on lines: each carries a line that it has to match ─────────────────────────────── */

interface LineRule {
  /** Matched against one line without its line feed. */
  readonly line: RegExp;
  /** Makes the rule span from `line` to the first later line that matches this, both included. */
  readonly until?: RegExp;
  /** The rule's own test: lines that it applies to (several lines where `until` is given). */
  readonly example: string;
}

/** What differs between two captures of a device that nobody changed. */
export interface VolatileRule extends LineRule {
  readonly because: string;
  /**
   * `drop` removes the line or the span; `drop-block` the block that begins in the line and lies in no
   * other (see `outline`); `mask` replaces the group `(?<volatile>…)` by `<volatile>`.
   */
  readonly act: 'drop' | 'drop-block' | 'mask';
  /** For `drop` and `mask`: the rule applies only in blocks whose first line matches this (see `outline`). */
  readonly inSection?: RegExp;
  /**
   * For `drop`, instead of `inSection`: the blocks that the rule applies in, where no line of their own tells them, such
   * as an interface that another section names. Never throws, whatever it is given.
   */
  readonly within?: (text: string) => readonly Block[];
  /** The rule applies only to a member of an HA group (`state` says so): the units differ in it. */
  readonly inHa?: true;
}

export type SecretKind = 'password' | 'hash' | 'shared-key' | 'community' | 'private-key' | 'token';

/**
 * What must not reach git. `line` holds the group `(?<secret>…)`. With `until`, the secret runs from
 * that group to the end of the group `(?<secret>…)` in the line that matches `until`; what follows it
 * there (a closing quote) stays.
 */
export interface SecretRule extends LineRule {
  readonly kind: SecretKind;
  /** The device prints a new ciphertext every time: a fingerprint would show a change that is none. */
  readonly rotates?: true;
  /** The rule applies only between a line that matches this and the end of its block (see `outline`). */
  readonly inSection?: RegExp;
  /** The rule does not apply in blocks whose first line matches this (see `outline`). */
  readonly exceptIn?: RegExp;
}

/** A line that tells that the copy does not restore the device, or not all of it. */
export interface RestorableRule {
  readonly line: RegExp;
  readonly is: 'partial' | 'no';
  readonly because: string;
  readonly example: string;
}

export type FactName = 'hostname' | 'version' | 'model' | 'serial' | 'changed-by' | 'changed-at';

/** What we tell of the device besides its configuration. `line` holds the group `(?<value>…)`; first match wins. */
export interface FactRule<Name extends string = string> {
  readonly fact: FactName;
  readonly from: NoInfer<Name>;
  readonly line: RegExp;
  readonly example: string;
}

/** A reply that means that a command was not carried out. Matched on the first lines of a short answer. */
export interface Refusal {
  readonly line: RegExp;
  readonly means: 'collect.command-refused' | 'collect.not-ready';
  readonly example: string;
}

/* ── State: what the answers tell together ────────────────────────────────────────────────── */

/** What is true at the moment and is no configuration; nothing in it makes a commit. Absent: not told. */
export interface StateReport {
  /** Role and state in an HA group, in the words of the device; absent where it is in none. */
  readonly ha?: string;
  /** Whether this unit stands by for another one. */
  readonly standby?: boolean;
  /** How far the units of a group agree, in the words of the device. */
  readonly sync?: string;
  /** Whether the running configuration differs from the saved one. */
  readonly unsaved?: boolean;
  /** Serial numbers of the other members of its group, as this unit names them. */
  readonly partnerSerials?: readonly string[];
  /** What makes the copy less than the device, where more than one line tells of it. */
  readonly worth?: readonly { readonly is: 'partial' | 'no'; readonly because: string }[];
}

/* ── Changes: what a device says in syslog when somebody works on it ──────────────────────── */

/** A message that tells of a change or of a save. */
export interface ChangeMessage {
  /**
   * Searched for in a whole message, whatever header stands before it. May hold the groups `user` and `from` (an
   * address): who did it, and from where.
   */
  readonly line: RegExp;
  /** Messages that match `line` and tell of no change, such as what every session of ours causes. */
  readonly butNot?: RegExp;
  readonly means: 'changed' | 'saved';
  /** A whole message with its header. */
  readonly example: string;
}

/* ── The driver ───────────────────────────────────────────────────────────────────────────── */

export interface Driver<Mode extends string = string, Name extends string = string> {
  /** The name of this file and of its fixture folder. */
  readonly id: string;
  readonly title: string;
  readonly sources: readonly Source[];
  /** Tried in this order on one SSH connection. */
  readonly dialogues: readonly [Dialogue<Mode>, ...Dialogue<Mode>[]];
  /** Sent in this order. */
  readonly commands: readonly Command<Name>[];
  readonly refusals: readonly Refusal[];
  readonly volatile: readonly VolatileRule[];
  readonly secrets: readonly SecretRule[];
  readonly restorable: readonly RestorableRule[];
  readonly facts: readonly FactRule<Name>[];
  /** Absent: the inventory has nothing to choose. */
  readonly options?: readonly OptionSpec[];
  /** Looks at all answers together. Never throws, whatever it is given. */
  readonly state?: (seen: Seen) => StateReport;
  /** Absent: syslog messages of this platform start no backup. */
  readonly changes?: {
    readonly messages: readonly ChangeMessage[];
    /** How a message names its device, where it does: the groups `name` and `serial`. */
    readonly device: readonly RegExp[];
  };
  /** Works on exact and on masked text alike, and never throws, whatever it is given. */
  readonly outline: (text: string) => readonly Block[];
}

/** Makes a mode or a command that does not exist a compile error in the driver that names it. */
export function defineDriver<const Mode extends string, const Name extends string>(
  driver: Driver<Mode, Name>,
): Driver {
  // The names are checked here and erased here: the engine treats every platform alike.
  return driver as unknown as Driver;
}

/* ── Short forms of what every driver says often ──────────────────────────────────────────── */

/** A claim that can be checked at `place`: a path below https://github.com/, or a whole URL. */
export function source(claim: string, place: string): Source {
  const url = place.startsWith('https://') ? place : `https://github.com/${place}`;
  return { claim, see: { url, read: '2026-11-22' } };
}

/** A reply by which the device says that it will not do what it was asked. */
export function refused(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.command-refused', example };
}

/** A line that tells of no change. */
export function drop(line: RegExp, because: string, example: string): VolatileRule {
  return { line, act: 'drop', because, example };
}

/** A line with a secret, which a change of it may show in a fingerprint. */
export function secret(kind: SecretKind, line: RegExp, example: string): SecretRule {
  return { kind, line, example };
}
