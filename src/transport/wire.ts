import { Duplex } from 'node:stream';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { Carrier } from './tcp.ts';

/** The most that a server may send before its identification line. */
const greetingLimitBytes = 64 * 1024;
/** RFC 4253 section 4.2 allows 255 bytes with CR LF; a little more is let pass. */
const identLimitBytes = 1024;

/**
 * A connection as ssh2 gets to see it: nothing is handed on before the server's identification line
 * is whole, and then from that line on. ssh2's own header parser keeps the first piece alone when the
 * line comes in three or more, and waits for ever; it also stops at a lone CR in the text before it.
 */
export class Wire extends Duplex {
  readonly #socket: Carrier;
  readonly #onIdent: (software: string) => void;
  /** What came before the identification line was whole; null from then on. */
  #held: Buffer | null = Buffer.alloc(0);
  /** Where in `#held` the line begins that is being received. */
  #lineStart = 0;

  /** `onIdent` is told once, with what follows `SSH-2.0-`, such as `Cisco-1.25`. */
  constructor(socket: Carrier, onIdent: (software: string) => void) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#onIdent = onIdent;
    socket.on('data', (piece: Buffer) => {
      if (this.destroyed) return;
      const passed = this.#held === null ? piece : this.#identify(this.#held, piece);
      if (passed !== null && !this.push(passed)) socket.pause();
    });
    let ended = false;
    socket.on('end', () => {
      ended = true;
      if (this.#held !== null && this.#held.length > 0) this.#refuseUnlessIdent(this.#held);
      this.push(null);
    });
    socket.on('error', (error) => this.destroy(error));
    // After an orderly end what is buffered here is still read, and the stream closes by itself.
    socket.on('close', () => {
      if (!ended) this.destroy();
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#gather();
    // Not handed to the socket as its callback: a destroy right after would then lose what waits here.
    if (this.#socket.write(chunk)) done();
    else this.#socket.once('drain', done);
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // What was written last, such as the reason for a disconnect, still goes out.
    if (error === null) this.#socket.destroySoon();
    else this.#socket.destroy();
    done(error);
  }

  /** ssh2 writes a packet in three pieces, and what is written at one instant goes out as one: a call and a segment each. */
  #gather(): void {
    if (this.#socket.writableCorked > 0) return;
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
  }

  /** What may be handed on: the identification line and what follows it; null while it is not whole. */
  #identify(before: Buffer, piece: Buffer): Buffer | null {
    const held = before.length === 0 ? piece : Buffer.concat([before, piece]);
    let searchFrom = Math.max(this.#lineStart, before.length);
    for (;;) {
      const end = held.indexOf(0x0a, searchFrom);
      if (end === -1) break;
      const line = held.toString('latin1', this.#lineStart, end).replace(/\r$/, '');
      if (line.startsWith('SSH-')) {
        const software = /^SSH-(?:2\.0|1\.99)-(.+)$/.exec(line)?.[1];
        if (software === undefined || line.length > identLimitBytes) return this.#refuse(line);
        this.#held = null;
        this.#onIdent(software);
        return held.subarray(this.#lineStart);
      }
      this.#lineStart = end + 1;
      searchFrom = end + 1;
    }
    const identTooLong =
      startsIdent(held, this.#lineStart) && held.length - this.#lineStart > identLimitBytes;
    if (held.length > greetingLimitBytes || identTooLong)
      return this.#refuse(held.toString('latin1', 0, 300));
    this.#held = held;
    return null;
  }

  #refuseUnlessIdent(held: Buffer): void {
    if (!startsIdent(held, this.#lineStart)) this.#refuse(held.toString('latin1', 0, 300));
  }

  #refuse(received: string): null {
    this.#held = Buffer.alloc(0);
    this.destroy(new BackupError('connect.protocol', { received: clip(harmless(received.trim()), 200) }));
    return null;
  }
}

function startsIdent(held: Buffer, lineStart: number): boolean {
  return held.toString('latin1', lineStart, lineStart + 4) === 'SSH-';
}
