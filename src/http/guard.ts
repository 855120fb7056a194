import { TLSSocket } from 'node:tls';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../core/clock.ts';
import {
  type Access,
  type Caller,
  clientOf,
  judge,
  type Need,
  parseAuthorization,
  tokenOf,
} from './access.ts';
import { refuse } from './app.ts';
import { Buckets, type Rate } from './buckets.ts';
import type { Passwords } from './passwords.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller has to be allowed for this route. Every route on TCP says it. */
    need?: Need;
  }
  interface FastifyRequest {
    /** Absent on the control socket. */
    caller?: Caller;
  }
}

export interface GuardOptions {
  /** As it holds now; asked at each request. */
  readonly access: () => Access;
  /** Metrics, health and readiness need nothing, unless there are users. */
  readonly open: boolean;
  readonly passwords: Passwords;
  readonly clock: Clock;
  /** Of each token, each user, and each address of those who are neither. */
  readonly rate: Rate;
  /** Credentials were wrong, or not enough. `address` is where they came from. */
  readonly refused: (need: Need, address: string) => void;
}

/** Wrong passwords of one address: each of them takes a tenth of a second of a core. */
const guesses: Rate = { burst: 10, perSecond: 0.2 };

/** Lets a request come to its route only where its sender may use it, and before a byte of its body is read. */
export function addGuard(app: FastifyInstance, options: GuardOptions): void {
  const { access, open, passwords, clock, refused } = options;
  const requests = new Buckets(options.rate);
  const wrong = new Buckets(guesses);

  app.addHook('onRoute', ({ url, config }) => {
    if (config?.need === undefined) throw new Error(`${url} does not say who may use it`);
  });
  app.decorateRequest('caller');

  app.addHook('onRequest', async (request, reply) => {
    const { users, headers } = access();
    const address = request.socket.remoteAddress ?? '';
    const need = request.routeOptions.config.need ?? 'observe';
    reply.headers(headers);
    const caller = await callerOf(request, reply, address);
    if (reply.sent) return reply;
    const limited = requests.take(caller === null ? clientOf(address) : keyOf(caller, address), now());
    if (limited > 0) return tooMany(reply, limited, 'too many requests');
    const verdict = caller === null ? 'wrong' : judge(caller, need, access(), open);
    if (verdict === 'wrong' || verdict === 'forbidden') refused(need, address);
    if (caller === null || verdict === 'unknown')
      return unknown(reply, need, users.size > 0, caller === null);
    if (verdict === 'forbidden') return forbidden(reply, need);
    request.caller = caller;
  });

  /** Null: the credentials are wrong. An answer may have been sent. */
  async function callerOf(
    request: FastifyRequest,
    reply: FastifyReply,
    address: string,
  ): Promise<Caller | null> {
    const { users, tokens } = access();
    const said = parseAuthorization(request.headers.authorization);
    if (said?.scheme === 'bearer') {
      const token = tokenOf(said.token, tokens);
      return token === null ? null : { kind: 'token', token };
    }
    // Without users it is meant for somebody else, such as a proxy on the way.
    if (said?.scheme === 'basic' && users.size > 0) {
      const user: Caller = { kind: 'user', name: said.user };
      if (passwords.known(users, said.user, said.password)) return user;
      const limited = wrong.take(clientOf(address), now());
      if (limited > 0) {
        await tooMany(reply, limited, 'too many passwords were tried');
        return null;
      }
      const right = await passwords.verify(users, said.user, said.password);
      if (right === null) await tooMany(reply, 1_000, 'too many passwords wait to be compared');
      return right === true ? user : null;
    }
    const { socket } = request;
    return socket instanceof TLSSocket && socket.authorized ? { kind: 'certificate' } : { kind: 'nobody' };
  }

  function now(): number {
    return clock.monotonicMs();
  }
}

function keyOf(caller: Caller, address: string): string {
  if (caller.kind === 'token') return `token ${caller.token.name}`;
  return caller.kind === 'user' ? `user ${caller.name}` : clientOf(address);
}

/** What remains of the request is not waited for. */
function last(reply: FastifyReply): FastifyReply {
  return reply.header('connection', 'close');
}

function tooMany(reply: FastifyReply, waitMs: number, message: string): FastifyReply {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return refuse(last(reply).header('retry-after', seconds), 429, message, `try again in ${seconds} s`);
}

function unknown(reply: FastifyReply, need: Need, users: boolean, wrong: boolean): FastifyReply {
  const bearer = 'Bearer realm="roundsman"';
  const basic = 'Basic realm="roundsman", charset="UTF-8"';
  const ways = need === 'observe' && users ? [basic, bearer] : [bearer];
  const message = wrong ? 'the credentials are wrong' : 'this needs credentials';
  const token = `send \`Authorization: Bearer TOKEN\` with a token of \`http.tokens\``;
  const todo = need === 'observe' ? token : `${token} that has the scope ${need}, or use the control socket`;
  return refuse(last(reply).header('www-authenticate', ways.join(', ')), 401, message, todo);
}

function forbidden(reply: FastifyReply, need: Need): FastifyReply {
  const todo = `use a token of \`http.tokens\` that has the scope ${need}`;
  return refuse(last(reply), 403, 'these credentials are not enough', todo);
}
