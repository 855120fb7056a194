import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import { type Access, isLoopback } from './access.ts';
import { createApp, type Limits } from './app.ts';
import type { Rate } from './buckets.ts';
import { usualBodyBytes } from './calls.ts';
import { addGuard } from './guard.ts';
import { onlyKnownNames } from './hosts.ts';
import { createPasswords } from './passwords.ts';
import { addApi } from './routes/api.ts';
import { addCalls, type CallsUnderWay } from './routes/calls.ts';
import { addControl } from './routes/control.ts';
import { addObservation } from './routes/observe.ts';
import { listenOnSocket } from './socket.ts';
import type { HttpSources } from './sources.ts';
import { contextOptions, type ServerTls } from './tls.ts';

export interface HttpOptions {
  /** Port 0: any free one. Null: nothing listens on TCP. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** Of TCP; null: clear text. */
  readonly tls: ServerTls | null;
  readonly access: Access;
  /** The control socket's path, absolute. */
  readonly socket: string;
  readonly sources: HttpSources;
  readonly clock?: Clock;
  /** Where they differ from the usual ones. */
  readonly limits?: Partial<Pick<Limits, 'headersMs' | 'requestMs' | 'checkEveryMs' | 'silenceMs'>>;
  readonly rate?: Rate;
}

/**
 * Disposing it stops listening, aborts the long calls that are under way and waits, some seconds at most,
 * until each was answered.
 */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens on TCP; null where it does not. */
  readonly tcp: { readonly host: string; readonly port: number } | null;
  /**
   * From now on these hold, for connections to come and for the next request on those that stand. Whether there is
   * TLS, and what it asks of clients, stays. Throws OperationError, and changes nothing, where the certificate
   * cannot be used.
   */
  configure(access: Access, tls: ServerTls | null): void;
}

/** For scrapes, probes and scripts. Whoever wants to send or hold more is cut off. */
const tcpLimits: Limits = {
  headersMs: 5_000,
  requestMs: 10_000,
  checkEveryMs: 1_000,
  silenceMs: 30_000,
  bodyBytes: 64 * 1024,
  connections: 256,
  connectionsOfOne: 64,
};

/** Of one client on TCP; twenty devices a second for a script that reads them all. */
const usualRate: Rate = { burst: 200, perSecond: 20 };

/** For commands, whose calls may be large and take long. */
const socketLimits: Limits = {
  headersMs: 5_000,
  requestMs: 60_000,
  checkEveryMs: 1_000,
  silenceMs: 0,
  bodyBytes: usualBodyBytes,
  connections: 256,
  connectionsOfOne: null,
};

/** How long answers may take once it closes; aborted runs end with a commit or a row, not at once. */
const closingMs = 10_000;

/**
 * Opens both listeners: TCP shows metrics, health and readiness, and answers the API to those who may; the unix
 * socket answers the API and the commands to whoever its file rights let in. Throws OperationError where an
 * address is taken, a certificate cannot be used, another daemon answers, or the path is too long.
 */
export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { listen, socket, sources, limits, clock = systemClock } = options;
  let { access } = options;
  const unexpected = (error: unknown): void => sources.unexpected(error);
  await using opened = new AsyncDisposableStack();

  const control = createApp({
    limits: { ...socketLimits, ...limits },
    tls: null,
    elsewhere: 'name a path that exists',
    unexpected,
  });
  addRoutes(control, sources);
  const calls = addCalls(control, sources, clock);
  const commands = countAnswers(control);
  opened.defer(() => close(control, commands, calls, clock));
  await control.ready();
  await listenOnSocket(control.server, socket);

  let tcp: FastifyInstance | null = null;
  if (listen !== null) {
    tcp = createApp({
      limits: { ...tcpLimits, ...limits },
      tls: options.tls,
      elsewhere: `the commands are answered on the control socket ${socket} alone`,
      unexpected,
    });
    const passwords = opened.use(createPasswords());
    onlyKnownNames(tcp, listen.host, () => access.hosts);
    addGuard(tcp, {
      access: () => access,
      open: isLoopback(listen.host),
      passwords,
      clock,
      rate: options.rate ?? usualRate,
      refused: (need, address) => sources.refused(need, address),
    });
    addRoutes(tcp, sources);
    const answers = countAnswers(tcp);
    const app = tcp;
    opened.defer(() => close(app, answers, null, clock));
    await app.ready();
    await listenOnTcp(app, listen);
  }

  const owned = opened.move();
  return {
    tcp: tcp === null ? null : boundTo(tcp),
    configure(next, tls) {
      if (tcp !== null && tls !== null)
        (tcp.server as unknown as TlsServer).setSecureContext(contextOptions(tls));
      access = next;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function addRoutes(app: FastifyInstance, sources: HttpSources): void {
  addObservation(app, sources);
  addControl(app, sources);
  addApi(app, sources);
}

function boundTo(app: FastifyInstance): { host: string; port: number } {
  const { address, port } = app.server.address() as AddressInfo;
  return { host: address, port };
}

async function listenOnTcp(app: FastifyInstance, listen: { host: string; port: number }): Promise<void> {
  try {
    const listening = once(app.server, 'listening');
    app.server.listen({ ...listen });
    await listening;
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
