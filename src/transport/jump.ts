import { describe } from '../core/catalogue.ts';
import type { Clock } from '../core/clock.ts';
import type { Device, JumpHost } from '../core/device.ts';
import { clip, harmless } from '../core/display.ts';
import { BackupError, failureOf } from '../core/errors.ts';
import { type Dialled, goodbye } from './ssh-connection.ts';
import type { Server } from './ssh-login.ts';
import { type Carrier, openSocket, type Target } from './tcp.ts';
import { Tunnel } from './tunnel.ts';

/** A jump host as a server to log in to. The device behind it says how long everything may take. */
export function asServer(jump: JumpHost, { sourceAddress, timeouts }: Target): Server {
  return { ...jump, sourceAddress, timeouts };
}

/** The way to a device: jump hosts that we are logged in to, each through the one before. */
export class Passage {
  readonly #passed: { readonly jump: JumpHost; readonly dialled: Dialled; lost: boolean }[] = [];
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #interrupted = () => {
    // All of them are connections inside of the first one.
    this.#passed[0]?.dialled.socket.destroy();
  };

  /** Straight to the network. Aborting `signal` ends everything that is added. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    signal.addEventListener('abort', this.#interrupted, { once: true });
  }

  /** A jump host that was reached by `carrier` and has accepted our login. */
  add(jump: JumpHost, dialled: Dialled): void {
    const passed = { jump, dialled, lost: false };
    this.#passed.push(passed);
    const { client, wire, socket } = dialled;
    const lost = () => {
      passed.lost = true;
    };
    client.on('end', lost).on('close', lost);
    client.on('error', () => {
      lost();
      wire.destroy();
      socket.destroy();
    });
    if (this.#signal.aborted) this.#interrupted();
  }

  /**
   * A connection from the end of the way to `target`. Throws BackupError: what `openSocket` throws where there
   * is no jump host, or (with `via`) where the last one could not connect; `connect.jump` where it does not pass
   * connections on, or is gone.
   */
  carrier(target: Target): Promise<Carrier> {
    const last = this.#passed.at(-1);
    return last === undefined
      ? openSocket(target, this.#clock, this.#signal)
      : this.#forward(last.jump, last.dialled, target);
  }

  /** What `thrown` means where the connection to a jump host broke: the device is not to blame. */
  blame(thrown: unknown): unknown {
    const { code, detail } = failureOf(thrown);
    const gone = this.#passed.find(({ lost }) => lost);
    if (code !== 'connect.lost-before-login' || gone === undefined || this.#signal.aborted) return thrown;
    return jumpError(gone.jump, new BackupError(code, detail));
  }

  /** Says goodbye to each, innermost first. Resolves once all sockets are closed; never rejects. */
  async end(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#interrupted);
    for (const { dialled } of this.#passed.toReversed()) await goodbye(dialled, this.#clock);
  }

  /** Closes everything at once. */
  drop(): void {
    this.#signal.removeEventListener('abort', this.#interrupted);
    for (const { dialled } of this.#passed.toReversed()) {
      dialled.client.end();
      dialled.wire.destroy();
    }
  }

  #forward(jump: JumpHost, { client, socket }: Dialled, target: Target): Promise<Carrier> {
    const { host, port } = target;
    const { connectMs } = target.timeouts;
    const via = jump.name;
    const startedMs = this.#clock.monotonicMs();
    return new Promise((resolve, reject) => {
      let settled = false;
      const fail = (error: BackupError) => {
        if (settled) return;
        settled = true;
        timer.cancel();
        this.#signal.removeEventListener('abort', interrupted);
        reject(error);
      };
      const interrupted = () => fail(new BackupError('run.interrupted', { by: 'signal' }));
      const afterMs = () => this.#clock.monotonicMs() - startedMs;
      const timer = this.#clock.after(connectMs, () =>
        fail(new BackupError('connect.timeout', { host, port, afterMs: connectMs, via })),
      );
      this.#signal.addEventListener('abort', interrupted, { once: true });
      if (this.#signal.aborted) return interrupted();
      const lost = () =>
        fail(jumpError(jump, new BackupError('connect.lost-before-login', { afterMs: afterMs() })));
      try {
        client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
          if (settled) channel?.destroy();
          else if (socket.destroyed) lost();
          else if (error !== undefined) fail(notForwarded(error, jump, target, afterMs()));
          else {
            settled = true;
            timer.cancel();
            this.#signal.removeEventListener('abort', interrupted);
            const tunnel = new Tunnel(channel);
            // An error that comes while nobody listens would end the process; whoever takes it adds a listener.
            tunnel.on('error', () => {});
            resolve(tunnel);
          }
        });
      } catch {
        // ssh2 throws where the connection is gone already.
        lost();
      }
    });
  }
}

/**
 * A failure at a jump host as `connect.jump`; what is no failure of its own (an interruption, a secret that
 * cannot be read, a disk that is full, another jump host) stays what it is.
 */
export function jumpError(jump: JumpHost, thrown: unknown): BackupError {
  const failure = failureOf(thrown);
  const { code } = failure;
  if (!(thrown instanceof BackupError)) throw thrown;
  if (code === 'connect.jump' || !/^(?:connect|login)\./.test(code)) return thrown;
  const { message, todo } = describe(failure);
  const sent = 'credentialSent' in failure.detail ? ({ credentialSent: true } as const) : {};
  return asJumpError(jump, code, message, todo, sent);
}

function asJumpError(
  { name, host, port }: JumpHost,
  code: string,
  says: string,
  todo: string,
  sent: { readonly credentialSent?: true },
): BackupError {
  const about = (text: string) => text.replaceAll('the device', 'the jump host');
  const detail = { hop: name, host, port, code, says: about(says), todo: about(todo), ...sent };
  return new BackupError('connect.jump', detail);
}

/** RFC 4254 section 5.1. */
const reasons: Readonly<Record<number, string>> = {
  1: 'administratively prohibited',
  3: 'it does not know how to',
  4: 'it has no resources left',
};
const connectFailed = 2;

/**
 * A refused channel. Where the jump host tried and could not connect, that is told of the target, by the words
 * of OpenSSH (`strerror` and `gai_strerror`); everything else is told of the jump host.
 */
function notForwarded(
  error: Error & { reason?: number },
  jump: JumpHost,
  { host, port }: Pick<Device, 'host' | 'port'>,
  afterMs: number,
): BackupError {
  const text = clip(harmless(error.message.replace(/^\(SSH\) Channel open failure: ?/, '').trim()), 200);
  const via = jump.name;
  if (error.reason !== connectFailed) {
    const reason = reasons[error.reason ?? 0] ?? text;
    return asJumpError(
      jump,
      'not-forwarded',
      `it passes no connection on to ${host} port ${port} (${reason})`,
      'permit it on the jump host: `AllowTcpForwarding` and `PermitOpen` where its server is OpenSSH',
      {},
    );
  }
  if (/refused/i.test(text)) return new BackupError('connect.refused', { host, port, via });
  if (/timed? ?out/i.test(text)) return new BackupError('connect.timeout', { host, port, afterMs, via });
  if (/not known|resol|unknown host|no address|nodename/i.test(text))
    return new BackupError('connect.unresolved', { host, via });
  return new BackupError('connect.unreachable', { host, port, errno: text || 'it could not connect', via });
}
