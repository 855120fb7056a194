import { createHmac, randomBytes } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ParsedKey } from 'ssh2';
import type { SecretRef } from '../core/device.ts';
import { BackupError, type Details } from '../core/errors.ts';
import type { Answer, Question } from './key-worker.ts';
import { ssh2 } from './ssh-library.ts';

/**
 * What came of opening keys with their passphrases, by a digest of both, oldest first. Opening one
 * takes most of a second (bcrypt, in JavaScript): a fleet that logs in with one key would spend minutes of every night
 * on it. It is done on a thread of its own, because nothing else of the process would run meanwhile.
 */
const opened = new Map<string, Promise<ParsedKey | Error>>();
const openedAtMost = 32;
const digestKey = randomBytes(32);

/**
 * The private key in `text`. One with a passphrase is opened once in the life of the process and kept in
 * memory, for as long as key and passphrase stay the same.
 * Throws BackupError `inventory.secret-unavailable` where `text` is no private key that ssh2 can use.
 */
export async function parsePrivateKey(
  text: string,
  passphrase: string | undefined,
  ref: SecretRef,
): Promise<ParsedKey> {
  type Unusable = NonNullable<Details['inventory.secret-unavailable']['key']>;
  const unusable = (key: Unusable, problem: string) =>
    new BackupError('inventory.secret-unavailable', { reference: referenceText(ref), problem, key });
  const parsed = passphrase === undefined ? parse(text) : await openOnce(text, passphrase);
  if (parsed instanceof Error) {
    if (/no passphrase/i.test(parsed.message)) {
      throw unusable('encrypted', 'the private key is encrypted and the credential has no `passphrase`');
    }
    if (passphrase !== undefined && !/unsupported key format/i.test(parsed.message))
      throw unusable('wrong-passphrase', 'the private key cannot be read with this `passphrase`');
    throw unusable(
      'other-format',
      'not a private key that can be used (OpenSSH, PEM with an RSA or EC key, or PuTTY format)',
    );
  }
  if (!parsed.isPrivateKey()) throw unusable('public', 'this is a public key; the private key is needed');
  return parsed;
}

function openOnce(text: string, passphrase: string): Promise<ParsedKey | Error> {
  const digest = createHmac('sha256', digestKey)
    .update(JSON.stringify([text, passphrase]))
    .digest('hex');
  const known = opened.get(digest);
  if (known !== undefined) return known;
  const opening = open({ text, passphrase });
  opened.set(digest, opening);
  // What a thread met that could not be started says nothing of the key.
  opening.catch(() => opened.delete(digest));
  const [oldest] = opened.keys();
  if (opened.size > openedAtMost && oldest !== undefined) opened.delete(oldest);
  return opening;
}

async function open(question: Question): Promise<ParsedKey | Error> {
  const worker = new Worker(new URL(`./key-worker${extname(import.meta.filename)}`, import.meta.url), {
    // Nothing of the environment is of use to it, and secrets may be there.
    env: {},
    execArgv: [],
  });
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('the thread that opens a private key ended')));
      worker.postMessage(question);
    });
    return 'key' in answer ? parse(answer.key) : new Error(answer.problem);
  } finally {
    await worker.terminate();
  }
}

function parse(text: string): ParsedKey | Error {
  // An array where the file could hold several keys; it never holds more than one.
  return [ssh2.utils.parseKey(text)].flat()[0] as ParsedKey | Error;
}

/** What a person calls the place of a secret. */
export function referenceText(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  if ('file' in ref) return ref.file;
  if ('credential' in ref) return `systemd credential ${ref.credential}`;
  if ('command' in ref) return `command ${ref.command[0] ?? ''}`;
  return 'the inventory itself';
}
