import { BackupError } from '../core/errors.ts';
import { connectionLost, quoteReply, tooLarge } from './conversation.ts';
import { type FileRequest, incomplete, refusedFile } from './file-request.ts';
import { Octets } from './octets.ts';
import { leaveMs } from './patience.ts';

/** Longer than any line of the protocol that names a file. */
const headBytes = 4096;
/** What the receiving side answers to everything that it takes: go on. */
const goOn = '\0';

/**
 * Fetches one file as `scp` did before it spoke SFTP: the device runs `scp -f PATH`, and we are the side that
 * receives. OpenSSH describes it nowhere but in scp.c: `C0644 SIZE NAME`, so many octets, and a 0 once all of them
 * were read without an error; each of the three answered by a 0. Instead of any of them may come 1 or 2 and a line
 * of words. `T` (times) may stand before, `D` begins a folder, which nobody asked for.
 */
export async function fetchByScp(request: FileRequest): Promise<number> {
  const { path, name, limitBytes, take, mask } = request;
  const command = `scp -f ${path}`;
  const channel = await request.connection.exec(command);
  try {
    let receivedBytes = 0;
    const { idleMs } = request;
    const late = () => new BackupError('collect.stalled', { command, idleMs, receivedBytes });
    const octets = new Octets(channel, request, late);
    const lost = () => connectionLost(command, receivedBytes, octets.end?.error ?? null);

    channel.write(goOn);
    const sizeBytes = await announced(octets, channel.write.bind(channel), (words) => {
      if (octets.end?.connectionLost || octets.end?.error) return lost();
      return refusedFile(command, quoteReply(words, mask));
    });
    if (sizeBytes > limitBytes) throw tooLarge(limitBytes);

    channel.write(goOn);
    while (receivedBytes < sizeBytes) {
      const piece = await octets.next();
      if (piece === null) throw lost();
      const wanted = piece.subarray(0, sizeBytes - receivedBytes);
      octets.putBack(piece.subarray(wanted.length));
      receivedBytes += wanted.length;
      await take(wanted);
    }

    const last = await octets.next();
    if (last === null) throw lost();
    if (last[0] === 1 || last[0] === 2) {
      octets.putBack(last.subarray(1));
      throw incomplete(name, quoteReply(await octets.words(), mask) || 'it ended in an error without words');
    }
    // Octets of the file, not words of the device: nobody has looked for secrets in them.
    if (last[0] !== 0) throw incomplete(name, 'more came than was announced');
    octets.putBack(last.subarray(1));
    channel.write(goOn);
    if (await octets.more(leaveMs)) throw incomplete(name, 'more came than one file');
    const exitStatus = octets.end?.exitStatus ?? 0;
    if (exitStatus !== 0) throw incomplete(name, `scp ended with status ${exitStatus}`);
    return receivedBytes;
  } finally {
    channel.close();
  }
}

/**
 * What a line of the protocol may begin like. A shell that greets, asks or does not know the command begins otherwise,
 * and may go no further than that.
 */
const beginning =
  /^(?:C(?:[0-7]{0,5}|[0-7]{1,5} \d{0,15}|[0-7]{1,5} \d{1,15} [^/]*)|T[\d ]*|D(?:[0-7]{0,5}|[0-7]{1,5} .*)|[\x01\x02].*)$/s;

/** The size of the file that is announced. Throws what `refused` makes of the far side's words. */
async function announced(
  octets: Octets,
  write: (latin1: string) => void,
  refused: (words: string) => BackupError,
): Promise<number> {
  for (;;) {
    const line = await octets.line((start) => start.length <= headBytes && beginning.test(start));
    if (line === null) throw refused(await octets.words());
    const size = /^C[0-7]{3,5} (\d{1,15}) [^/]+$/.exec(line)?.[1];
    if (size !== undefined) return Number(size);
    if (!/^T\d+ \d+ \d+ \d+$/.test(line))
      throw refused(line.startsWith('D') ? 'it is a folder' : line.replace(/^[\x01\x02]/, ''));
    write(goOn);
  }
}
