import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { Users } from './passwords.ts';

/**
 * What a token allows. `read`: status, runs and masked configurations. `operate`: reload, pause, resume, back
 * up. `admin`: what a person has to judge, `accept` and `release`. None holds another.
 */
export type Scope = 'read' | 'operate' | 'admin';

/** What a request has to be allowed; `observe` is metrics, health and readiness. */
export type Need = 'observe' | Scope;

/** One of `http.tokens`. The token itself is nowhere: it has 256 bits, and its SHA-256 tells nothing of it. */
export interface Token {
  readonly name: string;
  /** SHA-256 of the token as it is sent, in hex. */
  readonly sha256: string;
  readonly scopes: readonly Scope[];
}

/** Who may do what on TCP. */
export interface Access {
  /** Names besides the loopback ones and the address itself that `Host` may say; lower case, without a port. */
  readonly hosts: readonly string[];
  readonly tokens: readonly Token[];
  /** `basic_auth_users`: where there is one, nothing is shown without a user or a token. */
  readonly users: Users;
  /** Added to every answer. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Who sent a request. */
export type Caller =
  | { readonly kind: 'nobody' }
  /** Its client certificate was verified. */
  | { readonly kind: 'certificate' }
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'token'; readonly token: Token };

/** What `Authorization` says; null: nothing that is looked at. */
export type Credentials =
  | { readonly scheme: 'bearer'; readonly token: string }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string };

/** A malformed one is one that is wrong: `bearer` or `basic` with empty values. */
export function parseAuthorization(header: string | undefined): Credentials | null {
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([^ ]+) *$/.exec(header ?? '') ?? [];
  if (/^bearer$/i.test(scheme)) return { scheme: 'bearer', token: value };
  if (!/^basic$/i.test(scheme)) return null;
  const [, user = '', password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, 'base64').toString()) ?? [];
  return { scheme: 'basic', user, password };
}

/** Null where no token is this one. Takes as long for each, and tells nothing by its time. */
export function tokenOf(presented: string, tokens: readonly Token[]): Token | null {
  const digest = createHash('sha256').update(presented).digest();
  let found: Token | null = null;
  for (const token of tokens) if (timingSafeEqual(digest, Buffer.from(token.sha256, 'hex'))) found = token;
  return found;
}

/**
 * `unknown`: it has to be said who asks; `forbidden`: that is known, and not enough. `open`: the listener is on
 * loopback, where metrics and health need nothing unless there are users.
 */
export function judge(
  caller: Caller,
  need: Need,
  { users }: Access,
  open: boolean,
): 'allowed' | 'unknown' | 'forbidden' {
  if (need !== 'observe') {
    if (caller.kind === 'token') return caller.token.scopes.includes(need) ? 'allowed' : 'forbidden';
    return caller.kind === 'user' ? 'forbidden' : 'unknown';
  }
  if (caller.kind === 'token' || caller.kind === 'user') return 'allowed';
  if (users.size > 0) return 'unknown';
  return open || caller.kind === 'certificate' ? 'allowed' : 'unknown';
}

/** Whether only this machine reaches an address that is listened on. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Whom an address stands for: itself, or for IPv6 the network of which one client has every address. */
export function clientOf(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [before = '', after] = plain.replace(/%.*$/, '').split('::');
  const groups = before.split(':');
  const missing = after === undefined ? 0 : 8 - groups.length - after.split(':').length;
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(after ?? '').split(':')]
    .slice(0, 4)
    .map((group) => Number.parseInt(group || '0', 16).toString(16))
    .join(':');
}

/** An IPv4 address as it is written, also where it came through an IPv6 socket. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}
