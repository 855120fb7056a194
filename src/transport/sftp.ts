import { BackupError } from '../core/errors.ts';
import { connectionLost, tooLarge } from './conversation.ts';
import { type FileRequest, incomplete } from './file-request.ts';
import { within } from './octets.ts';
import type { RemoteFile } from './ssh-sftp.ts';

/** What every server gives in one answer (draft-ietf-secsh-filexfer-02 section 3). */
const pieceBytes = 32 * 1024;
/** Asked for ahead: over a slow line each question would wait for the answer before it. */
const ahead = 16;

/** Fetches one file over SFTP: as many octets as it had when it was opened, and not one more. */
export async function fetchBySftp(request: FileRequest): Promise<number> {
  const { path, name, limitBytes, take, idleMs } = request;
  const command = `sftp ${path}`;
  let receivedBytes = 0;
  const patiently = <T>(promise: Promise<T>): Promise<T> =>
    within(promise, request, () => new BackupError('collect.stalled', { command, idleMs, receivedBytes }));

  const file: RemoteFile = await patiently(request.connection.sftp(path));
  try {
    const { sizeBytes } = file;
    // A server need not tell it (draft-ietf-secsh-filexfer-02 section 5): then nothing proves that all of it came.
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw incomplete(name, 'the device does not tell how large the file is');
    if (sizeBytes > limitBytes) throw tooLarge(limitBytes);
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const parts: Buffer[] = [];
      let got = 0;
      while (got < length) {
        const part = await file.read(offset + got, length - got);
        if (part.length === 0) break;
        parts.push(part);
        got += part.length;
      }
      return Buffer.concat(parts);
    };
    const asked: Promise<Buffer>[] = [];
    let askedBytes = 0;
    while (receivedBytes < sizeBytes) {
      while (asked.length < ahead && askedBytes < sizeBytes) {
        const length = Math.min(pieceBytes, sizeBytes - askedBytes);
        const piece = read(askedBytes, length);
        // Where one fails the others are no longer awaited.
        piece.catch(() => {});
        asked.push(piece);
        askedBytes += length;
      }
      const wanted = Math.min(pieceBytes, sizeBytes - receivedBytes);
      const piece = await patiently(asked.shift() as Promise<Buffer>).catch((thrown: unknown) => {
        throw thrown instanceof BackupError ? thrown : connectionLost(command, receivedBytes, null);
      });
      receivedBytes += piece.length;
      await take(piece);
      if (piece.length < wanted) throw incomplete(name, `${receivedBytes} of ${sizeBytes} octets came`);
    }
    if ((await patiently(read(sizeBytes, 1))).length > 0) throw incomplete(name, 'the file grew meanwhile');
    return receivedBytes;
  } finally {
    file.close();
  }
}
