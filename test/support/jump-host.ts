import { createConnection, type Socket } from 'node:net';
import type ssh2 from 'ssh2';
import type { JumpHost } from '../../src/core/device.ts';
import { type ServerOptions, type SshServer, startServer, testDevice } from './ssh-server.ts';

type TcpRequest = ssh2.TcpipRequestInfo;

/** An SSH server that passes connections on, as OpenSSH does. */
export interface JumpServer extends SshServer {
  /** `host:port` of every connection that was asked for, in order. */
  readonly asked: string[];
  /** Connections that it passes on now. */
  passing: number;
  /** The most bytes of a far side that waited here because we did not take them. */
  mostWaitingBytes: number;
}

/** OpenSSH's answers: `prohibited` and `no-shell` are reasons 1 and 3; a text is reason 2 with these words. */
export type Refusal = 'prohibited' | 'unknown' | 'resources' | { readonly connectFailed: string };

export async function startJumpHost(
  options: ServerOptions & {
    /** Null: it is passed on. `silence`: neither accepted nor refused. */
    readonly refuse?: (request: TcpRequest) => Refusal | 'silence' | null;
    readonly onPassed?: (far: Socket, client: ssh2.Connection) => void;
  } = {},
): Promise<JumpServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = await startServer({
    ...options,
    onConnection(client) {
      options.onConnection?.(client);
      client.on('tcpip', (accept, reject, info) => {
        asked.push(`${info.destIP}:${info.destPort}`);
        const refusal = options.refuse?.(info) ?? null;
        if (refusal === 'silence') return;
        if (refusal !== null) return refuse(client, reject, refusal);
        const far = createConnection({ host: info.destIP, port: info.destPort, noDelay: true });
        sockets.add(far);
        let opened = false;
        far.once('error', (error: NodeJS.ErrnoException) => {
          const words = error.code === 'ECONNREFUSED' ? 'Connection refused' : 'No route to host';
          if (!opened) refuse(client, reject, { connectFailed: words });
        });
        far.once('connect', () => {
          opened = true;
          const channel = accept();
          jump.passing += 1;
          far.on('data', (piece: Buffer) => {
            if (!channel.write(piece)) far.pause();
            jump.mostWaitingBytes = Math.max(jump.mostWaitingBytes, channel.writableLength);
          });
          channel.on('drain', () => far.resume());
          channel.on('data', (piece: Buffer) => far.write(piece));
          channel.on('end', () => far.end());
          channel.on('error', () => {});
          channel.on('close', () => far.destroy());
          far.on('end', () => channel.end());
          far.on('error', () => {});
          far.on('close', () => {
            sockets.delete(far);
            jump.passing -= 1;
            channel.close();
          });
          options.onPassed?.(far, client);
        });
      });
    },
  });
  const jump: JumpServer = Object.assign(server, {
    ...{ asked, passing: 0, mostWaitingBytes: 0 },
    stop: ((stop) => async () => {
      for (const socket of sockets) socket.destroy();
      await stop();
    })(server.stop),
  });
  return jump;
}

/** ssh2's own `reject` names one reason alone. */
function refuse(client: ssh2.Connection, reject: () => void, refusal: Refusal): void {
  const protocol = (client as unknown as { _protocol: Record<string, (...args: unknown[]) => void> })
    ._protocol;
  const plain = protocol.channelOpenFail as (...args: unknown[]) => void;
  const codes = { prohibited: 1, unknown: 3, resources: 4 } as const;
  const [reason, words] =
    typeof refusal === 'string' ? [codes[refusal], 'open failed'] : [2, refusal.connectFailed];
  protocol.channelOpenFail = (recipient) => plain.call(protocol, recipient, reason, words);
  reject();
  protocol.channelOpenFail = plain;
}

type Change = Partial<Omit<JumpHost, 'credentials'>> & { credentials?: Partial<JumpHost['credentials']> };

/** A jump host as the inventory says; the first key is taken unless `change` says otherwise. */
export function jumpHost(name: string, port: number, change: Change = {}): JumpHost {
  const { credentials, ...rest } = change;
  const plain = testDevice(port).credentials;
  return {
    ...{ name, host: '127.0.0.1', port, hostKeys: [], firstUse: true },
    ssh: { profile: 'modern', allow: [] },
    ...rest,
    credentials: { ...plain, name: `${name}-login`, ...credentials },
  };
}
