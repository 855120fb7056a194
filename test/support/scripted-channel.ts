import type { Clock } from '../../src/core/clock.ts';
import type { Channel, ChannelEnd, ChannelSource } from '../../src/transport/channel.ts';

/** What a device does in return: says something, on one of its outputs, waits, or closes. */
export type Act =
  | string
  | { readonly stderr: string }
  | { readonly waitMs: number }
  | { readonly end: Partial<ChannelEnd> };

/** A device behind a channel: what it does on its own, and in return to everything that is typed. */
export interface Script {
  readonly greeting: readonly Act[];
  readonly typed: (text: string) => readonly Act[];
}

/** One piece, and how long after the one before it arrives. */
interface Piece {
  readonly text: string;
  readonly afterMs: number;
}

/** How the network cuts what a device says. */
export type Feed = (text: string) => readonly Piece[];

export const whole: Feed = (text) => [{ text, afterMs: 1 }];
export const byLine: Feed = (text) =>
  (text.match(/[^\n]*\n|[^\n]+/g) ?? []).map((line) => ({ text: line, afterMs: 2 }));
export const byByte: Feed = (text) => [...text].map((byte) => ({ text: byte, afterMs: 1 }));

/** Byte by byte and without a pause between them: for texts that are too long for a timer each. */
export const allAtOnceByByte: Feed = (text) => [{ text, afterMs: 1 }];

/** Pieces of any size, with pauses up to `longestMs` between them; the same for the same seed. */
export function inPieces(seed: number, longestMs: number): Feed {
  let state = seed >>> 0;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  return (text) => {
    const pieces: Piece[] = [];
    for (let from = 0; from < text.length; ) {
      const size = 1 + random(random(4) === 0 ? 400 : 12);
      const afterMs = random(3) === 0 ? random(longestMs + 1) : 0;
      pieces.push({ text: text.slice(from, from + size), afterMs });
      from += size;
    }
    return pieces;
  };
}

const inOrder: ChannelEnd = { exitStatus: null, signal: null, error: null, connectionLost: false };

/** A channel in memory, on which a script answers. */
export class ScriptedChannel implements Channel {
  /** Everything that was typed, write by write. */
  readonly typed: string[] = [];
  readonly #clock: Clock;
  readonly #script: Script;
  readonly #feed: Feed;
  /** Bytes that still get through before the connection breaks. */
  #left: number;
  #onData: ((latin1: string, source: ChannelSource) => void) | null = null;
  #onEnd: ((end: ChannelEnd) => void) | null = null;
  #end: ChannelEnd | null = null;
  #busyUntilMs = 0;
  #started = false;

  /** `cutAfterBytes`: after so many bytes of the device the connection is gone. */
  constructor(clock: Clock, script: Script, feed: Feed = whole, cutAfterBytes = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#script = script;
    this.#feed = feed;
    this.#left = cutAfterBytes;
  }

  get closed(): boolean {
    return this.#end !== null;
  }

  write(latin1: string): void {
    if (this.#end !== null) return;
    this.typed.push(latin1);
    this.#act(this.#script.typed(latin1));
  }

  onData(listener: (latin1: string, source: ChannelSource) => void): void {
    this.#onData = listener;
    if (this.#started) return;
    this.#started = true;
    if (this.#left === 0) this.#act([{ end: { connectionLost: true } }]);
    this.#act(this.#script.greeting);
  }

  onEnd(listener: (end: ChannelEnd) => void): void {
    this.#onEnd = listener;
  }

  pause(): void {}
  resume(): void {}

  close(): void {
    this.#finish(inOrder);
  }

  #act(acts: readonly Act[]): void {
    for (const act of acts) {
      if (typeof act === 'string') this.#say(act, 'stdout');
      else if ('stderr' in act) this.#say(act.stderr, 'stderr');
      else if ('waitMs' in act) this.#later(act.waitMs, () => {});
      else this.#later(0, () => this.#finish({ ...inOrder, ...act.end }));
    }
  }

  #say(text: string, source: ChannelSource): void {
    if (this.#feed === allAtOnceByByte) {
      this.#later(1, () => {
        for (const byte of text) this.#deliver(byte, source);
      });
      return;
    }
    for (const piece of this.#feed(text)) this.#later(piece.afterMs, () => this.#deliver(piece.text, source));
  }

  #deliver(text: string, source: ChannelSource): void {
    if (this.#end !== null) return;
    const passed = text.slice(0, this.#left);
    this.#left -= passed.length;
    if (passed !== '') this.#onData?.(passed, source);
    if (this.#left === 0) this.#finish({ ...inOrder, connectionLost: true });
  }

  #later(delayMs: number, then: () => void): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#clock.monotonicMs()) + delayMs;
    this.#clock.after(this.#busyUntilMs - this.#clock.monotonicMs(), then);
  }

  #finish(end: ChannelEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    queueMicrotask(() => this.#onEnd?.(end));
  }
}
