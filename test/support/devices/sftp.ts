import ssh2, { type SFTPWrapper } from 'ssh2';
import type { Served } from './files.ts';
import type { Persona } from './persona.ts';

const { STATUS_CODE } = ssh2.utils.sftp;

/** The files of a device over the SFTP subsystem of a real SSH server, for reading alone. `cut` breaks the connection. */
export function serveSftp(sftp: SFTPWrapper, persona: Persona, cut: () => void): void {
  const open: Served[] = [];
  const of = (handle: Buffer): Served | undefined =>
    handle.length === 4 ? open[handle.readUInt32BE()] : undefined;
  const attributes = ({ sizeBytes }: Served) => ({
    mode: 0o100644,
    uid: 0,
    gid: 0,
    size: sizeBytes,
    atime: 0,
    mtime: 0,
  });
  sftp.on('error', () => {});
  sftp.on('OPEN', (request, path, flags) => {
    // Nobody writes on a device.
    if (flags !== ssh2.utils.sftp.OPEN_MODE.READ) return sftp.status(request, STATUS_CODE.PERMISSION_DENIED);
    const file = persona.file(path);
    if (file === null) return sftp.status(request, STATUS_CODE.NO_SUCH_FILE);
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(open.push(file) - 1);
    return sftp.handle(request, handle);
  });
  sftp.on('FSTAT', (request, handle) => {
    const file = of(handle);
    if (file === undefined) sftp.status(request, STATUS_CODE.FAILURE);
    else sftp.attrs(request, attributes(file));
  });
  sftp.on('READ', (request, handle, offset, length) => {
    const file = of(handle);
    if (file === undefined) return sftp.status(request, STATUS_CODE.FAILURE);
    const piece = Buffer.from(file.text.slice(offset, offset + length), 'latin1');
    const end = Math.min(offset + length, file.sizeBytes);
    if (file.cutAt !== null && end > file.cutAt) return cut();
    if (file.silentAt !== null && end > file.silentAt) return undefined;
    return piece.length === 0 ? sftp.status(request, STATUS_CODE.EOF) : sftp.data(request, piece);
  });
  sftp.on('CLOSE', (request) => sftp.status(request, STATUS_CODE.OK));
}
