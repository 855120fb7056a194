import type { Clock } from '../core/clock.ts';
import type { Device } from '../core/device.ts';
import { clip, decodeBytes, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { Capture, Options, Refusal } from '../drivers/driver.ts';
import type { SessionSecrets } from './secrets.ts';
import type { MaskingTranscript } from './transcript.ts';

/** One command, with what has to be typed around it. */
export interface Question {
  readonly before: readonly string[];
  readonly send: string;
  /** The way back, typed whatever became of the command. A shell's alone. */
  readonly after: readonly string[];
  /** Instead of the `line` of an exec dialogue; null: that line. */
  readonly execLine: string | null;
  /** The longest silence before it counts as stalled. */
  readonly idleMs: number;
  /** False: the text so far is not the whole answer, whatever prompt seems to stand under it. */
  readonly looksWhole: (text: string) => boolean;
  /** True: the answer is too long, or too whole, for its first lines to be a refusal. */
  readonly cannotBeRefusal: (text: string) => boolean;
  /** Exec alone: what ends the wait, instead of the signal of the session. */
  readonly signal?: AbortSignal;
}

/** That the device did not do what it was asked. */
export interface Refused {
  readonly means: Refusal['means'];
  /** Its own words: one line, harmless, at most 200 characters. */
  readonly reply: string;
}

/** One answer. */
export interface Reply {
  readonly capture: Capture;
  /** What an exec channel gave beside it; empty in a shell, where a terminal joins both. */
  readonly stderr: string;
  readonly refused: Refused | null;
  /** What the prompt makes of a copy that is read there; null where it says nothing. */
  readonly prompt: { readonly is: 'partial' | 'no'; readonly because: string } | null;
}

/** One dialogue that has reached the place where commands run. */
export interface Conversation {
  /** The prompt, for a person; null where there is none, as with `exec`. */
  readonly prompt: string | null;
  /** What the prompt makes of a copy of this device, however it is fetched; null where it says nothing. */
  readonly worth: Reply['prompt'];
  /** Types the lines that shape this session. One that is refused is noted: pagers are answered anyway. */
  prepare(): Promise<void>;
  /**
   * Throws BackupError: `collect.stalled`, `collect.connection-lost`, `collect.too-large`, what the
   * abort says, `collect.command-refused` where the way back was refused, and `OtherShell` (exec, first
   * command only).
   */
  ask(question: Question): Promise<Reply>;
  /** Says good-bye. Never throws, waits for a short moment at most. */
  leave(): Promise<void>;
}

/** What both kinds of dialogue work with. */
export interface Surroundings {
  readonly device: Device;
  /** Every option of the driver. */
  readonly options: Options;
  readonly refusals: readonly Refusal[];
  readonly secrets: SessionSecrets;
  readonly transcript: MaskingTranscript;
  readonly clock: Clock;
  /** When the TCP connection stood, in monotonic milliseconds: the login is timed from here. */
  readonly connectedAtMs: number;
  /** Aborted with a BackupError as its reason. */
  readonly signal: AbortSignal;
  /** While something of ours lies on the device, an abort leaves the connection open for a moment, to take it away. */
  readonly holdOpen: (held: boolean) => void;
  /** Aborted when the connection is cut: with `signal`, or a moment later while it is held open. */
  readonly cut: AbortSignal;
  /** Largest answer. */
  readonly maxBytes: number;
  /** Told of every piece that arrives. */
  readonly onPiece: (piece: string) => void;
  /** Told how many octets of a file arrived: they are no text, and none of them is recorded. */
  readonly onOctets: (bytes: number) => void;
}

/** Another shell listens than this dialogue speaks to: the next dialogue is tried. */
export class OtherShell extends Error {
  override readonly name = 'OtherShell';
  /** Its words; one line, harmless. */
  readonly reply: string;

  constructor(reply: string) {
    super(reply);
    this.reply = reply;
  }

  /** `thrown`, or where the device has no such channel to give, that as another shell. */
  static orNot(thrown: unknown): unknown {
    if (!(thrown instanceof BackupError) || thrown.code !== 'collect.command-refused') return thrown;
    return new OtherShell((thrown as BackupError<'collect.command-refused'>).detail.reply);
  }
}

/** `re` from the start of `text`, also where it carries a flag that makes it remember. */
export function match(re: RegExp, text: string): RegExpExecArray | null {
  re.lastIndex = 0;
  return re.exec(text);
}

/** The first five lines that are not blank. A refusal stands there or nowhere. */
export function firstLines(text: string): string[] {
  const lines: string[] = [];
  // Lines are taken one by one: an answer of many megabytes is not split for its first five.
  for (let from = 0; from < text.length && lines.length < 5; ) {
    const feed = text.indexOf('\n', from);
    const line = text.slice(from, feed === -1 ? text.length : feed).replace(/^\r|\r$/g, '');
    if (line.trim() !== '') lines.push(line);
    from = feed === -1 ? text.length : feed + 1;
  }
  return lines;
}

/** What a device said, as it may stand in an error. */
export function quoteReply(text: string, mask: (text: string) => string): string {
  return clip(harmless(decodeBytes(mask(text))).trim(), 200);
}

/** The first refusal at the start of one of the first lines of `text`. */
export function refusalIn(
  text: string,
  refusals: readonly Refusal[],
  mask: (text: string) => string,
): Refused | null {
  for (const line of firstLines(text)) {
    const refusal = refusals.find((rule) => match(rule.line, line)?.index === 0);
    if (refusal !== undefined) return { means: refusal.means, reply: quoteReply(line, mask) };
  }
  return null;
}

/** The connection broke in the middle of an answer. */
export function connectionLost(
  command: string,
  receivedBytes: number,
  cause: BackupError | null,
): BackupError {
  return new BackupError('collect.connection-lost', { command, receivedBytes }, { cause });
}

/** An answer is larger than is allowed. */
export function tooLarge(limitBytes: number): BackupError {
  return new BackupError('collect.too-large', { limitBytes });
}
