import { createHmac, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/clock.ts';
import { type Credentials, credentialsOf, type Device, type SecretRef } from '../core/device.ts';
import { BackupError, type Failure, failureOf } from '../core/errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { CredentialMemory } from '../ledger/logins.ts';
import { type Admission, accepted, admission, free, type Hold, probed, rejected } from './holdback.ts';
import { OneAtATime, Rate } from './rate.ts';

/** What one login is made with; on the way to it there may be logins at jump hosts. */
export interface GatedLogin {
  /** Reads secrets for this login; a keyed digest of each is remembered, never a value. */
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  /** To be called as soon as this jump host has accepted the login. */
  readonly passed: (hop: string) => void;
  /** To be called as soon as the device has accepted the login. */
  readonly accepted: () => void;
}

/** The credential hold-back and the rate of logins; one for a process. Its memory is in the ledger. */
export interface LoginGate {
  /**
   * Makes one login when its credential, and those of the jump hosts before the device, may be used. `slotMs`: the slot of the run, null where no slot
   * asked for it. Throws BackupError `credentials.held-back` without calling `attempt`, `run.interrupted`
   * where the signal was aborted while waiting, `record.*` where the ledger cannot remember, and whatever
   * `attempt` throws.
   */
  around<T>(
    device: Device,
    slotMs: number | null,
    signal: AbortSignal,
    attempt: (login: GatedLogin) => Promise<T>,
  ): Promise<T>;
  /** The same for the jump hosts of a device alone, where nobody logs in to the device itself. */
  aroundJumps<T>(device: Device, signal: AbortSignal, attempt: (login: GatedLogin) => Promise<T>): Promise<T>;
  /** An operator releases a credential, for the devices that rejected it too. */
  release(credential: string, by: string): void;
  /** Credentials that were ever rejected, by name: whether logins with it are held back. */
  heldBack(): ReadonlyMap<string, boolean>;
}

export interface LoginGateOptions {
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  /** Keys the digests of secrets. Empty: a key of this process, so that a restart releases what was held. */
  readonly key: Buffer;
}

/** What a credential is made of. */
const parts = ['password', 'enable', 'privateKey', 'passphrase'] as const;
type Part = (typeof parts)[number];
type Digests = Readonly<Record<string, string>>;

/** A changed value is looked for this often: a reference can be a program, and a fleet can wait. */
const lookAgainMs = 10_000;

/** One credential in this process. */
interface Account {
  hold: Hold;
  /** Of the values that were rejected. */
  digests: Digests;
  lookedMs: number;
  /** A probe is under way: whoever asks now waits for what comes of it. */
  probing: boolean;
  /** A look whether the secret changed. */
  looking: Promise<void> | null;
  readonly rate: Rate;
  readonly serial: OneAtATime;
}

export function createLoginGate({ clock, ledger, readSecret, key }: LoginGateOptions): LoginGate {
  const digestKey = key.length > 0 ? key : randomBytes(32);
  const accounts = new Map<string, Account>();
  const lastAccepted = new Map(ledger.logins.accepted());
  for (const { credential, digests, ...hold } of ledger.logins.memories())
    accounts.set(credential, newAccount(hold, digests));

  function newAccount(hold: Hold, digests: Digests): Account {
    return {
      ...{ hold, digests, lookedMs: Number.NEGATIVE_INFINITY, probing: false, looking: null },
      rate: new Rate(clock),
      serial: new OneAtATime(),
    };
  }

  function accountOf(name: string): Account {
    const found = accounts.get(name);
    if (found !== undefined) return found;
    const made = newAccount(free, {});
    accounts.set(name, made);
    return made;
  }

  function digestOf(part: Part, value: string): string {
    return createHmac('sha256', digestKey)
      .update(`roundsman credential ${part}\0`)
      .update(value)
      .digest('hex');
  }

  /** Writes down what changed; where it was held or released, the chain says why. */
  function change(credential: string, account: Account, hold: Hold, because: string): void {
    const before = account.hold;
    if (hold === before) return;
    account.hold = hold;
    const told = hold.held === before.held ? null : { atMs: clock.nowMs(), because };
    const memory: CredentialMemory = { credential, ...hold, digests: account.digests };
    ledger.logins.remember(memory, told);
  }

  function note(device: string, credential: string | null): void {
    if ((lastAccepted.get(device) ?? null) === credential) return;
    if (credential === null) lastAccepted.delete(device);
    else lastAccepted.set(device, credential);
    ledger.logins.setAccepted(device, credential);
  }

  /** All who come while a look is under way wait for what it finds: the others would be told "held" meanwhile. */
  function lookForChange(credentials: Credentials, account: Account): Promise<void> {
    account.looking ??= look(credentials, account).finally(() => {
      account.looking = null;
    });
    return account.looking;
  }

  /** Forgets every rejection once a value behind the credential is another one. */
  async function look(credentials: Credentials, account: Account): Promise<void> {
    const { rejectedBy, refusedTo } = account.hold;
    if (rejectedBy.length + refusedTo.length === 0) return;
    if (clock.monotonicMs() - account.lookedMs < lookAgainMs) return;
    account.lookedMs = clock.monotonicMs();
    for (const part of parts) {
      const known = account.digests[part];
      const ref = refOf(credentials, part);
      if (known === undefined || ref === null) continue;
      // One that cannot be read now is no other one.
      const value = await readSecret(ref).catch(() => null);
      if (value === null || digestOf(part, value) === known) continue;
      account.digests = {};
      change(credentials.name, account, free, 'the secret has changed');
      return;
    }
  }

  function heldBack(credential: string, { hold }: Account): BackupError {
    const rejectedBy = [...new Set([...hold.refusedTo, ...hold.rejectedBy])];
    return new BackupError('credentials.held-back', { credential, rejectedBy, sinceMs: hold.sinceMs });
  }

  /** One credential of a login that wants to pass. */
  function entryOf({ credentials, at }: CredentialUse, slotMs: number | null) {
    const { name } = credentials;
    const account = accountOf(name);
    const used = new Map<Part, string>();
    const accepting = new Set(at);
    const others = { letIn: () => {}, wait: false };
    let itsTurn = false;
    let probing = false;
    let over = false;
    const ask = () =>
      strictest(
        at.map((server) =>
          admission(account.hold, server, lastAccepted.get(server) === name, slotMs, clock.nowMs()),
        ),
      );
    const entry = {
      lookForChange: () => lookForChange(credentials, account),
      leave() {
        others.letIn();
        others.wait = false;
      },
      /** False: it has waited, and what was free when it asked may not be any more. */
      async pass(signal: AbortSignal, beforeWaiting: () => void): Promise<boolean> {
        const now = ask();
        const refused = at.some((server) => account.hold.refusedTo.includes(server));
        const undecided = account.probing && !others.wait && !refused;
        if (now === 'held' && !undecided) throw heldBack(name, account);
        if (now !== 'free' && !others.wait) {
          beforeWaiting();
          others.letIn = await account.serial.enter(signal);
          others.wait = true;
          return false;
        }
        if (now === 'free') entry.leave();
        if (!itsTurn) {
          for (const _ of at) await account.rate.turn(credentials.loginsPerSecond, signal);
          itsTurn = true;
          return false;
        }
        probing = now === 'probe';
        return true;
      },
      begin() {
        if (!probing || slotMs === null) return;
        account.probing = true;
        change(name, account, probed(account.hold, slotMs, clock.nowMs()), 'probe');
      },
      read(ref: SecretRef, value: string) {
        for (const part of parts)
          if (isDeepStrictEqual(refOf(credentials, part), ref)) used.set(part, digestOf(part, value));
      },
      /** Of a credential for several servers the last one decides. */
      accepted(server: string) {
        if (over || !accepting.delete(server) || accepting.size > 0) return;
        over = true;
        for (const one of at) note(one, name);
        const { rejectedBy, refusedTo } = account.hold;
        if (rejectedBy.length > 0 || at.some((one) => refusedTo.includes(one)))
          change(name, account, at.reduce(accepted, account.hold), `${server} accepted it`);
        if (probing) account.probing = false;
        entry.leave();
      },
      rejected(server: string) {
        if (over || !at.includes(server)) return;
        account.digests = Object.fromEntries(used);
        note(server, null);
        change(name, account, rejected(account.hold, server, clock.nowMs()), `${server} rejected it`);
      },
      end() {
        if (probing) account.probing = false;
        entry.leave();
      },
    };
    return entry;
  }

  async function through<T>(
    uses: readonly CredentialUse[],
    slotMs: number | null,
    signal: AbortSignal,
    attempt: (login: GatedLogin) => Promise<T>,
    device: string,
  ): Promise<T> {
    // In one order for everybody: else two logins that need the same two credentials wait for each other.
    const sorted = uses.toSorted((a, b) => (a.credentials.name < b.credentials.name ? -1 : 1));
    const entries = sorted.map((use) => entryOf(use, slotMs));
    const accept = (server: string) => {
      for (const entry of entries) entry.accepted(server);
    };
    try {
      for (const entry of entries) await entry.lookForChange();
      // Every wait asks again, from the first one on.
      for (let at = 0; at < entries.length; ) {
        const entry = entries[at] as (typeof entries)[number];
        const later = entries.slice(at + 1);
        const passed = await entry.pass(signal, () => {
          for (const other of later) other.leave();
        });
        at = passed ? at + 1 : 0;
      }
      for (const entry of entries) entry.begin();
      const all = uses.flatMap(({ at }) => at);
      const login: GatedLogin = {
        async readSecret(ref) {
          const value = await readSecret(ref);
          for (const entry of entries) entry.read(ref, value);
          return value;
        },
        passed: (hop) => accept(atJumpHost(hop, device)),
        accepted: () => all.forEach(accept),
      };
      try {
        const result = await attempt(login);
        login.accepted();
        return result;
      } catch (thrown) {
        const server = rejectedBy(failureOf(thrown), device);
        if (server !== null) for (const entry of entries) entry.rejected(server);
        throw thrown;
      }
    } finally {
      for (const entry of entries) entry.end();
    }
  }

  return {
    around: (device, slotMs, signal, attempt) =>
      through(usesOf(device, [device.name]), slotMs, signal, attempt, device.name),
    aroundJumps: (device, signal, attempt) => through(usesOf(device, []), null, signal, attempt, device.name),
    release(credential, by) {
      const account = accountOf(credential);
      change(credential, account, { ...free }, `released by ${by}`);
    },
    heldBack: () => new Map([...accounts].map(([name, { hold }]) => [name, hold.held])),
  };
}

/** One credential, and the servers of one login that it is for. */
interface CredentialUse {
  readonly credentials: Credentials;
  readonly at: readonly string[];
}

/** A jump host as a server that may reject: for each device apart, so that one device alone holds nothing back. */
function atJumpHost(hop: string, device: string): string {
  return `${hop} (to ${device})`;
}

/** `own`: the name of the device, where it is logged in to as well. */
function usesOf(device: Device, own: readonly string[]): readonly CredentialUse[] {
  const uses = credentialsOf(device).map((credentials) => {
    const hops = device.jump.filter((hop) => hop.credentials.name === credentials.name);
    const at = hops.map((hop) => atJumpHost(hop.name, device.name));
    return { credentials, at: credentials.name === device.credentials.name ? [...at, ...own] : at };
  });
  return uses.filter(({ at }) => at.length > 0);
}

/** Who refused a credential; null: nobody. */
function rejectedBy({ code, detail }: Failure, device: string): string | null {
  if (code === 'login.rejected' || code === 'login.enable-rejected') return device;
  return code === 'connect.jump' && detail.code === 'login.rejected' ? atJumpHost(detail.hop, device) : null;
}

/** From the strictest on. */
const admissions: readonly Admission[] = ['held', 'probe', 'one-at-a-time', 'free'];

function strictest(answers: readonly Admission[]): Admission {
  return admissions.find((one) => answers.includes(one)) ?? 'free';
}

function refOf(credentials: Credentials, part: Part): SecretRef | null {
  const ref = credentials[part];
  return ref === 'same-as-password' ? null : ref;
}
