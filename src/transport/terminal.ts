import { clip, decodeBytes, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { ShellDialogue } from '../drivers/driver.ts';
import type { Channel } from './channel.ts';
import { match, type Surroundings } from './conversation.ts';
import { type Awaited, Listener } from './listener.ts';
import {
  lastLine,
  lastRow,
  lastVisibleLine,
  markPager,
  type PagerMark,
  sameHost,
  windowBytes,
} from './screen.ts';

/** What is typed for Enter. Oxidized and netmiko send the same to all three platforms. */
const enter = '\n';

/** Where the far side is, and its line as it was seen. */
export interface Place {
  readonly mode: string;
  readonly line: string;
  /** The group `host` of a prompt; null where its line names none. */
  readonly host: string | null;
}

/** One shell with the modes of its dialogue: what stands on its last line, and what is typed. */
export class Terminal {
  readonly dialogue: ShellDialogue;
  readonly #listener: Listener;
  readonly #transcript: Surroundings['transcript'];
  #host: string | null = null;

  constructor(dialogue: ShellDialogue, channel: Channel, surroundings: Surroundings) {
    this.dialogue = dialogue;
    this.#transcript = surroundings.transcript;
    this.#listener = new Listener(channel, surroundings.clock, surroundings.signal, surroundings.onPiece);
  }

  /** What came since the last line was typed. */
  get received(): Listener['stdout'] {
    return this.#listener.stdout;
  }

  until<T>(awaited: Awaited<T>): Promise<T> {
    return this.#listener.until(awaited);
  }

  /** Types a line and Enter; what came before is forgotten. */
  type(line: string): void {
    this.#transcript.sent(`${line}${enter}`);
    this.#listener.begin(`${line}${enter}`);
  }

  /** Types a key without Enter; what came before is forgotten. */
  typeKey(key: string): void {
    this.#transcript.sent(key);
    this.#listener.begin(key);
  }

  /** Types a secret and Enter; the transcript is told its name alone. */
  typeSecret(value: string, name: string): void {
    this.#transcript.sent(`«${name}»${enter}`);
    this.#listener.begin(`${value}${enter}`);
  }

  /** Answers a pager in the middle of an answer. */
  press(key: string): void {
    this.#transcript.sent(key);
    this.#listener.press(key);
  }

  /** From the first prompt on, the prompts of another host are text. */
  pin({ host }: Place): void {
    this.#host ??= host;
  }

  /** What stands on the last line; null where that is longer than any prompt. */
  lastLine(): string | null {
    const tail = this.received.tail(windowBytes);
    return lastLine(tail, tail.length === this.received.length)?.text ?? null;
  }

  /** The pager that waits at the end of what came. */
  waitingPager(): PagerMark | null {
    const tail = this.received.tail(windowBytes);
    const tailStart = this.received.length - tail.length;
    const row = lastRow(tail, tailStart === 0);
    if (row === null) return null;
    for (const [index, pager] of this.dialogue.pagers.entries()) {
      const hit = match(pager.line, row.text);
      if (hit === null || row.text.slice(hit.index + hit[0].length).trim() !== '') continue;
      return markPager({ tail, tailStart, row }, hit, index, pager.press);
    }
    return null;
  }

  /** The first of `modes` (absent: of all) that `text` is the line of. */
  placeOf(text: string, modes: readonly string[] = Object.keys(this.dialogue.modes)): Place | null {
    for (const mode of modes) {
      const spec = this.dialogue.modes[mode];
      const found = spec === undefined ? null : match(spec.line, text);
      if (spec === undefined || found === null) continue;
      const host = found.groups?.host ?? null;
      const stranger = host !== null && this.#host !== null && !sameHost(this.#host, host);
      if (spec.kind !== 'prompt' || !stranger) return { mode, line: text, host };
    }
    return null;
  }

  /** The first prompt, of all modes, that `text` is the line of. */
  promptOf(text: string): Place | null {
    const { modes } = this.dialogue;
    return this.placeOf(
      text,
      Object.keys(modes).filter((mode) => modes[mode]?.kind === 'prompt'),
    );
  }

  /** The last line that shows anything. */
  lastVisibleLine(): string {
    return lastVisibleLine(this.received.tail(windowBytes));
  }

  /** `login.prompt-unrecognised` with what stands on the last line. */
  unrecognised(expected: readonly string[]): BackupError {
    const seen = harmless(decodeBytes(this.#transcript.mask(this.lastVisibleLine()))).trim();
    return new BackupError('login.prompt-unrecognised', { lastLine: clip(seen, 200), expected });
  }
}
