import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { OperationError } from '../core/errors.ts';

/** The address of a unix socket has room for this many bytes on Linux; a longer one would be cut silently. */
const longestPathBytes = 107;

/**
 * Listens on a unix socket that only its owner can use. A socket that a dead daemon left behind is
 * removed, once it is certain that nobody answers on it. Throws OperationError.
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > longestPathBytes)
    throw new OperationError(
      `the path of the control socket is ${bytes} bytes long, and ${longestPathBytes} is the most: ${path}`,
      'set `socket` to a shorter path, such as /run/roundsman/control.sock',
    );
  await removeStale(path);
  try {
    await bind(server, path);
    await chmod(path, 0o600);
  } catch (cause) {
    const problem = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new OperationError(
      `the control socket ${path} cannot be made: ${problem}`,
      'let its directory exist and be writable for this user, or set `socket` to another path',
      { cause },
    );
  }
}

/** A socket is born with the rights that the umask leaves: there is no moment in which another user could connect. */
async function bind(server: Server, path: string): Promise<void> {
  const listening = once(server, 'listening');
  // Files that other threads make at this moment lose rights of others only, not the owner's.
  const before = process.umask(0o077);
  try {
    server.listen({ path });
  } finally {
    process.umask(before);
  }
  await listening;
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket())
    throw new OperationError(
      `${path} is in the way of the control socket and is no socket`,
      'remove it, or set `socket` to another path',
    );
  const refusal = await connectionError(path);
  if (refusal === 'ENOENT') return;
  if (refusal !== 'ECONNREFUSED')
    throw new OperationError(
      refusal === null
        ? `another program answers on the control socket ${path}`
        : `the control socket ${path} is there and cannot be used: ${refusal}`,
      'end the daemon that uses it, or set `socket` to another path',
    );
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Null where somebody accepts the connection, else the system's name of the error. */
function connectionError(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
