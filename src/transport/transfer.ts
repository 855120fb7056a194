import { type FileRequest, refusedFile } from './file-request.ts';
import { fetchByScp } from './scp.ts';
import { fetchBySftp } from './sftp.ts';

/** A path of which no shell makes more than a word, and no program an option. */
const plainPath = /^[A-Za-z0-9._:/@+~][A-Za-z0-9._:/@+~-]*$/;

/**
 * Fetches one file; resolves with its size once all of it was taken, as many octets as were announced.
 *
 * Throws BackupError: `collect.command-refused` (the device gives no file this way; nothing was taken),
 * `collect.stalled`, `collect.connection-lost`, `collect.too-large`, `verify.incomplete` (it did not come as it was
 * announced), what `take` throws, and the reason of an abort.
 */
export function fetchFile(by: 'scp' | 'sftp', request: FileRequest): Promise<number> {
  if (!plainPath.test(request.path))
    return Promise.reject(refusedFile(`${by} ${request.path}`, 'a path with such characters is never sent'));
  return by === 'scp' ? fetchByScp(request) : fetchBySftp(request);
}
