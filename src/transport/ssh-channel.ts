import type { Duplex, Readable } from 'node:stream';
import type { BackupError } from '../core/errors.ts';
import type { Channel, ChannelEnd, ChannelSource } from './channel.ts';

/** What is used of ssh2's channel. */
export type Ssh2Channel = Duplex & { readonly stderr: Readable; close(): void };

/** How the connection under a channel is. */
export interface ConnectionState {
  readonly lost: boolean;
  /** What the end of every channel carries; null where it is for the dialogue to name it. */
  readonly error: BackupError | null;
}

/** The `Channel` of an open ssh2 channel. `state` is asked when the channel ends. */
export function wrapChannel(stream: Ssh2Channel, state: () => ConnectionState): Channel {
  let exitStatus: number | null = null;
  let signal: string | null = null;
  let end: ChannelEnd | null = null;
  let onData: ((latin1: string, source: ChannelSource) => void) | null = null;
  let onEnd: ((end: ChannelEnd) => void) | null = null;
  let open = 2;
  /** What came before there was a listener. */
  const waiting: [string, ChannelSource][] = [];

  const take = (source: ChannelSource) => (piece: Buffer) => {
    if (end !== null) return;
    const text = piece.toString('latin1');
    if (onData === null) waiting.push([text, source]);
    else onData(text, source);
  };
  const tell = () => {
    if (end !== null && onEnd !== null && waiting.length === 0) {
      const listener = onEnd;
      onEnd = null;
      listener(end);
    }
  };
  const finish = () => {
    const { lost, error } = state();
    end ??= { exitStatus, signal, error, connectionLost: lost };
  };
  const oneClosed = () => {
    open -= 1;
    if (open > 0) return;
    finish();
    tell();
  };

  stream.on('data', take('stdout'));
  stream.stderr.on('data', take('stderr'));
  stream.on('exit', (code: number | null, name?: string) => {
    exitStatus = code;
    signal = name === undefined ? null : name.replace(/^SIG/, '');
  });
  // Both, because what is still in stderr may be read after the channel itself closed.
  stream.once('close', oneClosed);
  stream.stderr.once('close', oneClosed);
  // Writing to a channel that just closed: the end tells it, an error without a listener would end the process.
  stream.on('error', () => {});
  stream.stderr.on('error', () => {});

  return {
    write(latin1) {
      if (end === null && stream.writable) stream.write(Buffer.from(latin1, 'latin1'));
    },
    onData(listener) {
      onData = listener;
      for (const [text, source] of waiting.splice(0)) listener(text, source);
      queueMicrotask(tell);
    },
    onEnd(listener) {
      onEnd = listener;
      queueMicrotask(tell);
    },
    pause() {
      stream.pause();
      stream.stderr.pause();
    },
    resume() {
      stream.resume();
      stream.stderr.resume();
    },
    close() {
      if (end === null) stream.close();
      finish();
      waiting.length = 0;
      // Whoever paused and then closes must not keep the far side's last data, and with it the channel, for ever.
      stream.resume();
      stream.stderr.resume();
      queueMicrotask(tell);
    },
  };
}
