import { createPrivateKey } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { ParsedKey } from 'ssh2';
import { ssh2 } from './ssh-library.ts';

/** One question of `private-key.ts`. */
export interface Question {
  readonly text: string;
  readonly passphrase: string;
}

/** The same key without a passphrase, in a format that ssh2 reads; or why there is none, in the words of ssh2. */
export type Answer = { readonly key: string } | { readonly problem: string };

parentPort?.once('message', (question: Question) => parentPort?.postMessage(open(question)));

function open({ text, passphrase }: Question): Answer {
  const [parsed] = [ssh2.utils.parseKey(text, passphrase)].flat() as [ParsedKey | Error];
  if (parsed instanceof Error) return { problem: parsed.message };
  if (!parsed.isPrivateKey()) return { key: text };
  // ssh2 writes a format for Ed25519 that it does not read.
  const pem = parsed.getPrivatePEM();
  return { key: parsed.type === 'ssh-ed25519' ? openSsh(pem) : pem };
}

/** The file format of OpenSSH (PROTOCOL.key) for an Ed25519 key, without a cipher. */
function openSsh(pem: string): string {
  const { d = '', x = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const type = string(Buffer.from('ssh-ed25519'));
  const check = Buffer.alloc(8);
  const secret = [check, type, string(point), string(Buffer.concat([seed, point])), string(Buffer.alloc(0))];
  const length = secret.reduce((sum, { length }) => sum + length, 0);
  // Padded to eight with 1, 2, 3 …
  const padding = Buffer.from(Array.from({ length: (8 - (length % 8)) % 8 }, (_, index) => index + 1));
  const none = string(Buffer.from('none'));
  const whole = [
    ...[Buffer.from('openssh-key-v1\0'), none, none, string(Buffer.alloc(0)), Buffer.from([0, 0, 0, 1])],
    ...[string(Buffer.concat([type, string(point)])), string(Buffer.concat([...secret, padding]))],
  ];
  const base64 = Buffer.concat(whole).toString('base64').replace(/.{70}/g, '$&\n');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${base64}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function string(octets: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(octets.length);
  return Buffer.concat([length, octets]);
}
