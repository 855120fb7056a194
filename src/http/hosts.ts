import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { plainAddress } from './access.ts';
import { refuse } from './app.ts';

/**
 * Refuses requests that were meant for another name. A web page whose name was made to point to this
 * machine (DNS rebinding) comes with its own name in `Host`, and a browser lets no page change that. Loopback
 * names, the address that is listened on and the one that the connection came to are accepted with its port;
 * the names that `hosts` gives with any port, because a proxy or a mapping may be in between.
 */
export function onlyKnownNames(
  app: FastifyInstance,
  listenHost: string,
  hosts: () => readonly string[],
): void {
  const names = ['127.0.0.1', 'localhost', '[::1]', bracketed(listenHost)];
  app.addHook('onRequest', (request, reply, done) => {
    const { localPort: port, localAddress = '' } = request.socket;
    const own = [...new Set([...names, bracketed(plainAddress(localAddress))])];
    const host = request.headers.host?.toLowerCase();
    const given = host?.replace(/:\d{1,5}$/, '') ?? '';
    const usual = request.protocol === 'https' ? 443 : 80;
    if (own.some((name) => host === `${name}:${port}` || (port === usual && host === name))) done();
    else if (hosts().some((name) => given === bracketed(name))) done();
    else
      refuse(
        reply.header('connection', 'close'),
        421,
        'this name is not served here',
        `use one of ${own.join(', ')} with port ${port}, or add yours to \`http.hosts\``,
      );
  });
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
