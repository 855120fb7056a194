import type { Clock } from '../core/clock.ts';
import type { Channel, ChannelEnd } from './channel.ts';
import { firstLines } from './conversation.ts';
import { settleMs } from './patience.ts';

/** How long one piece may take to come, and what ends the wait at once. */
export interface Patience {
  readonly clock: Clock;
  /** Aborted with a BackupError as its reason. */
  readonly signal: AbortSignal;
  readonly idleMs: number;
}

/** As much is taken in before the far side has to wait; a reader that is slow, as a disk can be, costs no memory. */
const heldBytes = 1024 * 1024;
/** Of what is no protocol, and is kept for the words in it. */
const wordsBytes = 4096;

/** `promise`, or after `idleMs` what `late` makes, or the reason of an abort. */
export function within<T>(
  promise: Promise<T>,
  { clock, signal, idleMs }: Patience,
  late: () => Error,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const settle = (act: () => void): void => {
      timer.cancel();
      signal.removeEventListener('abort', aborted);
      act();
    };
    const aborted = (): void => settle(() => reject(signal.reason));
    const timer = clock.after(idleMs, () => settle(() => reject(late())));
    signal.addEventListener('abort', aborted);
    promise.then(
      (value) => settle(() => resolve(value)),
      (thrown: unknown) => settle(() => reject(thrown)),
    );
    if (signal.aborted) aborted();
  });
}

/** The octets of one channel, taken at the reader's own pace. */
export class Octets {
  readonly #channel: Channel;
  readonly #patience: Patience;
  readonly #late: () => Error;
  readonly #pieces: Buffer[] = [];
  #heldBytes = 0;
  #paused = false;
  #stderr = '';
  #end: ChannelEnd | null = null;
  #wake: () => void = () => {};

  /** `late` makes the failure where nothing comes for as long as `patience` allows. */
  constructor(channel: Channel, patience: Patience, late: () => Error) {
    this.#channel = channel;
    this.#patience = patience;
    this.#late = late;
    channel.onData((latin1, source) => {
      if (source === 'stderr') this.#stderr = (this.#stderr + latin1).slice(0, wordsBytes);
      else this.#hold(Buffer.from(latin1, 'latin1'));
      this.#wake();
    });
    channel.onEnd((end) => {
      this.#end = end;
      this.#wake();
    });
  }

  /** How the channel ended; null while it has not. */
  get end(): ChannelEnd | null {
    return this.#end;
  }

  /** The next octets, at least one; null once the channel has ended. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#heldBytes -= piece.length;
        if (this.#paused && this.#heldBytes < heldBytes / 2) {
          this.#paused = false;
          this.#channel.resume();
        }
        return piece;
      }
      if (this.#end !== null) return null;
      await within(this.#arrival(), this.#patience, this.#late);
    }
  }

  /** What was taken too much comes first again. */
  putBack(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.unshift(piece);
    this.#heldBytes += piece.length;
  }

  /**
   * Up to the next line feed, without it; null as soon as what came is not the beginning of a line that `mayBe`, or
   * the channel ends first. Nothing is taken then.
   */
  async line(mayBe: (beginning: string) => boolean): Promise<string | null> {
    let held = Buffer.alloc(0);
    for (;;) {
      const piece = await this.next();
      if (piece !== null) held = Buffer.concat([held, piece]);
      const feed = held.indexOf(0x0a);
      const line = held.toString('latin1', 0, feed === -1 ? held.length : feed);
      if (!mayBe(line) || (feed === -1 && piece === null)) {
        this.putBack(held);
        return null;
      }
      if (feed === -1) continue;
      this.putBack(held.subarray(feed + 1));
      return line;
    }
  }

  /** Whether anything more comes within `ms`: false at the end of the channel too. */
  async more(ms: number): Promise<boolean> {
    const quiet = new Error('quiet');
    try {
      while (this.#pieces.length === 0 && this.#end === null)
        await within(this.#arrival(), { ...this.#patience, idleMs: ms }, () => quiet);
    } catch (thrown) {
      if (thrown !== quiet) throw thrown;
    }
    return this.#pieces.length > 0;
  }

  /** The first line that the far side says in words, on either output; empty where it says nothing. */
  async words(): Promise<string> {
    let text = '';
    while (text.length < wordsBytes && (await this.more(settleMs))) {
      text += (await this.next())?.toString('latin1') ?? '';
    }
    return firstLines(this.#stderr)[0] ?? firstLines(text)[0] ?? '';
  }

  #hold(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    if (this.#paused || this.#heldBytes < heldBytes) return;
    this.#paused = true;
    this.#channel.pause();
  }

  /** Resolves at the next piece, or at the end. */
  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
