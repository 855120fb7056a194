import { decodeBytes, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { ShellDialogue } from '../drivers/driver.ts';
import type { Channel } from './channel.ts';
import {
  type Conversation,
  connectionLost,
  type Question,
  type Refused,
  type Reply,
  refusalIn,
  type Surroundings,
  tooLarge,
} from './conversation.ts';
import type { Look } from './listener.ts';
import { login } from './login.ts';
import { doubtMs, leaveMs, settleMs } from './patience.ts';
import { echoBytes, exactText, findEcho, isErased, type PagerMark } from './screen.ts';
import { type Place, Terminal } from './terminal.ts';

/** How much of an answer is read again before the next look has to wait; small ones are always looked at. */
const rereadBytes = 8 * 1024 * 1024;
const rereadTimes = 4;

interface Answered {
  readonly text: string;
  readonly place: Place;
}

/** The dialogue on one terminal: a login, then commands whose answers end at a prompt. */
export class ShellSession implements Conversation {
  readonly #terminal: Terminal;
  readonly #channel: Channel;
  readonly #with: Surroundings;
  /** The prompt at which we stand. */
  #place: Place;

  private constructor(terminal: Terminal, channel: Channel, surroundings: Surroundings, place: Place) {
    this.#terminal = terminal;
    this.#channel = channel;
    this.#with = surroundings;
    this.#place = place;
  }

  /** Logs in, as far as the prompt at which commands run. Throws what `login` throws. */
  static async open(
    dialogue: ShellDialogue,
    channel: Channel,
    surroundings: Surroundings,
  ): Promise<ShellSession> {
    const terminal = new Terminal(dialogue, channel, surroundings);
    return new ShellSession(terminal, channel, surroundings, await login(terminal, surroundings));
  }

  get prompt(): string {
    return harmless(decodeBytes(this.#with.transcript.mask(this.#place.line))).trim();
  }

  get worth(): Reply['prompt'] {
    return this.#worthAt(this.#place);
  }

  async prepare(): Promise<void> {
    const { refusals, transcript, device } = this.#with;
    for (const line of this.#terminal.dialogue.prepare) {
      const { text } = await this.#run(line, device.timeouts.idleMs, () => true);
      const refused = refusalIn(text, refusals, transcript.mask);
      if (refused !== null) transcript.note(`the device refused to prepare the session: ${refused.reply}`);
    }
  }

  async ask(question: Question): Promise<Reply> {
    const outside = this.#place;
    const { reply, entered } = await this.#askThere(question);
    if (entered) await this.#wayBack(question, outside);
    return reply;
  }

  /** `entered`: we may stand somewhere else than before, or the command itself was typed. */
  async #askThere(question: Question): Promise<{ readonly reply: Reply; readonly entered: boolean }> {
    const { refusals, transcript } = this.#with;
    const refusalOf = (text: string): Refused | null =>
      question.cannotBeRefusal(text) ? null : refusalIn(text, refusals, transcript.mask);
    for (const [index, line] of question.before.entries()) {
      const { text, place } = await this.#run(line, question.idleMs, () => true);
      const refused = refusalIn(text, refusals, transcript.mask);
      // In another context the command itself would answer, and answer something else.
      if (refused !== null) return { reply: this.#reply(line, text, refused, place), entered: index > 0 };
    }
    const from = this.#place;
    const looksWhole = (text: string) => question.looksWhole(text) || refusalOf(text) !== null;
    const { text, place } = await this.#run(question.send, question.idleMs, looksWhole);
    return { reply: this.#reply(question.send, text, refusalOf(text), from, place), entered: true };
  }

  /** What is asked next would be answered by the wrong place: where the way back is refused, the session is over. */
  async #wayBack({ after, idleMs }: Question, outside: Place): Promise<void> {
    const { refusals, transcript } = this.#with;
    const inside = this.#place;
    for (const [index, line] of after.entries()) {
      const { text, place } = await this.#run(line, idleMs, () => true);
      const refused = refusalIn(text, refusals, transcript.mask);
      // A prompt that told the way in tells the way out, whatever words there are for a refusal.
      const stayed = index === after.length - 1 && inside.line !== outside.line && place.line === inside.line;
      if (refused === null && !stayed) continue;
      const reply = refused?.reply ?? `the prompt is still ${this.prompt}`;
      throw new BackupError('collect.command-refused', { command: line, reply });
    }
  }

  async leave(): Promise<void> {
    for (const line of this.#terminal.dialogue.leave) this.#terminal.type(line);
    const done = { found: undefined };
    await this.#terminal
      .until<void>({
        look: (quietMs) => (quietMs >= leaveMs ? done : { lookAgainAfterQuietMs: leaveMs }),
        ended: () => undefined,
        limitBytes: this.#with.maxBytes,
        tooLarge: () => tooLarge(this.#with.maxBytes),
      })
      .catch(() => undefined);
    this.#channel.close();
  }

  #reply(sent: string, text: string, refused: Refused | null, ...places: readonly Place[]): Reply {
    const worth = places.map((place) => this.#worthAt(place));
    const prompt = worth.find((one) => one?.is === 'no') ?? worth.find((one) => one !== null) ?? null;
    const capture = { text, endedBy: 'prompt', exitStatus: null, sent } as const;
    return { capture, stderr: '', refused, prompt };
  }

  #worthAt({ mode }: Place): Reply['prompt'] {
    const spec = this.#terminal.dialogue.modes[mode];
    return spec?.kind === 'prompt' ? (spec.restorable ?? null) : null;
  }

  /** Types one line and waits for the prompt after its answer. */
  async #run(line: string, idleMs: number, looksWhole: (text: string) => boolean): Promise<Answered> {
    const terminal = this.#terminal;
    const { maxBytes } = this.#with;
    const { worksIn } = terminal.dialogue;
    const marks: PagerMark[] = [];
    let read: { readonly length: number; readonly text: string; readonly certain: boolean } | null = null;
    let readBytes = 0;

    /** The answer so far; `certain` where nothing speaks against its being whole. Put together once per length. */
    const readAnswer = (): { readonly text: string; readonly certain: boolean } => {
      const { received } = terminal;
      if (read?.length === received.length) return read;
      readBytes += received.length;
      const isPrompt = (text: string) => terminal.promptOf(text) !== null;
      const echo = findEcho(received.head(echoBytes), line, this.#place.line, isPrompt);
      const text = exactText(received.text(), echo ?? 0, marks);
      read = { length: received.length, text, certain: echo !== null && looksWhole(text) };
      return read;
    };
    /** At a prompt: believed after a quiet that is long enough for it. */
    const believe = (place: Place, quietMs: number): Look<Answered> => {
      // A prompt behind every line would have all of it read again for each: then only a long quiet counts.
      const again =
        readBytes + terminal.received.length > rereadBytes + rereadTimes * terminal.received.length;
      if (again && quietMs < Math.min(doubtMs, idleMs))
        return { lookAgainAfterQuietMs: Math.min(doubtMs, idleMs) };
      const { text, certain } = readAnswer();
      const neededMs = Math.min(certain ? settleMs : doubtMs, idleMs);
      return quietMs < neededMs ? { lookAgainAfterQuietMs: neededMs } : { found: { text, place } };
    };
    /** Pagers that the device has taken off the screen in this answer. */
    const erasing = new Set<number>();
    /**
     * Answers a pager without waiting for quiet. The same words may stand in a comment, with the rest of it
     * still on its way; three things make a key harmless there. The device has erased this pager before, so
     * that words which it does not erase are kept as text (see `exactText`); the key is a blank, which waits
     * in a device that is printing until it answers the next pager, or is typed at the prompt, where it does
     * nothing; and words that are half there, or half erased, are left to `look`.
     */
    const glance = (): void => {
      const last = marks.at(-1);
      if (last === undefined) return;
      const mark = terminal.waitingPager();
      if (mark === null || mark.start === last.start || mark.press !== ' ' || !mark.still) return;
      const { received } = terminal;
      if (isErased(received.tail(received.length - last.end), last)) erasing.add(last.pager);
      if (erasing.has(mark.pager)) press(mark);
    };
    const press = (mark: PagerMark): void => {
      marks.push(mark);
      terminal.press(mark.press);
    };
    /** Without the blanks behind a prompt that no pager took. */
    const lastLine = (): string | null => {
      const seen = terminal.lastLine();
      return seen === null || marks.length === 0 ? seen : seen.replace(/ {2,}$/, ' ');
    };
    const look = (quietMs: number): Look<Answered> => {
      const mark = terminal.waitingPager();
      // The rest of a marker that was answered already may still be arriving.
      if (mark !== null && mark.start !== marks.at(-1)?.start) {
        press(mark);
        return { lookAgainAfterQuietMs: idleMs };
      }
      const seen = lastLine();
      const place = seen === null ? null : terminal.placeOf(seen, worksIn);
      if (place !== null) return believe(place, quietMs);
      // Out of the mode in which commands run, as when rights were taken away in the session.
      const elsewhere = seen === null ? null : terminal.promptOf(seen);
      const patienceMs = elsewhere === null ? idleMs : Math.min(doubtMs, idleMs);
      if (quietMs < patienceMs) return { lookAgainAfterQuietMs: patienceMs };
      if (elsewhere !== null) throw terminal.unrecognised(worksIn);
      const receivedBytes = terminal.received.length;
      throw new BackupError('collect.stalled', { command: line, idleMs, receivedBytes });
    };

    terminal.type(line);
    const answered = await terminal.until<Answered>({
      glance,
      look,
      ended: ({ error }) => {
        throw connectionLost(line, terminal.received.length, error);
      },
      limitBytes: maxBytes,
      tooLarge: () => tooLarge(maxBytes),
    });
    this.#place = answered.place;
    return answered;
  }
}
