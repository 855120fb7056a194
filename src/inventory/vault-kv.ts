import type { Clock } from '../core/clock.ts';
import { type SecretRef, type VaultSecret, vaultPath } from '../core/device.ts';
import { isMapping } from './mapping.ts';
import { askVault, type VaultAnswer, VaultRefusal, type VaultRequest } from './vault-http.ts';
import { createVaultLogin, fieldOf, troubleOf } from './vault-login.ts';
import type { VaultSettings } from './vault-settings.ts';

/** Reads secrets of KV engines, version 2. */
export interface VaultReader {
  /** Throws VaultRefusal, and BackupError where what the login is made from cannot be read. */
  read(secret: VaultSecret): Promise<string>;
}

/** A fleet asks for the same secret at the same time; a rotated one may be late by so much. */
const keptMs = 5_000;
/** A failure is repeated for less: somebody may be at work on it. */
const failureKeptMs = 2_000;
/** Before the second and the third attempt, where the first failed for want of a Vault. */
const pausesMs = [500, 2_000] as const;
/** Requests at once: each device can have a secret of its own. */
const atOnce = 8;

/** Every value below one path. */
type Values = Readonly<Record<string, unknown>>;

interface Kept {
  readonly values: Promise<Values>;
  /** By the monotonic clock; infinite while it is being asked for. */
  untilMs: number;
}

export function createVaultReader(
  settings: VaultSettings,
  readSecret: (ref: SecretRef) => Promise<string>,
  clock: Clock,
): VaultReader {
  const places = new Places(atOnce);
  const ask = (request: VaultRequest): Promise<VaultAnswer> =>
    places.take(() => askVault(settings, request, clock));
  const login = createVaultLogin({ settings, ask, readSecret, clock });
  const kept = new Map<string, Kept>();

  async function valuesAt(path: string): Promise<Values> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await askOnce(path);
      } catch (error) {
        const pauseMs = pausesMs[attempt];
        if (pauseMs === undefined || !(error instanceof VaultRefusal) || !mayPass(error)) throw error;
        await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
      }
    }
  }

  async function askOnce(path: string): Promise<Values> {
    const token = await login.token();
    const answer = await ask({ method: 'GET', path, token, body: null });
    if (answer.status !== 403) return valuesOf(answer, path);
    if (!(await login.refused(token))) throw forbidden(path);
    const again = await ask({ method: 'GET', path, token: await login.token(), body: null });
    if (again.status === 403) throw forbidden(path);
    return valuesOf(again, path);
  }

  function shared(path: string): Promise<Values> {
    const now = clock.monotonicMs();
    for (const [key, { untilMs }] of kept) if (untilMs <= now) kept.delete(key);
    const found = kept.get(path);
    if (found !== undefined) return found.values;
    const values = valuesAt(path);
    const entry: Kept = { values, untilMs: Number.POSITIVE_INFINITY };
    kept.set(path, entry);
    values.then(
      () => {
        entry.untilMs = clock.monotonicMs() + keptMs;
      },
      () => {
        entry.untilMs = clock.monotonicMs() + failureKeptMs;
      },
    );
    return values;
  }

  return {
    async read(secret) {
      const path = vaultPath(secret);
      const value = fieldOf(await shared(path), secret.key);
      if (value === undefined) throw new VaultRefusal('absent', `the secret at ${path} has no such key`);
      if (typeof value !== 'string')
        throw new VaultRefusal('absent', 'the value is no text; write it as one, in quotes');
      // `vault kv put asa key=@file` takes the line end of the file along.
      return value.replace(/\r?\n$/, '');
    },
  };
}

/** Whether the next attempt, moments later, can go better: Vault restarts, or its cluster elects. */
function mayPass({ trouble }: VaultRefusal): boolean {
  return trouble === 'unreachable' || trouble === 'busy' || trouble === 'sealed';
}

function forbidden(path: string): VaultRefusal {
  return new VaultRefusal('forbidden', `Vault does not let this login read ${path} (403)`);
}

/** Vault answers 404 for what never was, and for a newest version that was deleted. */
function valuesOf({ status, body }: VaultAnswer, path: string): Values {
  const outer = fieldOf(body, 'data');
  const values = fieldOf(outer, 'data');
  if (status === 200 && isMapping(values)) return values;
  if (status === 404 && isMapping(fieldOf(outer, 'metadata')))
    throw new VaultRefusal('absent', `the newest version at ${path} is deleted (404)`);
  if (status === 404) throw new VaultRefusal('absent', `there is nothing at ${path} (404)`);
  if (status === 200)
    throw new VaultRefusal('answer', `what lies at ${path} is no secret of a KV engine, version 2`);
  throw troubleOf(status);
}

/** Lets so many do something at once; the others wait in order. */
class Places {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
