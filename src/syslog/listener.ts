import { OperationError } from '../core/errors.ts';

/** Where a listener listens. `port` 0: any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export type Transport = 'udp' | 'tcp' | 'tls';

/** One message: its beginning, one character per byte, and the address of whoever sent it. */
export type Receive = (text: string, address: string) => void;

/** Disposing it closes it and everything that came by it. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
}

/** The failure of a start: what listens there, or which right is missing. */
export function cannotListen(transport: Transport, { host, port }: Address, cause: Error): OperationError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const because =
    { EADDRINUSE: 'another program does', EACCES: 'ports below 1024 belong to root' }[code] ?? cause.message;
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new OperationError(
    `syslog over ${transport} cannot listen on ${place}: ${because}`,
    code === 'EACCES'
      ? `set \`syslog.${transport}\` to a port above 1023, such as 5514, and tell the devices`
      : `end that program, or set \`syslog.${transport}\` to an address of this machine and a free port`,
    { cause },
  );
}
