import { BackupError } from '../core/errors.ts';
import type { Patience } from './octets.ts';
import type { Connection } from './ssh-connection.ts';

/** One file of a device, to be fetched octet by octet over the connection that stands. */
export interface FileRequest extends Patience {
  readonly connection: Pick<Connection, 'exec' | 'sftp'>;
  readonly path: string;
  /** What it becomes: named where it does not come whole. */
  readonly name: string;
  /** Larger, it is not fetched. */
  readonly limitBytes: number;
  /** The next octets; nothing more is read before it resolves. */
  readonly take: (octets: Buffer) => Promise<void>;
  /** Takes secrets out of the words of the device. */
  readonly mask: (text: string) => string;
}

/** The device gives no file this way. */
export function refusedFile(command: string, words: string): BackupError {
  return new BackupError('collect.command-refused', { command, reply: words || 'no answer' });
}

/** It did not come as it was announced. */
export function incomplete(artefact: string, because: string): BackupError {
  return new BackupError('verify.incomplete', { artefact, because, lines: 0 });
}
