import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import { createApp, type Limits } from './app.ts';
import { usualBodyBytes } from './calls.ts';
import { onlyLoopbackNames } from './hosts.ts';
import { addCalls, type CallsUnderWay } from './routes/calls.ts';
import { addControl } from './routes/control.ts';
import { addObservation } from './routes/observe.ts';
import { listenOnSocket } from './socket.ts';
import type { HttpSources } from './sources.ts';

export interface HttpOptions {
  /** A loopback address; port 0: any free one. Null: nothing listens on TCP. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** The control socket's path, absolute. */
  readonly socket: string;
  readonly sources: HttpSources;
  readonly clock?: Clock;
  /** Where they differ from the usual ones. */
  readonly limits?: Partial<Pick<Limits, 'headersMs' | 'requestMs' | 'checkEveryMs' | 'silenceMs'>>;
}

/**
 * Disposing it stops listening, aborts the long calls that are under way and waits, some seconds at most,
 * until each was answered.
 */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens on TCP; null where it does not. */
  readonly tcp: { readonly host: string; readonly port: number } | null;
}

/** For scrapes and probes, which send nothing and take little. */
const tcpLimits: Limits = {
  headersMs: 5_000,
  requestMs: 10_000,
  checkEveryMs: 1_000,
  silenceMs: 30_000,
  bodyBytes: 1024,
  connections: 64,
};

/** For commands, whose calls may be large and take long. */
const socketLimits: Limits = {
  headersMs: 5_000,
  requestMs: 60_000,
  checkEveryMs: 1_000,
  silenceMs: 0,
  bodyBytes: usualBodyBytes,
  connections: 256,
};

/** How long answers may take once it closes; aborted runs end with a commit or a row, not at once. */
const closingMs = 10_000;

/**
 * Opens both listeners: TCP shows metrics, health and readiness; the unix socket also reloads, pauses and
 * answers the commands. Throws OperationError where an address is taken, another daemon answers, or the
 * path is too long.
 */
export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { listen, socket, sources, limits, clock = systemClock } = options;
  const unexpected = (error: unknown): void => sources.unexpected(error);
  await using opened = new AsyncDisposableStack();

  const control = createApp({ ...socketLimits, ...limits }, 'name a path that exists', unexpected);
  addObservation(control, sources);
  addControl(control, sources);
  const calls = addCalls(control, sources, clock);
  const commands = countAnswers(control);
  opened.defer(() => close(control, commands, calls, clock));
  await control.ready();
  await listenOnSocket(control.server, socket);

  let tcp: HttpServer['tcp'] = null;
  if (listen !== null) {
    const elsewhere = `what changes or reads configurations is answered on the control socket ${socket} alone`;
    const app = createApp({ ...tcpLimits, ...limits }, elsewhere, unexpected);
    onlyLoopbackNames(app, listen.host);
    addObservation(app, sources);
    const scrapes = countAnswers(app);
    opened.defer(() => close(app, scrapes, null, clock));
    await listenOnTcp(app, listen);
    const { address, port } = app.server.address() as AddressInfo;
    tcp = { host: address, port };
  }

  const owned = opened.move();
  return { tcp, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function listenOnTcp(app: FastifyInstance, listen: { host: string; port: number }): Promise<void> {
  try {
    await app.listen({ ...listen });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new OperationError(
      `${listen.host}:${listen.port} cannot be listened on: ${code === 'EADDRINUSE' ? 'another program does' : message}`,
      'end that program, or set `http.listen` to another port',
      { cause },
    );
  }
}

/** Connections that have nothing to be answered any more are cut at once. */
async function close(
  app: FastifyInstance,
  answering: Answering,
  calls: CallsUnderWay | null,
  clock: Clock,
): Promise<void> {
  const closing = app.close();
  calls?.abort();
  const tooLong = clock.after(closingMs, answering.giveUp);
  await answering.done();
  tooLong.cancel();
  app.server.closeAllConnections();
  await closing;
}

interface Answering {
  /** Resolves when no answer is owed, or after `giveUp`. */
  done(): Promise<void>;
  giveUp(): void;
}

function countAnswers(app: FastifyInstance): Answering {
  let owed = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = false;
  app.server.on('request', (_request: IncomingMessage, response: ServerResponse) => {
    owed++;
    response.once('close', () => {
      owed--;
      if (waiting && owed === 0) resolve();
    });
  });
  return {
    done() {
      waiting = true;
      if (owed === 0) resolve();
      return promise;
    },
    giveUp: resolve,
  };
}
