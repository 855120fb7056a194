import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OperationError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { blobType, fingerprint, type HostKeys, type PinnedKey } from './host-keys.ts';

/** A line that pins nothing although it looks as if it should. */
export interface KnownHostsProblem {
  /** 1-based. */
  readonly line: number;
  readonly problem: string;
}

/** What a text in known_hosts format says. */
export interface KnownHosts {
  /** The keys of exactly this host and port, in the order of the text; never one that a line revokes. */
  of(host: string, port: number): readonly PinnedKey[];
  /** Whether an `@revoked` line holds this key. It is then trusted for no host at all. */
  revoked(blob: Buffer): boolean;
  readonly problems: readonly KnownHostsProblem[];
}

/** Known hosts in a file. */
export interface HostKeysFile extends HostKeys {
  /** The lines that were not understood when the file was last read. */
  problems(): readonly KnownHostsProblem[];
}

interface Line {
  /** The first field: names, comma-separated, or one hashed name. */
  readonly names: readonly string[];
  readonly marker: 'none' | 'revoked' | 'cert-authority';
  readonly type: string;
  readonly blob: Buffer;
  readonly rest: string;
}

/**
 * Reads OpenSSH's known_hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): plain names, `[host]:port`,
 * comma lists, hashed names, comments. `@cert-authority` lines are left out, because certificates are not
 * supported. A name with wildcards pins nothing and is reported: a pin is for one host. Never throws.
 */
export function parseKnownHosts(text: string): KnownHosts {
  const problems: KnownHostsProblem[] = [];
  const lines: Line[] = [];
  const revoked: Buffer[] = [];
  text.split('\n').forEach((raw, index) => {
    const line = parseLine(raw);
    if (line === null) return;
    if (typeof line === 'string') problems.push({ line: index + 1, problem: line });
    else if (line.marker === 'revoked') revoked.push(line.blob);
    else if (line.marker === 'none') {
      if (line.names.some(isPattern)) {
        problems.push({ line: index + 1, problem: 'a name with a wildcard or `!` pins nothing here' });
      }
      lines.push(line);
    }
  });
  const isRevoked = (blob: Buffer) => revoked.some((other) => other.equals(blob));
  return {
    problems,
    revoked: isRevoked,
    of(host, port) {
      const wanted = nameOf(host, port);
      return lines
        .filter((line) => !isRevoked(line.blob) && line.names.some((name) => isName(name, wanted)))
        .map(({ type, blob }) => ({ host, port, type, blob }));
    },
  };
}

/**
 * The known_hosts file of this installation, mode 0600; absent = nothing is pinned yet. It is read again
 * whenever it changed, so that `roundsman trust` reaches a daemon that is running.
 *
 * `of` throws BackupError `store.*` where the file is there and cannot be read: taking that for "nothing
 * is pinned" would let first use trust anybody. `pin` and `replace` throw the same, and OperationError for
 * a key that an `@revoked` line names; after that the file is as it was.
 */
export function openHostKeys(file: string): HostKeysFile {
  let version = '';
  let text = '';
  let parsed = parseKnownHosts('');
  /** Writes one after the other: each starts from what the one before it left. */
  let writing: Promise<unknown> = Promise.resolve();

  const read = (): KnownHosts => {
    try {
      const found = statSync(file, { bigint: true, throwIfNoEntry: false });
      const now = found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
      if (now !== version) {
        text = now === '' ? '' : readFileSync(file, 'latin1');
        parsed = parseKnownHosts(text);
        version = now;
      }
    } catch (error) {
      throw storageError(error, file);
    }
    return parsed;
  };

  const change = (
    keys: readonly PinnedKey[],
    edit: (known: KnownHosts, text: string) => string,
  ): Promise<void> => {
    const done = writing.then(async () => {
      const known = read();
      for (const key of keys) {
        if (known.revoked(key.blob)) {
          throw new OperationError(
            `the key ${fingerprint(key.blob)} of ${key.host} is revoked in ${file}`,
            `find out why it was revoked; if it is to be trusted again, delete its @revoked line`,
          );
        }
      }
      const next = edit(known, text);
      if (next === text) return;
      await writeDurably(file, next).catch((error: unknown) => {
        throw storageError(error, file);
      });
    });
    writing = done.catch(() => {});
    return done;
  };

  return {
    of: (host, port) => read().of(host, port),
    problems: () => read().problems,
    pin: (keys) =>
      change(keys, (known, before) => {
        const fresh = keys.filter(
          (key, index) =>
            !known.of(key.host, key.port).some((other) => other.blob.equals(key.blob)) &&
            keys.findIndex((other) => sameKey(other, key)) === index,
        );
        return appended(before, fresh);
      }),
    replace: (host, port, keys) =>
      change(keys, (_known, before) => appended(without(before, nameOf(host, port)), keys)),
  };
}

