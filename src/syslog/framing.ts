import { mostFrameBytes, mostText } from './limits.ts';

const lf = 0x0a;

/**
 * Cuts a stream into messages, as RFC 6587 has it: `LENGTH SP <…` counts octets, anything else ends at a line
 * feed; a sender may change from one to the other between two messages. What is kept of a message is bounded,
 * whatever its length.
 */
export class Framer {
  readonly #onMessage: (text: string) => void;
  #mode: 'start' | 'counted' | 'line' = 'start';
  /** At the start: what may become a count. Else: the beginning of the message. */
  #kept = '';
  /** Bytes of the message so far. */
  #seen = 0;
  /** Bytes that a counted message still lacks. */
  #left = 0;

  /** `onMessage` gets the first 4096 bytes of each message, one character per byte. */
  constructor(onMessage: (text: string) => void) {
    this.#onMessage = onMessage;
  }

  /** A message has begun and is not whole. */
  get partial(): boolean {
    return this.#mode !== 'start' || this.#kept !== '';
  }

  /** Takes what arrived. False: a message is longer than 64 KiB, and the stream is good for nothing more. */
  push(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#mode === 'start') at = this.#begin(chunk, at);
      else if (this.#mode === 'counted') at = this.#count(chunk, at);
      else at = this.#line(chunk, at);
      if (this.#seen > mostFrameBytes || this.#left > mostFrameBytes) return false;
    }
    return true;
  }

  /** The stream is over: a last line may lack its line feed. */
  end(): void {
    if (this.#mode !== 'counted') this.#emit();
  }

  #begin(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const next = this.#kept + String.fromCharCode(chunk[at] ?? 0);
      // Some senders end a counted message with a line feed or a NUL as well.
      if (/^[\r\n\0]$/.test(next)) continue;
      if (/^[1-9]\d{0,4} ?$/.test(next)) {
        this.#kept = next;
        continue;
      }
      const count = /^(\d+) <$/.exec(next)?.[1];
      if (count === undefined) {
        this.#mode = 'line';
        this.#seen = this.#kept.length;
        return at;
      }
      this.#mode = 'counted';
      this.#left = Number(count);
      this.#kept = '';
      return at;
    }
    return chunk.length;
  }

  #count(chunk: Buffer, from: number): number {
    const to = Math.min(chunk.length, from + this.#left);
    this.#keep(chunk, from, to);
    this.#left -= to - from;
    if (this.#left === 0) this.#emit();
    return to;
  }

  #line(chunk: Buffer, from: number): number {
    const end = chunk.indexOf(lf, from);
    const to = end < 0 ? chunk.length : end;
    this.#keep(chunk, from, to);
    if (end < 0) return to;
    this.#emit();
    return end + 1;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    this.#seen += to - from;
    const room = mostText - this.#kept.length;
    if (room > 0) this.#kept += chunk.toString('latin1', from, Math.min(to, from + room));
  }

  #emit(): void {
    const text = this.#kept;
    this.#mode = 'start';
    this.#kept = '';
    this.#seen = 0;
    this.#left = 0;
    if (text !== '') this.#onMessage(text);
  }
}
