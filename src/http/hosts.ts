import type { FastifyInstance } from 'fastify';
import { refuse } from './app.ts';

/**
 * Refuses requests that were meant for another name. A web page whose name was made to point to this
 * machine (DNS rebinding) comes with its own name in `Host`, and a browser lets no page change that.
 */
export function onlyLoopbackNames(app: FastifyInstance, listenHost: string): void {
  const bracketed = listenHost.includes(':') ? `[${listenHost}]` : listenHost;
  const names = [...new Set(['127.0.0.1', 'localhost', '[::1]', bracketed])];
  app.addHook('onRequest', (request, reply, done) => {
    const port = request.socket.localPort;
    const host = request.headers.host?.toLowerCase();
    if (names.some((name) => host === `${name}:${port}` || (port === 80 && host === name))) done();
    else
      refuse(reply, 421, 'this name is not served here', `use one of ${names.join(', ')} with port ${port}`);
  });
}
