import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import ssh2 from 'ssh2';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Device, SecretRef } from '../../src/core/device.ts';
import type { BackupError } from '../../src/core/errors.ts';
import { blobType, fingerprint, type HostKeys, type PinnedKey } from '../../src/transport/host-keys.ts';
import type { ConnectRequest } from '../../src/transport/ssh.ts';
import { plainDevice } from './device.ts';

export const username = 'backup';
/** Planted, so that a test can look for it in everything that comes out. */
export const password = 'c4n4ry-p4ssw0rd';

export interface HostKey {
  readonly private: string;
  readonly blob: Buffer;
  readonly fingerprint: string;
}

/** A new host key; RSA keys take a moment. */
export function hostKey(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): HostKey {
  const pair =
    type === 'ed25519'
      ? ssh2.utils.generateKeyPairSync('ed25519')
      : ssh2.utils.generateKeyPairSync(type, { bits: type === 'rsa' ? 2048 : 256 });
  const parsed = ssh2.utils.parseKey(pair.public);
  // About one in 128 of ssh2's ed25519 keys cannot be read back by ssh2 itself.
  if (parsed instanceof Error) return hostKey(type);
  const blob = parsed.getPublicSSH();
  return { private: pair.private, blob, fingerprint: fingerprint(blob) };
}

export interface SshServer {
  readonly port: number;
  readonly hostKeys: readonly HostKey[];
  /** The method of every authentication request, in order: `password` twice is two attempts. */
  readonly requests: string[];
  /** How many connections were made. */
  connections: number;
  /** How many of them are still open. */
  open: number;
  /** Cuts every connection without a word. */
  cut(): void;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly hostKeys?: readonly HostKey[];
  readonly ident?: string;
  readonly banner?: string;
  readonly greeting?: string;
  readonly algorithms?: ssh2.Algorithms;
  /** Default: accepts `password` by the method `password`. */
  readonly authenticate?: (context: ssh2.AuthContext, client: ssh2.Connection) => void;
  readonly session?: (session: ssh2.Session, client: ssh2.Connection) => void;
  readonly onConnection?: (client: ssh2.Connection) => void;
  /** A loopback address; default 127.0.0.1. */
  readonly host?: string;
}

/** An SSH server made with ssh2, on a loopback port. */
export async function startServer(options: ServerOptions = {}): Promise<SshServer> {
  const hostKeys = options.hostKeys ?? [hostKey()];
  const sockets = new Set<Socket>();
  const server = new ssh2.Server(
    {
      hostKeys: hostKeys.map((key) => key.private),
      ...(options.ident === undefined ? {} : { ident: options.ident }),
      ...(options.banner === undefined ? {} : { banner: options.banner }),
      ...(options.greeting === undefined ? {} : { greeting: options.greeting }),
      ...(options.algorithms === undefined ? {} : { algorithms: options.algorithms }),
    },
    (client) => {
      result.connections += 1;
      client.on('error', () => {});
      client.on('authentication', (context) => {
        result.requests.push(context.method);
        (options.authenticate ?? acceptPassword)(context, client);
      });
      const { session } = options;
      if (session !== undefined) client.on('session', (accept) => session(accept(), client));
      options.onConnection?.(client);
    },
  );
  // ssh2's server hides the socket; a test that cuts needs it.
  (server as unknown as { _srv: NodeJS.EventEmitter })._srv.on('connection', (socket: Socket) => {
    sockets.add(socket);
    result.open += 1;
    socket.on('close', () => {
      sockets.delete(socket);
      result.open -= 1;
    });
  });
  const result: SshServer = {
    port: 0,
    hostKeys,
    requests: [],
    connections: 0,
    open: 0,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, options.host ?? '127.0.0.1', () => resolve()));
  return Object.assign(result, { port: (server.address() as { port: number }).port });
}

/** The plainest device: one password, by one method. */
function acceptPassword(context: ssh2.AuthContext): void {
  if (context.method === 'password' && context.username === username && context.password === password) {
    context.accept();
  } else context.reject(['password']);
}

/** A TCP server that does what it is told; for everything that is not SSH. */
export async function startTcp(
  serve: (socket: Socket) => void,
): Promise<{ port: number; open: () => number; stop: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', () => {});
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    open: () => sockets.size,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A clock that stands still until `advance`. */
export function stoppedClock(): Clock & { advance(ms: number): void; readonly timers: () => number } {
  let now = 1_000_000;
  const timers = new Map<object, { at: number; then: () => void }>();
  return {
    nowMs: () => now,
    monotonicMs: () => now,
    after(delayMs, then) {
      const timer = {
        cancel() {
          timers.delete(timer);
        },
      };
      timers.set(timer, { at: now + delayMs, then });
      return timer;
    },
    advance(ms) {
      now += ms;
      for (const [key, { at, then }] of [...timers]) {
        if (at <= now && timers.delete(key)) then();
      }
    },
    timers: () => timers.size,
  };
}

/** Pinned keys in memory. */
export function memoryHostKeys(pinned: readonly PinnedKey[] = []): HostKeys & { readonly all: PinnedKey[] } {
  const all = [...pinned];
  return {
    all,
    of: (host, port) => all.filter((key) => key.host === host && key.port === port),
    async pin(keys) {
      all.push(...keys);
    },
    async replace(host, port, keys) {
      all.splice(0, all.length, ...all.filter((key) => key.host !== host || key.port !== port), ...keys);
    },
  };
}

/** A pin for a key of a server on the loopback address. */
export function pinOf(port: number, key: { readonly blob: Buffer }): PinnedKey {
  return { host: '127.0.0.1', port, type: blobType(key.blob), blob: key.blob };
}

export function testDevice(port: number, change: Parameters<typeof plainDevice>[0] = {}): Device {
  const credentials = { username, password: { literal: password }, ...change.credentials };
  return plainDevice({ port, firstUse: true, ...change, credentials });
}

/** A request for `device`; literals are their own values. */
export function requestFor(device: Device, change: Partial<ConnectRequest> = {}): ConnectRequest {
  return {
    device,
    readSecret: async (ref: SecretRef) => ('literal' in ref ? ref.literal : ''),
    hostKeys: memoryHostKeys(),
    clock: systemClock,
    signal: new AbortController().signal,
    ...change,
  };
}

/** The failure of `attempt`; throws where it succeeds. */
export async function failure(attempt: Promise<unknown>): Promise<BackupError> {
  const value = await attempt.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  if (value instanceof Error && value.name === 'BackupError') return value as BackupError;
  throw value;
}
