import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Credentials, Device, SecretRef } from '../core/device.ts';
import { BackupError, failureOf } from '../core/errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { CredentialMemory } from '../ledger/logins.ts';
import { accepted, admission, free, type Hold, probed, rejected } from './holdback.ts';
import { OneAtATime, Rate } from './rate.ts';

/** What one login is made with. */
export interface GatedLogin {
  /** Reads secrets for this login; a keyed digest of each is remembered, never a value. */
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  /** To be called as soon as the device has accepted the login. */
  readonly accepted: () => void;
}

/** The credential hold-back and the rate of logins; one for a process. Its memory is in the ledger. */
export interface LoginGate {
  /**
   * Makes one login when its credential may be used. `slotMs`: the slot of the run, null where no slot
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

  return {
    async around(device, slotMs, signal, attempt) {
      const { credentials } = device;
      const { name } = credentials;
      const account = accountOf(name);
      const ask = () =>
        admission(account.hold, device.name, lastAccepted.get(device.name) === name, slotMs, clock.nowMs());
      const others = { letIn: () => {}, wait: false };
      const leave = () => {
        others.letIn();
        others.wait = false;
      };
      let probing = false;
      try {
        await lookForChange(credentials, account);
        // What was free when it asked may not be any more: every wait asks again.
        for (let itsTurn = false; ; ) {
          const now = ask();
          const undecided = account.probing && !others.wait && !account.hold.refusedTo.includes(device.name);
          if (now === 'held' && !undecided) throw heldBack(name, account);
          if (now !== 'free' && !others.wait) {
            others.letIn = await account.serial.enter(signal);
            others.wait = true;
            continue;
          }
          if (now === 'free') leave();
          if (itsTurn) {
            probing = now === 'probe';
            break;
          }
          await account.rate.turn(credentials.loginsPerSecond, signal);
          itsTurn = true;
        }
        if (probing && slotMs !== null) {
          account.probing = true;
          change(name, account, probed(account.hold, slotMs, clock.nowMs()), 'probe');
        }
        const used = new Map<Part, string>();
        let over = false;
        const login: GatedLogin = {
          async readSecret(ref) {
            const value = await readSecret(ref);
            for (const part of parts)
              if (refOf(credentials, part) === ref) used.set(part, digestOf(part, value));
            return value;
          },
          accepted() {
            if (over) return;
            over = true;
            note(device.name, name);
            if (account.hold.rejectedBy.length > 0 || account.hold.refusedTo.includes(device.name))
              change(name, account, accepted(account.hold, device.name), `${device.name} accepted it`);
            if (probing) account.probing = false;
            leave();
          },
        };
        try {
          const result = await attempt(login);
          login.accepted();
          return result;
        } catch (thrown) {
          const { code } = failureOf(thrown);
          if (!over && (code === 'login.rejected' || code === 'login.enable-rejected')) {
            account.digests = Object.fromEntries(used);
            note(device.name, null);
            change(
              name,
              account,
              rejected(account.hold, device.name, clock.nowMs()),
              `${device.name} rejected it`,
            );
          }
          throw thrown;
        }
      } finally {
        if (probing) account.probing = false;
        leave();
      }
    },
    release(credential, by) {
      const account = accountOf(credential);
      change(credential, account, { ...free }, `released by ${by}`);
    },
    heldBack: () => new Map([...accounts].map(([name, { hold }]) => [name, hold.held])),
  };
}

function refOf(credentials: Credentials, part: Part): SecretRef | null {
  const ref = credentials[part];
  return ref === 'same-as-password' ? null : ref;
}