/** Null for a blank line or a comment; a sentence for a damaged one. */
function parseLine(raw: string): Line | string | null {
  const trimmed = raw.trim();
  if (trimmed === '' || trimmed.startsWith('#')) return null;
  const fields = trimmed.split(/[ \t]+/);
  let marker: Line['marker'] = 'none';
  if (fields[0]?.startsWith('@')) {
    const word = fields.shift();
    if (word === '@revoked') marker = 'revoked';
    else if (word === '@cert-authority') marker = 'cert-authority';
    else return 'an unknown marker';
  }
  const [names, type, base64, ...rest] = fields;
  if (names === undefined || type === undefined || base64 === undefined) {
    return 'expected: names, key type, key';
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return 'the key is not base64 (SSH 1 keys are not supported)';
  const blob = Buffer.from(base64, 'base64');
  if (blobType(blob) !== type) return 'the key is damaged or not of the type that the line says';
  return { names: names.split(','), marker, type, blob, rest: rest.join(' ') };
}

/** As it stands in the file: names are compared in lower case. */
function nameOf(host: string, port: number): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
}

function isPattern(name: string): boolean {
  return /[*?]/.test(name) || name.startsWith('!');
}

function isName(name: string, wanted: string): boolean {
  if (!name.startsWith('|')) return !isPattern(name) && name.toLowerCase() === wanted;
  const [, version, salt, hash] = name.split('|');
  if (version !== '1' || salt === undefined || hash === undefined) return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(wanted).digest('base64') === hash;
}

function sameKey(a: PinnedKey, b: PinnedKey): boolean {
  return a.host === b.host && a.port === b.port && a.blob.equals(b.blob);
}

function appended(before: string, keys: readonly PinnedKey[]): string {
  const lines = keys.map((key) => {
    const name = nameOf(key.host, key.port);
    // A name that the format cannot hold would become another host's line, or a comment.
    if (!/^[^\s,|@#!*?]+$/.test(name)) throw new Error('a host name that known_hosts cannot hold');
    return `${name} ${key.type} ${key.blob.toString('base64')}\n`;
  });
  const separator = lines.length > 0 && before !== '' && !before.endsWith('\n') ? '\n' : '';
  return before + separator + lines.join('');
}

/** `text` without the pins of one name; the other names of its lines, other markers and damaged lines stay. */
function without(text: string, wanted: string): string {
  const kept: string[] = [];
  for (const raw of text.split('\n')) {
    const line = parseLine(raw);
    if (line === null || typeof line === 'string' || line.marker !== 'none') kept.push(raw);
    else {
      const names = line.names.filter((name) => !isName(name, wanted));
      if (names.length === line.names.length) kept.push(raw);
      else if (names.length > 0) {
        const comment = line.rest === '' ? '' : ` ${line.rest}`;
        kept.push(`${names.join(',')} ${line.type} ${line.blob.toString('base64')}${comment}`);
      }
    }
  }
  return kept.join('\n');
}

/** All or nothing, also across a power cut: a new file beside the old one, on disk before it takes its name. */
async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = join(dirname(file), `.known_hosts.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text, 'latin1');
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const dir = await open(dirname(file), 'r');
  try {
    await dir.sync();
  } finally {
    await dir.close();
  }
}
