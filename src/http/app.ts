import { STATUS_CODES } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import { clientOf } from './access.ts';
import { type ServerTls, tlsOptions } from './tls.ts';

/** How long a client may take, and how much it may send. */
export interface Limits {
  readonly headersMs: number;
  /** For the whole request. */
  readonly requestMs: number;
  /** How often the two above are looked at. */
  readonly checkEveryMs: number;
  /** Silence in both directions after which a connection is cut; 0: never. */
  readonly silenceMs: number;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Of one address; null: no limit but the one above. */
  readonly connectionsOfOne: number | null;
}

/** All headers of a request together. */
const headerBytes = 16 * 1024;
const idleConnectionMs = 5_000;

export interface AppOptions {
  readonly limits: Limits;
  /** Null: clear text. */
  readonly tls: ServerTls | null;
  /** Said of an unknown path. */
  readonly elsewhere: string;
  /** Told of what only the log may hold. */
  readonly unexpected: (error: unknown) => void;
}

/**
 * An application without routes: closed schemas, JSON for every error, no stack and no name of a server in
 * any answer. Throws OperationError where certificate and key cannot be used.
 */
export function createApp({ limits, tls, elsewhere, unexpected }: AppOptions): FastifyInstance {
  const server = {
    maxHeaderSize: headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkEveryMs,
  };
  const listener =
    tls === null ? { http: server } : { https: { ...server, ...tlsOptions(tls, limits.headersMs) } };
  const app = fastify({
    ...(listener as { http: typeof server }),
    bodyLimit: limits.bodyBytes,
    connectionTimeout: limits.silenceMs,
    keepAliveTimeout: idleConnectionMs,
    requestTimeout: limits.requestMs,
    requestIdHeader: false,
    // A request is taken as it is or refused; Ajv would else make a string of a number.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    frameworkErrors: (_error, _request, reply) => {
      refuse(reply as FastifyReply, 400, 'the request makes no sense');
    },
    clientErrorHandler(error, socket) {
      const status = clientStatus[error.code] ?? 400;
      if (socket.writable) socket.write(plainRefusal(status));
      socket.destroy();
    },
  });
  if (tls?.clients === 'if-given') refuseUnsigned(app.server);
  app.server.maxConnections = limits.connections;
  if (limits.connectionsOfOne !== null) limitEachAddress(app.server, limits.connectionsOfOne);
  app.removeContentTypeParser('text/plain');

  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    done();
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 400 && status < 500) return refuse(reply, status, error.message);
    unexpected(error);
    return refuse(reply, 500, 'the daemon failed at this request', 'the reason is in its log');
  });

  const methods = new Map<string, string[]>();
  app.addHook('onRoute', ({ url, method }) => {
    methods.set(url, [...(methods.get(url) ?? []), ...[method].flat()]);
  });
  app.setNotFoundHandler((request, reply) => {
    const allowed = methods.get(request.url.split('?', 1)[0] ?? '');
    if (allowed === undefined) return refuse(reply, 404, 'there is nothing here', elsewhere);
    return refuse(reply.header('allow', allowed.join(', ')), 405, `only ${allowed.join(' and ')}`);
  });
  return app;
}

const clientStatus: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/** What is answered where there is no request that could be understood. */
function plainRefusal(status: number): string {
  const body = JSON.stringify(refusal(status, 'the request makes no sense, or did not come in time'));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json',
  ];
  return [...head, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n');
}

/** By its status; scripts hold on to these words. */
const codes: Readonly<Record<number, string>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  405: 'method-not-allowed',
  408: 'too-slow',
  409: 'operation',
  413: 'too-large',
  415: 'wrong-type',
  421: 'wrong-host',
  429: 'too-many-requests',
  431: 'too-large',
  500: 'bug.unexpected',
};

function refusal(status: number, message: string, todo?: string): object {
  return {
    error: { code: codes[status] ?? 'bad-request', message, ...(todo === undefined ? {} : { todo }) },
  };
}

/** Answers `{error: {code, message, todo}}`. */
export function refuse(reply: FastifyReply, status: number, message: string, todo?: string): FastifyReply {
  return reply.code(status).send(refusal(status, message, todo));
}

/** TLS itself lets in a client whose certificate nobody signed, where a client may come without any. */
function refuseUnsigned(server: Server): void {
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.authorized && socket.getPeerX509Certificate() !== undefined) socket.destroy();
  });
}

/** Whoever opens many connections cannot keep the others out. */
function limitEachAddress(server: Server, most: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const client = clientOf(socket.remoteAddress ?? '');
    const count = (open.get(client) ?? 0) + 1;
    open.set(client, count);
    socket.once('close', () => {
      const left = (open.get(client) ?? 1) - 1;
      if (left === 0) open.delete(client);
      else open.set(client, left);
    });
    if (count > most) socket.destroy();
  });
}
