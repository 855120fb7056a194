import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';

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
}

/** All headers of a request together. */
const headerBytes = 16 * 1024;
const idleConnectionMs = 5_000;

/**
 * An application without routes: closed schemas, JSON for every error, no stack and no name of a server in
 * any answer. `unexpected` is told of what only the log may hold; `elsewhere` is said of an unknown path.
 */
export function createApp(
  limits: Limits,
  elsewhere: string,
  unexpected: (error: unknown) => void,
): FastifyInstance {
  const app = fastify({
    bodyLimit: limits.bodyBytes,
    connectionTimeout: limits.silenceMs,
    keepAliveTimeout: idleConnectionMs,
    requestTimeout: limits.requestMs,
    requestIdHeader: false,
    http: {
      maxHeaderSize: headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkEveryMs,
    },
    // A request is taken as it is or refused; Ajv would else make a string of a number.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    frameworkErrors: (_error, _request, reply) => {
      refuse(reply as FastifyReply, 400, 'the request makes no sense');
    },
    clientErrorHandler(error, socket) {
      const status = clientStatus[error.code] ?? '400 Bad Request';
      if (socket.writable)
        socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroy();
    },
  });
  app.server.maxConnections = limits.connections;
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

const clientStatus: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Answers `{error: {message, todo}}`. */
export function refuse(reply: FastifyReply, status: number, message: string, todo?: string): FastifyReply {
  return reply.code(status).send({ error: { message, ...(todo === undefined ? {} : { todo }) } });
}
