import { createSocket, type Socket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { mostText } from './limits.ts';
import type { Address, Listener, Receive } from './listener.ts';
import { cannotListen } from './listener.ts';

/** What waits in the kernel while we are busy: seconds of a fleet's messages. */
const receiveBytes = 4 * 1024 * 1024;

/** Listens for datagrams. Throws OperationError where the address cannot be had. */
export async function listenUdp(
  at: Address,
  receive: Receive,
  onError: (error: Error) => void,
): Promise<Listener & { readonly dropped: () => Promise<number | null> }> {
  const socket = createSocket(at.host.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(cannotListen('udp', at, error));
    });
    socket.bind({ address: at.host, port: at.port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve();
    });
  });
  enlarge(socket);
  socket.on('error', onError);
  socket.on('message', (datagram, { address }) => {
    receive(datagram.toString('latin1', 0, Math.min(datagram.length, mostText)), address);
  });
  const { port } = socket.address();
  return {
    port,
    dropped: () => droppedBy(port, at.host.includes(':') ? 'udp6' : 'udp'),
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** The kernel gives what its own limit allows; a smaller buffer only loses more in a flood. */
function enlarge(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBytes);
  } catch {
    // EPERM or ENOBUFS: the usual size stays.
  }
}

/** Datagrams that the kernel threw away because we did not fetch them; null where it does not say. */
async function droppedBy(port: number, family: 'udp' | 'udp6'): Promise<number | null> {
  const table = await readFile(`/proc/net/${family}`, 'latin1').catch(() => null);
  if (table === null) return null;
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = table.split('\n').map((row) => row.trim().split(/\s+/));
  const drops = rows.filter((row) => row[1]?.endsWith(`:${hex}`)).map((row) => Number(row.at(-1)));
  return drops.length === 0 ? null : drops.reduce((sum, each) => sum + each, 0);
}
