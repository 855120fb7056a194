import type ssh2 from 'ssh2';

/** A file on a device, open for reading. */
export interface RemoteFile {
  /** When it was opened. */
  readonly sizeBytes: number;
  /** At most `length` octets from `offset` on; none at the end of the file. Rejects with an Error of ssh2. */
  read(offset: number, length: number): Promise<Buffer>;
  /** Gives the channel back. Never throws. */
  close(): void;
}

/** Opens `path` over an SFTP session of its own. Rejects with an Error of ssh2, whose message holds the server's words. */
export async function openRemoteFile(sftp: ssh2.SFTPWrapper, path: string): Promise<RemoteFile> {
  // A channel that breaks fails the calls that wait on it; an error without a listener would end the process.
  sftp.on('error', () => {});
  try {
    const handle = await called<Buffer>((done) => sftp.open(path, 'r', done));
    const { size } = await called<ssh2.Stats>((done) => sftp.fstat(handle, done));
    return {
      sizeBytes: size,
      read: (offset, length) =>
        called((done) =>
          sftp.read(handle, Buffer.alloc(length), 0, length, offset, (error, bytes, buffer) =>
            done(error, error ? undefined : buffer.subarray(0, bytes)),
          ),
        ),
      close: () => sftp.end(),
    };
  } catch (thrown) {
    sftp.end();
    throw thrown;
  }
}

/** The result of a function that calls back. */
export function called<T>(
  call: (done: (error: Error | undefined | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => {
      if (error) reject(error);
      else resolve(value as T);
    });
  });
}
