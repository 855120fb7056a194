import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type BcryptHash, parseHash } from './bcrypt.ts';
import type { Answer, Question } from './bcrypt-worker.ts';

/** Names of users, with the bcrypt hashes of their passwords. */
export type Users = ReadonlyMap<string, string>;

/** Where passwords are compared: a thread of its own, one at a time. */
export interface Passwords extends AsyncDisposable {
  /** Whether this user with this password was found right a while ago; costs next to nothing. */
  known(users: Users, user: string, password: string): boolean;
  /**
   * Whether it is right. Takes as long for a user who does not exist. Null where too many wait already.
   * Rejects with Error where the thread ended.
   */
  verify(users: Users, user: string, password: string): Promise<boolean | null>;
}

/** At a few tenths of a second each, whoever comes later has given up before its turn. */
const mostWaiting = 16;
/** A scrape a minute must not cost a hash a minute. */
const mostKnown = 100;

/** The thread is started at the first question. */
export function createPasswords(): Passwords {
  // What was right is kept as a keyed digest, and the key in memory alone.
  const key = randomBytes(32);
  const right = new Set<string>();
  const waiting = new Map<number, PromiseWithResolvers<string>>();
  let worker: Worker | null = null;
  let last = 0;

  function started(): Worker {
    if (worker !== null) return worker;
    const own = new Worker(new URL(`./bcrypt-worker${extname(import.meta.filename)}`, import.meta.url), {
      // Nothing of the environment is of use to it, and secrets may be there.
      env: {},
      execArgv: [],
    });
    own.unref();
    own.on('message', ({ id, digest }: Answer) => {
      waiting.get(id)?.resolve(digest);
      waiting.delete(id);
    });
    const ended = (error: Error): void => {
      if (worker === own) worker = null;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    own.on('error', ended);
    own.on('exit', () => ended(new Error('the thread that compares passwords ended')));
    worker = own;
    return own;
  }

  function digest(password: string, { cost, salt }: BcryptHash): Promise<string> {
    const id = ++last;
    const answer = Promise.withResolvers<string>();
    waiting.set(id, answer);
    const question: Question = { id, password: Buffer.from(password), cost, salt };
    started().postMessage(question);
    return answer.promise;
  }

  function fingerprint(hash: string, user: string, password: string): string {
    return createHmac('sha256', key)
      .update(JSON.stringify([hash, user, password]))
      .digest('base64');
  }

  return {
    known(users, user, password) {
      return right.has(fingerprint(users.get(user) ?? '', user, password));
    },
    async verify(users, user, password) {
      const hash = users.get(user) ?? null;
      const parts = parseHash(hash ?? costliest(users));
      // Others end a password at a zero byte: it could be right in two ways.
      if (parts === null || password.includes('\0')) return false;
      if (waiting.size >= mostWaiting) return null;
      const computed = Buffer.from(await digest(password, parts));
      if (!timingSafeEqual(computed, Buffer.from(parts.digest)) || hash === null) return false;
      if (right.size >= mostKnown) right.clear();
      right.add(fingerprint(hash, user, password));
      return true;
    },
    async [Symbol.asyncDispose]() {
      await worker?.terminate();
    },
  };
}

/** What a password is compared with where there is no such user. */
function costliest(users: Users): string {
  const cost = (hash: string): number => parseHash(hash)?.cost ?? 0;
  return [...users.values()].reduce((one, other) => (cost(other) > cost(one) ? other : one), '');
}
