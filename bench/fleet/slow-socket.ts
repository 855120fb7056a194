import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * A connection over a longer and narrower line: what comes in arrives `roundTripMs` later, and what goes out takes
 * its time. The handshake of TCP itself is that of the loopback.
 */
export class SlowSocket extends Duplex {
  readonly #socket: Socket;
  readonly #bytesPerSecond: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** When the line has sent all that was written. */
  #freeAtMs = 0;

  constructor(socket: Socket, roundTripMs: number, bytesPerSecond: number | null) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#bytesPerSecond = bytesPerSecond ?? Number.POSITIVE_INFINITY;
    socket.on('data', (data) => this.#later(roundTripMs, () => this.push(data)));
    socket.on('end', () => this.#later(roundTripMs, () => this.push(null)));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (chunk.length * 1000) / this.#bytesPerSecond;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs < 1) this.#socket.write(chunk, done);
    else this.#later(waitMs, () => this.#socket.write(chunk, done));
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.destroy();
    done(error);
  }

  #later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }
}
