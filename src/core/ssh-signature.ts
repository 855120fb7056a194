/**
 * What `ssh-keygen -Y sign` makes (OpenSSH, PROTOCOL.sshsig), byte by byte. Hashes and signatures are computed by
 * those who use it.
 */

/** What a signature is for; git signs and checks with this one. */
const namespace = Buffer.from('git');
const magic = Buffer.from('SSHSIG');
const version = Buffer.from([0, 0, 0, 1]);
const [begin, end] = ['-----BEGIN SSH SIGNATURE-----', '-----END SSH SIGNATURE-----'];

/** A signature, taken apart. */
export interface SshSignature {
  /** As SSH writes it: its type, then its numbers. */
  readonly publicKey: Buffer;
  readonly hash: 'sha256' | 'sha512';
  /** The two strings of it: the algorithm, then the signature itself. */
  readonly signature: Buffer;
}

/** A string as SSH writes it: its length in four bytes, then itself. */
export function sshString(octets: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(octets.length);
  return Buffer.concat([length, octets]);
}

/** The strings that `data` consists of; null where it is anything else. */
export function sshStrings(data: Buffer): readonly Buffer[] | null {
  const found: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    if (at + 4 > data.length) return null;
    const length = data.readUInt32BE(at);
    at += 4;
    if (at + length > data.length) return null;
    found.push(data.subarray(at, at + length));
    at += length;
  }
  return found;
}

/** What is signed instead of a message with this digest. */
export function signedData(hash: SshSignature['hash'], digest: Buffer): Buffer {
  const parts = [namespace, Buffer.alloc(0), Buffer.from(hash), digest];
  return Buffer.concat([magic, ...parts.map(sshString)]);
}

/** As a commit carries it: lines of text, without a line feed at the end. */
export function armored({ publicKey, hash, signature }: SshSignature): string {
  const parts = [publicKey, namespace, Buffer.alloc(0), Buffer.from(hash), signature];
  const whole = Buffer.concat([magic, version, ...parts.map(sshString)]).toString('base64');
  return [begin, ...(whole.match(/.{1,70}/g) ?? []), end].join('\n');
}

/** Takes apart what `armored` writes; null where it is anything else, or made for something other than git. */
export function parseArmored(text: string): SshSignature | null {
  const lines = text.trimEnd().split('\n');
  if (lines[0] !== begin || lines.at(-1) !== end) return null;
  const whole = Buffer.from(lines.slice(1, -1).join(''), 'base64');
  const head = Buffer.concat([magic, version]);
  if (!whole.subarray(0, head.length).equals(head)) return null;
  const [publicKey, space, reserved, name, signature, ...more] =
    sshStrings(whole.subarray(head.length)) ?? [];
  if (publicKey === undefined || signature === undefined || reserved === undefined || more.length > 0)
    return null;
  if (space?.equals(namespace) !== true) return null;
  const hash = name?.toString('latin1');
  return hash === 'sha256' || hash === 'sha512' ? { publicKey, hash, signature } : null;
}

/** As `.pub` files have it, without a comment. */
export function publicKeyLine(publicKey: Buffer): string {
  return `${sshStrings(publicKey)?.[0]?.toString('latin1') ?? ''} ${publicKey.toString('base64')}`;
}

/** What `publicKeyLine` was made from; null where it is no such line. */
export function publicKeyIn(line: string): Buffer | null {
  const [, type, base64] = /^([a-z0-9-]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
  const publicKey = Buffer.from(base64 ?? '', 'base64');
  return type !== undefined && sshStrings(publicKey)?.[0]?.toString('latin1') === type ? publicKey : null;
}
