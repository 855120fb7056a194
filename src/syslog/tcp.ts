import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Clock, Timer } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import { plainAddress } from './directory.ts';
import { Framer } from './framing.ts';
import { handshakeMs, idleMs, mostStreams, mostStreamsOfOneAddress, partialMs } from './limits.ts';
import { type Address, cannotListen, type Listener, type Receive } from './listener.ts';

/** PEM texts: the server's certificate with its chain, its key, and who may sign a client's certificate (null: none is asked for). */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string | null;
}

export interface StreamOptions {
  readonly at: Address;
  /** Null: plain TCP. */
  readonly tls: TlsFiles | null;
  readonly clock: Clock;
  readonly receive: Receive;
  /** A connection was refused or cut: too many, too long a message, half of one and no more, or no TLS. */
  readonly onRefused: () => void;
  readonly onError: (error: Error) => void;
}

/** One connection, from its first packet. */
interface Stream {
  readonly socket: Socket;
  readonly address: string;
  heardMs: number;
  timer: Timer | null;
}

/** How often connections that say nothing are looked at. */
const sweepMs = 10_000;

/**
 * Listens for streams of messages. Where all places are taken, the stream that has been silent for longest makes
 * room: whoever opens many cannot keep the devices out. Throws OperationError where the address cannot be had.
 */
export async function listenTcp(options: StreamOptions): Promise<Listener> {
  const { at, tls, clock, onRefused, onError } = options;
  const streams = new Map<Socket, Stream>();
  const cut = (stream: Stream): void => {
    onRefused();
    stream.socket.destroy();
  };
  const enter = (socket: Socket): void => {
    const address = plainAddress(socket.remoteAddress ?? '');
    const all = [...streams.values()];
    if (all.filter((other) => other.address === address).length >= mostStreamsOfOneAddress) {
      onRefused();
      socket.destroy();
      return;
    }
    if (all.length >= mostStreams) cut(all.reduce((a, b) => (b.heardMs < a.heardMs ? b : a)));
    const stream: Stream = { socket, address, heardMs: clock.monotonicMs(), timer: null };
    streams.set(socket, stream);
    socket.setKeepAlive(true, 60_000);
    socket.on('error', () => {});
    socket.on('close', () => streams.delete(socket));
    if (tls === null) read(socket, stream);
  };
  /** `from` is the clear text of `stream.socket`. */
  const read = (from: Socket, stream: Stream): void => {
    let partialSinceMs: number | null = null;
    const framer = new Framer((text) => {
      partialSinceMs = null;
      options.receive(text, stream.address);
    });
    const look = (): void => {
      const nowMs = clock.monotonicMs();
      const stuck = partialSinceMs !== null && nowMs - partialSinceMs >= partialMs;
      if (stuck || nowMs - stream.heardMs >= idleMs) cut(stream);
      else stream.timer = clock.after(sweepMs, look);
    };
    stream.timer = clock.after(sweepMs, look);
    from.on('error', () => {});
    from.on('data', (chunk: Buffer) => {
      stream.heardMs = clock.monotonicMs();
      if (framer.push(chunk)) partialSinceMs = framer.partial ? (partialSinceMs ?? stream.heardMs) : null;
      else cut(stream);
    });
    from.on('end', () => framer.end());
    stream.socket.on('close', () => stream.timer?.cancel());
  };

  const server = tls === null ? createServer() : secured(tls);
  server.on('connection', enter);
  server.on('tlsClientError', onRefused);
  server.on('secureConnection', (secure: TLSSocket) => {
    const stream = [...streams.values()].find(
      ({ socket }) =>
        socket.remotePort === secure.remotePort && socket.remoteAddress === secure.remoteAddress,
    );
    if (stream === undefined) secure.destroy();
    else read(secure, stream);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(tls === null ? 'tcp' : 'tls', at, error)));
    server.listen({ host: at.host, port: at.port, exclusive: true }, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', onError);
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const { socket } of streams.values()) socket.destroy();
      await closed;
    },
  };
}

/** Throws OperationError where certificate and key are none, or do not belong together. */
function secured({ certificate, key, clientCa }: TlsFiles): TlsServer {
  try {
    return createTlsServer({
      cert: certificate,
      key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: handshakeMs,
      ...(clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    });
  } catch (cause) {
    throw new OperationError(
      `syslog over tls cannot use its certificate: ${cause instanceof Error ? cause.message : String(cause)}`,
      'name a PEM certificate (with its chain) and the key that belongs to it in `syslog.tls`',
      { cause },
    );
  }
}
