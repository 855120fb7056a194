import { Duplex } from 'node:stream';
import type { Ssh2Channel } from './ssh-channel.ts';

/**
 * A connection that a jump host passes on, as a stream that behaves like a socket: ssh2's channels emit no
 * `close` before the far side agrees, forget their callbacks where the connection under them is lost, and
 * never count as destroyed. What is not read is not fetched: the window of the channel stays shut.
 */
export class Tunnel extends Duplex {
  readonly #channel: Ssh2Channel;
  /** The write that waits for the jump host to take more. */
  #waiting: (() => void) | null = null;

  constructor(channel: Ssh2Channel) {
    super({ allowHalfOpen: false });
    this.#channel = channel;
    channel.on('data', (piece: Buffer) => {
      if (!this.destroyed && !this.push(piece)) channel.pause();
    });
    let ended = false;
    channel.on('end', () => {
      ended = true;
      this.push(null);
    });
    channel.on('drain', () => this.#goOn());
    channel.on('error', (error) => this.destroy(error));
    channel.on('close', () => {
      this.#goOn();
      // After an orderly end what is buffered here is still read, and the stream closes by itself.
      if (!ended) this.destroy();
    });
    // Nobody sends errors of a forwarded connection there; unread, they would hold up its end.
    channel.stderr.resume();
  }

  /** Closes it once what was written has gone out. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#channel.write(chunk)) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#waiting = null;
    this.#channel.destroy();
    // Read to its end, or the channel never closes.
    this.#channel.resume();
    done(error);
  }

  #goOn(): void {
    const done = this.#waiting;
    this.#waiting = null;
    done?.();
  }
}
