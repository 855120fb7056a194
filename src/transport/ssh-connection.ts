import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type ssh2 from 'ssh2';
import type { Clock } from '../core/clock.ts';
import type { Device } from '../core/device.ts';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { Channel } from './channel.ts';
import { type Ssh2Channel, wrapChannel } from './ssh-channel.ts';
import { called, openRemoteFile, type RemoteFile } from './ssh-sftp.ts';
import type { Carrier } from './tcp.ts';

/** How long a device may take to take note of our goodbye. */
const goodbyeMs = 1_000;

/**
 * The terminal that is asked for: what netmiko asks these platforms for (base_connection.py,
 * `invoke_shell(term="vt100", width=511, height=1000)`). Wide, because an ASA redraws and a BIG-IP wraps
 * lines that do not fit; tall, because some pagers stop only at the end of a page. Not taller: nobody
 * knows what a box that keeps the height in a byte or in 15 bits makes of more.
 */
const terminal = { term: 'vt100', cols: 511, rows: 1000, width: 0, height: 0 };

/** An SSH connection that is logged in. Whoever got it calls `end`, whatever happened. */
export interface Connection {
  /** When the TCP connection stood, in monotonic milliseconds: `timeouts.loginMs` counts from here. */
  readonly connectedAtMs: number;
  /** What the server calls itself, without `SSH-2.0-`; not made harmless. */
  readonly ident: string;
  /**
   * A terminal with the login shell. Throws BackupError `collect.command-refused` (the device has no
   * terminal to give), `connect.lost-before-login` (connection lost, or no answer within the login
   * deadline) or `run.interrupted`.
   */
  shell(): Promise<Channel>;
  /**
   * One command on a channel of its own, without a terminal. Throws BackupError `collect.command-refused`
   * (no exec here), `collect.stalled` (no answer within `timeouts.idleMs`; some ASAs never answer),
   * `collect.connection-lost` or `run.interrupted`.
   */
  exec(command: string): Promise<Channel>;
  /**
   * Opens a file over SFTP, on a channel of its own. Throws BackupError `collect.command-refused` (no SFTP here, no
   * such file, no right to read it), `collect.connection-lost` or `run.interrupted`. Has no deadline of its own.
   */
  sftp(path: string): Promise<RemoteFile>;
  /** Says goodbye and closes. Resolves once the socket is closed; never rejects; may be called again. */
  end(): Promise<void>;
}

type Opened = (error: Error | undefined, stream: Ssh2Channel) => void;

/** What is used of ssh2's client once it is logged in. */
export type Ssh2Client = EventEmitter & {
  shell(window: typeof terminal, opened: Opened): unknown;
  exec(command: string, opened: Opened): unknown;
  sftp(opened: (error: Error | undefined, sftp: ssh2.SFTPWrapper) => void): unknown;
  forwardOut(fromHost: string, fromPort: number, host: string, port: number, opened: Opened): unknown;
  end(): unknown;
};

/** `level` and a numeric `code` (the reason of a disconnect) are ssh2's. */
export type Ssh2Error = Error & { level?: string; code?: string | number };

/** A connection whose handshake is through. */
export interface Dialled {
  readonly client: Ssh2Client;
  readonly socket: Carrier;
  /** What ssh2 reads and writes: the socket, without what came before the identification. */
  readonly wire: Duplex;
  /** Without `SSH-2.0-`. */
  readonly ident: string;
  readonly connectedAtMs: number;
  /** The host key algorithms that the server has. */
  readonly hostKeyAlgorithms: readonly string[];
}

/** Says goodbye and closes; resolves once the socket is closed, which a device may delay by a second at the most. */
export function goodbye({ client, socket, wire }: Dialled, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    const timer = clock.after(goodbyeMs, () => socket.destroy());
    socket.once('close', () => {
      timer.cancel();
      resolve();
    });
    client.end();
    wire.end();
    // Nobody reads any more; what is still on its way must not hold up the end.
    wire.resume();
  });
}

/** The `Connection` over a client that is logged in. Aborting `signal` ends it and all of its channels. */
export function connection(dialled: Dialled, device: Device, clock: Clock, signal: AbortSignal): Connection {
  const { client, socket, wire, ident, connectedAtMs } = dialled;
  const state: { lost: boolean; error: BackupError | null } = { lost: false, error: null };
  let ended: Promise<void> | null = null;

  const interrupted = () => {
    state.error = new BackupError('run.interrupted', { by: 'signal' });
    state.lost = true;
    wire.destroy();
    socket.destroy();
  };
  const lost = () => {
    state.lost = true;
    signal.removeEventListener('abort', interrupted);
  };
  client.on('end', lost).on('close', lost);
  client.on('error', (error: Ssh2Error) => {
    // A broken protocol, such as a wrong MAC: nothing that comes after it can be believed.
    if (error.level === 'protocol' || error.level === 'handshake') {
      state.error ??= new BackupError('connect.protocol', { received: clip(harmless(error.message), 200) });
    }
    lost();
    wire.destroy();
  });
  signal.addEventListener('abort', interrupted, { once: true });
  if (signal.aborted) interrupted();

  const open = (
    ask: (opened: Opened) => void,
    withinMs: number,
    failures: { late: () => BackupError; lost: () => BackupError; refused: (reply: string) => BackupError },
  ): Promise<Channel> =>
    new Promise((resolve, reject) => {
      let late = false;
      const timer = clock.after(Math.max(0, withinMs), () => {
        late = true;
        reject(failures.late());
      });
      const opened = (error: Error | undefined, stream?: Ssh2Channel) => {
        timer.cancel();
        if (late) stream?.close();
        else if (state.lost || socket.destroyed) reject(state.error ?? failures.lost());
        else if (error !== undefined || stream === undefined) {
          reject(failures.refused(clip(harmless(error?.message ?? 'no channel'), 200)));
        } else resolve(wrapChannel(stream, () => state));
      };
      try {
        ask(opened);
      } catch {
        // ssh2 throws where the connection is gone already.
        state.lost = true;
        opened(undefined);
      }
    });

  return {
    connectedAtMs,
    ident,
    shell() {
      const gone = () =>
        new BackupError('connect.lost-before-login', {
          afterMs: clock.monotonicMs() - connectedAtMs,
          credentialSent: true,
        });
      return open(
        (opened) => client.shell(terminal, opened),
        connectedAtMs + device.timeouts.loginMs - clock.monotonicMs(),
        {
          late: gone,
          lost: gone,
          refused: (reply) => new BackupError('collect.command-refused', { command: 'a terminal', reply }),
        },
      );
    },
    exec(command) {
      const { idleMs } = device.timeouts;
      return open((opened) => client.exec(command, opened), idleMs, {
        late: () => new BackupError('collect.stalled', { command, idleMs, receivedBytes: 0 }),
        lost: () => new BackupError('collect.connection-lost', { command, receivedBytes: 0 }),
        refused: (reply) => new BackupError('collect.command-refused', { command, reply }),
      });
    },
    async sftp(path) {
      try {
        return await openRemoteFile(await called((done) => client.sftp(done)), path);
      } catch (thrown) {
        const command = `sftp ${path}`;
        if (state.lost || socket.destroyed)
          throw state.error ?? new BackupError('collect.connection-lost', { command, receivedBytes: 0 });
        const reply = clip(harmless(thrown instanceof Error ? thrown.message : 'no channel'), 200);
        throw new BackupError('collect.command-refused', { command, reply });
      }
    },
    end() {
      signal.removeEventListener('abort', interrupted);
      ended ??= goodbye(dialled, clock);
      return ended;
    },
  };
}
