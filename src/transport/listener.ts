import type { Clock, Timer } from '../core/clock.ts';
import type { BackupError } from '../core/errors.ts';
import type { Channel, ChannelEnd } from './channel.ts';
import { Received } from './received.ts';

/** What a look at the text so far came to: an answer, or how long the quiet has to last for the next look. */
export type Look<T> = { readonly found: T } | { readonly lookAgainAfterQuietMs: number };

/** Something that is awaited on a channel. */
export interface Awaited<T> {
  /**
   * Called before `look`, as soon as nothing is on its way at this instant: more of the same piece may still
   * follow. It may press a key; it finds nothing. Absent: the first look is the first.
   */
  readonly glance?: () => void;
  /** Called in a quiet moment with its length so far; throws where it can never be found. */
  readonly look: (quietMs: number) => Look<T>;
  /** The channel ended; no further text will come. Returns what that means, or throws it. */
  readonly ended: (end: ChannelEnd) => T;
  /** The limit in bytes, and the failure where more arrives. */
  readonly limitBytes: number;
  readonly tooLarge: () => BackupError;
  /** An instant of the monotonic clock; absent: the quiet alone decides. */
  readonly deadline?: { readonly atMs: number; readonly failure: () => BackupError };
}

/** Longer than between two packets of one burst, and no more: a device that pages stops hundreds of times. */
const glanceMs = 2;
/** Text is first looked at after a quiet moment: never in the middle of a burst, and never per byte. */
const firstLookMs = 50;

/**
 * One channel, listened to. Text is gathered from `begin` to `begin`; one thing is awaited at a time.
 * A single timer serves quiet and deadline alike, so a stream of single bytes costs no timers.
 */
export class Listener {
  readonly stdout = new Received();
  readonly stderr = new Received();
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #lastMs: number;
  #ended: ChannelEnd | null = null;
  /** Set while something is awaited. */
  #arrived: (() => void) | null = null;
  #closed: (() => void) | null = null;

  /** `onPiece` is told of everything that arrives, in order. `signal` aborts with a BackupError as its reason. */
  constructor(channel: Channel, clock: Clock, signal: AbortSignal, onPiece: (piece: string) => void) {
    this.#channel = channel;
    this.#clock = clock;
    this.#signal = signal;
    this.#lastMs = clock.monotonicMs();
    channel.onData((piece, source) => {
      // After an abort the far side may go on for a while: nothing of it is kept.
      if (signal.aborted) return;
      this.#lastMs = clock.monotonicMs();
      (source === 'stdout' ? this.stdout : this.stderr).add(piece);
      onPiece(piece);
      this.#arrived?.();
    });
    channel.onEnd((end) => {
      this.#ended = end;
      this.#closed?.();
    });
  }

  get receivedBytes(): number {
    return this.stdout.length + this.stderr.length;
  }

  /** Forgets what came so far and types `text`; quiet counts from here. */
  begin(text: string): void {
    this.stdout.clear();
    this.stderr.clear();
    this.press(text);
  }

  /** Types `text` in the middle of an answer. */
  press(text: string): void {
    this.#lastMs = this.#clock.monotonicMs();
    this.#channel.write(text);
  }

  /** Waits for one thing. Rejects with what `look` or `ended` throws, the deadline, the limit or the abort. */
  until<T>(awaited: Awaited<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let timer: Timer | null = null;
      let armedForMs = Number.POSITIVE_INFINITY;
      let glancing = awaited.glance !== undefined;
      let quietNeededMs = glancing ? glanceMs : firstLookMs;

      const settle = (act: () => void): void => {
        timer?.cancel();
        this.#arrived = null;
        this.#closed = null;
        this.#signal.removeEventListener('abort', aborted);
        act();
      };
      // What a look throws belongs to whoever awaits: thrown out of a timer it would end the process.
      const attempt = (step: () => void): void => {
        try {
          step();
        } catch (thrown) {
          settle(() => reject(thrown));
        }
      };
      const aborted = (): void => settle(() => reject(this.#signal.reason));
      const arm = (): void => {
        const atMs = Math.min(
          this.#lastMs + quietNeededMs,
          awaited.deadline?.atMs ?? Number.POSITIVE_INFINITY,
        );
        if (timer !== null && armedForMs <= atMs) return;
        timer?.cancel();
        armedForMs = atMs;
        timer = this.#clock.after(Math.max(0, atMs - this.#clock.monotonicMs()), () => attempt(due));
      };
      const due = (): void => {
        timer = null;
        const nowMs = this.#clock.monotonicMs();
        const quietMs = nowMs - this.#lastMs;
        if (quietMs >= quietNeededMs && glancing) {
          glancing = false;
          quietNeededMs = firstLookMs;
          awaited.glance?.();
        } else if (quietMs >= quietNeededMs) {
          const look = awaited.look(quietMs);
          if ('found' in look) {
            settle(() => resolve(look.found));
            return;
          }
          // A look may have pressed a key, and the quiet begins anew then.
          quietNeededMs = Math.max(look.lookAgainAfterQuietMs, firstLookMs);
        }
        if (awaited.deadline !== undefined && nowMs >= awaited.deadline.atMs)
          throw awaited.deadline.failure();
        arm();
      };
      this.#arrived = () =>
        attempt(() => {
          if (this.receivedBytes > awaited.limitBytes) throw awaited.tooLarge();
          glancing = awaited.glance !== undefined;
          quietNeededMs = glancing ? glanceMs : firstLookMs;
          arm();
        });
      this.#closed = () =>
        attempt(() => {
          const value = awaited.ended(this.#ended as ChannelEnd);
          settle(() => resolve(value));
        });

      this.#signal.addEventListener('abort', aborted);
      if (this.#signal.aborted) aborted();
      else if (this.#ended !== null) this.#closed();
      else this.#arrived();
    });
  }
}
