import type { Clock } from '../core/clock.ts';
import type { SecretRef } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import { isMapping } from './mapping.ts';
import { type VaultAnswer, VaultRefusal, type VaultRequest } from './vault-http.ts';
import type { VaultSettings } from './vault-settings.ts';

/** The login of this process at Vault: kept alive while it is used, made anew when it is over. */
export interface VaultLogin {
  /** A token to ask with. Throws VaultRefusal, and BackupError where what it is made from cannot be read. */
  token(): Promise<string>;
  /**
   * Vault refused what was asked with this token. True: the token was dead, and `token()` gives another one.
   * Throws VaultRefusal `token` where there is no other one.
   */
  refused(token: string): Promise<boolean>;
}

export interface VaultLoginOptions {
  readonly settings: VaultSettings;
  readonly ask: (request: VaultRequest) => Promise<VaultAnswer>;
  /** For what the login is made from. Throws BackupError. */
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  readonly clock: Clock;
}

/** One token, by the monotonic clock. */
interface Lease {
  readonly token: string;
  readonly atMs: number;
  /** How long it was granted for when it was new; infinite: it does not end. */
  readonly fullMs: number;
  readonly endsMs: number;
  readonly renewable: boolean;
}

/** A token that is younger than this is not dead: what it is refused, another one would be refused too. */
const youngMs = 10_000;

export function createVaultLogin({ settings, ask, readSecret, clock }: VaultLoginOptions): VaultLogin {
  const { auth } = settings;
  let lease: Lease | null = null;
  let under: Promise<string> | null = null;

  async function readOwn(ref: SecretRef, setting: string): Promise<string> {
    try {
      const value = (await readSecret(ref)).trim();
      // It goes into a header, and Node's complaint about one would show it.
      if (/^[\x21-\x7e]+$/.test(value)) return value;
    } catch (cause) {
      if (!(cause instanceof BackupError) || cause.code !== 'inventory.secret-unavailable') throw cause;
      const { detail } = cause as BackupError<'inventory.secret-unavailable'>;
      throw new BackupError('inventory.secret-unavailable', { ...detail, setting });
    }
    throw new VaultRefusal(
      'token' in auth ? 'token' : 'login',
      `what ${setting} leads to is not one word of ASCII`,
    );
  }

  async function logIn(mount: string, roleId: string, secretId: string): Promise<Lease> {
    const body = { role_id: roleId, secret_id: secretId };
    const answer = await ask({ method: 'POST', path: `auth/${mount}/login`, token: null, body });
    const granted = answer.status === 200 ? fieldOf(answer.body, 'auth') : null;
    const token = fieldOf(granted, 'client_token');
    if (typeof token === 'string' && token !== '')
      return leaseOf(token, fieldOf(granted, 'lease_duration'), fieldOf(granted, 'renewable'));
    if (answer.status === 200) throw new VaultRefusal('answer', 'the answer to the login holds no token');
    const refused = [400, 401, 403, 404].includes(answer.status);
    if (refused) throw new VaultRefusal('login', `Vault refuses the AppRole login (${answer.status})`);
    throw troubleOf(answer.status);
  }

  function leaseOf(token: string, seconds: unknown, renewable: unknown): Lease {
    const atMs = clock.monotonicMs();
    const fullMs = typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : Number.POSITIVE_INFINITY;
    return { token, atMs, fullMs, endsMs: atMs + fullMs, renewable: renewable === true };
  }

  /** What Vault says of a token; null where it is dead, or may not ask. */
  async function lookUp(token: string): Promise<Lease | null> {
    const answer = await ask({ method: 'GET', path: 'auth/token/lookup-self', token, body: null });
    if (answer.status === 403) return null;
    if (answer.status !== 200) throw troubleOf(answer.status);
    const data = fieldOf(answer.body, 'data');
    return leaseOf(token, fieldOf(data, 'ttl'), fieldOf(data, 'renewable'));
  }

  /** Longer, if Vault will. At the end of its longest life it grants less and less: then it is left to end. */
  async function renewed(old: Lease): Promise<Lease> {
    const left = { ...old, renewable: false };
    try {
      const path = 'auth/token/renew-self';
      const answer = await ask({ method: 'POST', path, token: old.token, body: {} });
      if (answer.status !== 200) return answer.status < 500 ? left : old;
      const granted = fieldOf(answer.body, 'auth');
      const next = leaseOf(old.token, fieldOf(granted, 'lease_duration'), fieldOf(granted, 'renewable'));
      const lastOne = next.fullMs < old.fullMs / 2;
      return { ...next, fullMs: Math.max(old.fullMs, next.fullMs), renewable: next.renewable && !lastOne };
    } catch (error) {
      // Vault cannot be asked at the moment: as long as the token lives, whoever uses it finds out.
      if (error instanceof VaultRefusal) return old;
      throw error;
    }
  }

  async function current(): Promise<string> {
    const given = 'token' in auth ? await readOwn(auth.token, 'vault.auth.token') : null;
    // Another one was put in its place.
    if (given !== null && lease?.token !== given) lease = null;
    if (given !== null) lease ??= (await lookUp(given)) ?? leaseOf(given, null, false);
    const now = clock.monotonicMs();
    if (lease?.renewable && now < lease.endsMs && now >= lease.endsMs - lease.fullMs / 2)
      lease = await renewed(lease);
    if (given !== null) return given;
    if (lease !== null && now < lease.endsMs - marginMs(lease)) return lease.token;
    if (!('approle' in auth)) throw new Error('a login without a way to log in');
    const { mount, roleId, secretId } = auth.approle;
    lease = await logIn(mount, roleId, await readOwn(secretId, 'vault.auth.approle.secret_id'));
    return lease.token;
  }

  return {
    token() {
      under ??= current().finally(() => {
        under = null;
      });
      return under;
    },
    async refused(token) {
      // Somebody else found out meanwhile.
      if (lease !== null && lease.token !== token) return true;
      if (lease !== null && clock.monotonicMs() - lease.atMs < youngMs && 'approle' in auth) return false;
      if ((await lookUp(token)) !== null) return false;
      if ('token' in auth)
        throw new VaultRefusal('token', 'Vault does not know the token, or it has ended (403)');
      if (lease?.token === token) lease = null;
      return true;
    },
  };
}

/** A token is not used in its last tenth, at most a minute: the request has to arrive too. */
function marginMs({ fullMs }: Lease): number {
  return Math.min(fullMs / 10, 60_000);
}

/** What an answer means that is neither a success nor about what was asked. */
export function troubleOf(status: number): VaultRefusal {
  if (status === 503) return new VaultRefusal('sealed', 'Vault is sealed or in maintenance (503)');
  const busy = status === 412 || status === 429 || status >= 500;
  return busy
    ? new VaultRefusal('busy', `Vault cannot answer now (${status})`)
    : new VaultRefusal('answer', `Vault answers with status ${status}`);
}

/** A property of what JSON gave; undefined where there is none. */
export function fieldOf(value: unknown, key: string): unknown {
  return isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}
