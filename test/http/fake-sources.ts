import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Services } from '../../src/cli/services.ts';
import type { Access } from '../../src/http/access.ts';
import { type HttpOptions, type HttpServer, openHttp } from '../../src/http/server.ts';
import type { Api, HttpSources } from '../../src/http/sources.ts';

/** Services that fail at every call, except those that a test gives. */
export function servicesWith(given: Partial<Services>): Services {
  return new Proxy(given as Services, {
    get(target, name) {
      return Reflect.get(target, name) ?? (() => Promise.reject(new Error(`not expected: ${String(name)}`)));
    },
  });
}

/** Nobody is known, and nothing beside loopback names is served. */
export const nobody: Access = { hosts: [], tokens: [], users: new Map(), headers: {} };

/** Answers every call with its own name and arguments. */
function apiThatTells(told: string[]): Api {
  const call =
    (name: string) =>
    (...args: unknown[]) => {
      told.push(`${name} ${JSON.stringify(args)}`);
      return Promise.resolve(JSON.stringify({ called: name, args }));
    };
  return {
    status: call('status'),
    runs: call('runs'),
    versions: call('versions'),
    text: call('text'),
    diff: call('diff'),
    backup: call('backup'),
    accept: call('accept'),
    release: call('release'),
  };
}

export interface Opened extends AsyncDisposable {
  readonly socket: string;
  readonly server: HttpServer;
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** What was told to the log. */
  readonly unexpected: unknown[];
  /** Pauses, resumes and reloads, in order. */
  readonly told: string[];
}

/** Both listeners, in a directory of their own. */
export async function open(
  sources: Partial<HttpSources> = {},
  options: Partial<HttpOptions> = {},
): Promise<Opened> {
  const dir = await mkdtemp(join(tmpdir(), 'http-'));
  const unexpected: unknown[] = [];
  const told: string[] = [];
  const socket = join(dir, 'control.sock');
  const server = await openHttp({
    listen: { host: '127.0.0.1', port: 0 },
    tls: null,
    access: nobody,
    // Tests ask faster than any client should.
    rate: { burst: 1_000_000, perSecond: 1_000_000 },
    socket,
    sources: {
      metrics: {
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
        render: () => Promise.resolve('up 1\n'),
      },
      readiness: () => ({ ready: true, reasons: [] }),
      reload: (confirmed, by) => {
        told.push(`reload ${confirmed} by ${by}`);
        return Promise.resolve({ devices: 3 });
      },
      pause: (by) => Promise.resolve(void told.push(`pause by ${by}`)),
      resume: (by) => Promise.resolve(void told.push(`resume by ${by}`)),
      services: servicesWith({}),
      api: apiThatTells(told),
      refused: (need, address) => told.push(`refused ${need} ${address}`),
      unexpected: (error) => unexpected.push(error),
      ...sources,
    },
    ...options,
  });
  return {
    socket,
    server,
    port: server.tcp?.port ?? 0,
    unexpected,
    told,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export function ask(
  where: Pick<RequestOptions, 'socketPath' | 'host' | 'port'>,
  path: string,
  more: RequestOptions & { readonly body?: string } = {},
): Promise<Answered> {
  const { body, headers, ...options } = more;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...where,
        path,
        agent: false,
        ...options,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Sends bytes as they are and resolves to everything that came until the far side closed. */
export function raw(where: { port: number } | { path: string }, text: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect('path' in where ? where : { ...where, host: '127.0.0.1' }, () =>
      socket.write(text),
    );
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => {
      received += piece;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(received));
  });
}
