import { isIP, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { Device } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';

/** Where a device is and how it is reached: the part of `Device` that needs no login. */
export type Target = Pick<Device, 'host' | 'port' | 'ssh' | 'sourceAddress' | 'timeouts'>;

/** What SSH is spoken over: a TCP connection, or one that a jump host passes on. Paused when it is new. */
export type Carrier = Duplex & {
  /** Closes it once what was written has gone out. */
  destroySoon(): void;
};

/**
 * A TCP connection, paused. Addresses of both families are tried, in the order of the resolver; with a
 * source address only those of its family.
 *
 * Throws BackupError `connect.unresolved`, `connect.refused`, `connect.unreachable` (also for a source
 * address that this machine does not have), `connect.timeout` (name lookup included),
 * `connect.lost-before-login` (accepted and reset at once) and, when `signal` is aborted, `run.interrupted`. Nothing is left open then.
 */
export function openSocket(target: Target, clock: Clock, signal: AbortSignal): Promise<Socket> {
  const { host, port, sourceAddress } = target;
  const { connectMs } = target.timeouts;
  const startedMs = clock.monotonicMs();
  return new Promise((resolve, reject) => {
    const socket = new Socket();
    const fail = (error: BackupError) => {
      settle();
      socket.destroy();
      reject(error);
    };
    const interrupted = () => fail(new BackupError('run.interrupted', { by: 'signal' }));
    const onError = (error: NodeJS.ErrnoException) =>
      fail(connectError(error, target, clock.monotonicMs() - startedMs));
    const onConnect = () => {
      settle();
      socket.pause();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      resolve(socket);
    };
    const timer = clock.after(connectMs, () =>
      fail(new BackupError('connect.timeout', { host, port, afterMs: connectMs })),
    );
    const settle = () => {
      timer.cancel();
      signal.removeEventListener('abort', interrupted);
      socket.off('error', onError);
      socket.off('connect', onConnect);
      // An error that comes while nobody listens would end the process; whoever takes the socket adds a listener.
      socket.on('error', () => {});
    };

    if (signal.aborted) return interrupted();
    signal.addEventListener('abort', interrupted, { once: true });
    socket.once('error', onError).once('connect', onConnect);
    const family = sourceAddress === null ? 0 : isIP(sourceAddress);
    socket.connect({
      host,
      port,
      ...(sourceAddress === null ? {} : { localAddress: sourceAddress }),
      ...(family === 0 ? {} : { family }),
      // Node gives an address 250 ms before it tries the next one: too little for a satellite link.
      autoSelectFamilyAttemptTimeout: Math.max(10, Math.min(3_000, Math.floor(connectMs / 3))),
    });
  });
}

function connectError(
  error: NodeJS.ErrnoException,
  { host, port, timeouts }: Target,
  afterMs: number,
): BackupError {
  const cause = { cause: error };
  switch (error.code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_FAIL':
    case 'ENODATA':
      return new BackupError('connect.unresolved', { host }, cause);
    case 'ECONNREFUSED':
      return new BackupError('connect.refused', { host, port }, cause);
    // Accepted and reset in one go.
    case 'ECONNRESET':
    case 'ECONNABORTED':
    case 'EPIPE':
      return new BackupError('connect.lost-before-login', { afterMs }, cause);
    case 'ETIMEDOUT':
    case 'ERR_SOCKET_CONNECTION_TIMEOUT':
      return new BackupError('connect.timeout', { host, port, afterMs: timeouts.connectMs }, cause);
    default:
      return new BackupError('connect.unreachable', { host, port, errno: error.code ?? error.name }, cause);
  }
}
