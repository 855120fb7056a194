import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createLoginGate, type LoginGate } from '../../src/scheduler/login-gate.ts';
import { day, device, minute, second, settled, start, TestClock } from './support.ts';

let root: string;
let clock: TestClock;
let ledger: Ledger;
let gate: LoginGate;
let secret: string;
/** Devices whose password is another one. */
let stale: Set<string>;
/** What was sent where, in order. */
let sent: string[];
let open: number;
let most: number;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-gate-'));
  clock = new TestClock();
  ledger = openLedger(join(root, 'ledger.db'));
  secret = 'first-secret';
  stale = new Set();
  sent = [];
  open = 0;
  most = 0;
  gate = newGate();
});
afterEach(() => {
  expect(clock.pending).toBe(0);
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

function newGate(): LoginGate {
  return createLoginGate({ clock, ledger, readSecret: async () => secret, key: Buffer.alloc(32, 7) });
}

const signal = new AbortController().signal;

/** One login of a device; what came of it. */
async function login(
  name: string,
  slotMs: number | null = start,
  over: { readonly loginsPerSecond?: number; readonly tookMs?: number; readonly dies?: boolean } = {},
): Promise<string> {
  const { loginsPerSecond = 1_000, tookMs = second, dies = false } = over;
  const plain = device(name);
  const { credentials } = plain;
  const of = { ...plain, credentials: { ...credentials, loginsPerSecond } };
  return gate
    .around(of, slotMs, signal, async ({ readSecret, accepted }) => {
      const value = await readSecret(credentials.password ?? { env: '' });
      open++;
      most = Math.max(most, open);
      sent.push(name);
      try {
        await new Promise<void>((resolve) => clock.after(tookMs, resolve));
        if (dies) throw new BackupError('connect.timeout', { host: name, port: 22, afterMs: tookMs });
        if (stale.has(name) && value === 'first-secret')
          throw new BackupError('login.rejected', { username: 'backup', methods: [] });
      } finally {
        open--;
      }
      accepted();
      // The rest of the session: it holds up nobody.
      await new Promise<void>((resolve) => clock.after(minute, resolve));
    })
    .then(
      () => 'ok',
      (thrown: unknown) => failureOf(thrown).code,
    );
}

const names = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `fw${n + from}`);

/** Lets all of them log in at the same time. */
async function all(devices: readonly string[], slotMs: number | null = start): Promise<string[]> {
  const logins = devices.map((name) => login(name, slotMs));
  await clock.pass(20 * minute);
  return Promise.all(logins);
}

async function one(name: string, slotMs: number | null = start): Promise<string> {
  const [result = ''] = await all([name], slotMs);
  return result;
}

const count = (results: readonly string[], code: string) => results.filter((each) => each === code).length;

describe('a credential', () => {
  it('that nobody rejected is used by everybody at the same time', async () => {
    expect(count(await all(names(20)), 'ok')).toBe(20);
    expect(most).toBe(20);
  });

  it('that one device rejected is used one login at a time, until a device accepts it', async () => {
    stale.add('fw0');
    await one('fw0');
    most = 0;
    const logins = names(5, 1).map((name) => login(name, start, { dies: true }));
    await clock.pass(10 * second);
    expect(count(await Promise.all(logins), 'connect.timeout')).toBe(5);
    expect(most).toBe(1);
    expect(await one('fw6')).toBe('ok');
    most = 0;
    await all(names(5, 10));
    expect(most).toBe(5);
  });

  it('waits for the login of another device only, not for its whole session', async () => {
    stale.add('fw0');
    await one('fw0');
    const logins = [login('fw1'), login('fw2')];
    await clock.pass(3 * second);
    expect(sent).toHaveLength(3);
    await clock.pass(2 * minute);
    await Promise.all(logins);
  });

  it('that was rotated is sent to three devices of five hundred, and is held then', async () => {
    const fleet = names(500);
    for (const name of fleet) stale.add(name);
    // The first one is alone; else those that are under way cannot be called back.
    await one('fw0');
    const results = await all(fleet.slice(1));
    expect(sent).toHaveLength(3);
    expect(count(results, 'credentials.held-back')).toBe(497);
    expect(gate.heldBack()).toEqual(new Map([['readonly', true]]));
  });

  it('that is held is probed once a slot, by a device that accepted it last', async () => {
    const fleet = names(50);
    await all(fleet);
    for (const name of fleet) stale.add(name);
    await one('fw0', start + day);
    sent = [];
    await all(fleet.slice(1), start + day);
    // Two more rejections, then the probe of this slot.
    expect(sent).toHaveLength(3);
    sent = [];
    await all(fleet, start + 2 * day);
    expect(sent).toHaveLength(1);
    await all(names(10, 100), start + 3 * day);
    // Devices that never accepted it do not probe.
    expect(sent).toHaveLength(1);
  });

  it('that is held is not probed all day by devices with slots of their own', async () => {
    const fleet = names(40);
    await all(fleet);
    for (const name of fleet) stale.add(name);
    for (const name of names(3)) await one(name, start + day);
    sent = [];
    for (const [n, name] of names(30, 5).entries()) {
      const attempt = login(name, start + day + n * minute);
      await clock.pass(minute);
      await attempt;
    }
    expect(sent).toEqual(['fw5', 'fw15', 'fw25']);
  });

  it('rejected by three stale boxes stops no fleet: one probe releases all but these', async () => {
    const fleet = names(60);
    await all(fleet);
    for (const name of ['fw0', 'fw1', 'fw2']) stale.add(name);
    for (const name of ['fw0', 'fw1', 'fw2']) expect(await one(name, start + day)).toBe('login.rejected');
    const results = await all(fleet.slice(3), start + day);
    expect(count(results, 'ok')).toBe(57);
    expect(gate.heldBack()).toEqual(new Map([['readonly', false]]));
    sent = [];
    expect(count(await all(['fw0', 'fw1', 'fw2'], start + 2 * day), 'credentials.held-back')).toBe(3);
    expect(sent).toEqual([]);
  });

  it('that is being probed lets those wait that ask meanwhile, and they log in at the rate of the credential', async () => {
    await all(names(30));
    for (const name of names(3)) {
      stale.add(name);
      await one(name, start + day);
    }
    sent = [];
    const logins = [login('fw5', start + day, { tookMs: 10 * second })];
    await clock.pass(second);
    for (const name of names(10, 10)) logins.push(login(name, start + day, { loginsPerSecond: 2 }));
    await clock.pass(5 * second);
    expect(sent).toEqual(['fw5']);
    await clock.pass(7 * second);
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.length).toBeLessThan(9);
    await clock.pass(5 * minute);
    expect(count(await Promise.all(logins), 'ok')).toBe(11);
  });

  it('is not held by three rejections of one device, nor by two devices with a success between', async () => {
    stale.add('fw0').add('fw1').add('fw2');
    for (let n = 0; n < 4; n++) expect(await one('fw0', start + n * day)).toBe('login.rejected');
    expect(await one('fw1')).toBe('login.rejected');
    expect(await one('fw9')).toBe('ok');
    expect(await one('fw2')).toBe('login.rejected');
    expect(gate.heldBack()).toEqual(new Map([['readonly', false]]));
  });

  it('is held for runs without a slot too, and these do not probe', async () => {
    await all(names(9));
    stale.add('fw0').add('fw1').add('fw2');
    for (const name of ['fw0', 'fw1', 'fw2']) await one(name, null);
    sent = [];
    expect(await one('fw5', null)).toBe('credentials.held-back');
    expect(sent).toEqual([]);
    expect(await one('fw5', start + day)).toBe('ok');
  });

  it('is released by another value of its secret, which is kept nowhere', async () => {
    for (const name of names(3)) {
      stale.add(name);
      await one(name);
    }
    expect(await one('fw0')).toBe('credentials.held-back');
    secret = 'second-secret';
    await clock.pass(minute);
    expect(await one('fw0')).toBe('ok');
    ledger[Symbol.dispose]();
    const bytes = readFileSync(join(root, 'ledger.db'));
    expect(bytes.includes('first-secret')).toBe(false);
    expect(bytes.includes('second-secret')).toBe(false);
    ledger = openLedger(join(root, 'ledger.db'));
  });

  it('is released by an operator, for the devices that rejected it too', async () => {
    for (const name of names(3)) {
      stale.add(name);
      await one(name);
    }
    gate.release('readonly', 'operator');
    stale.clear();
    expect(await one('fw0', null)).toBe('ok');
    const told = [...ledger.chain()].map(({ record }) => JSON.parse(record) as { because?: string });
    expect(told.map(({ because }) => because)).toEqual(['fw2 rejected it', 'released by operator']);
  });

  it('is remembered over a restart: what was held, who rejected it, and when the last probe was', async () => {
    const fleet = names(20);
    await all(fleet);
    for (const name of fleet) stale.add(name);
    for (const name of names(3)) await one(name, start + day);
    gate = newGate();
    sent = [];
    expect(await one('fw4', start + day)).toBe('login.rejected');
    gate = newGate();
    expect(await one('fw5', start + day)).toBe('credentials.held-back');
    expect(sent).toEqual(['fw4']);
  });

  it('says who rejected it and since when, and that nothing was sent', async () => {
    for (const name of names(3)) {
      stale.add(name);
      await one(name);
    }
    const thrown: unknown = await gate.around(device('fw8'), start, signal, async () => {}).catch((e) => e);
    expect(failureOf(thrown)).toEqual({
      code: 'credentials.held-back',
      detail: { credential: 'readonly', rejectedBy: names(3), sinceMs: start + second },
    });
  });
});

describe('logins', () => {
  it('begin at no more than so many a second', async () => {
    const began: number[] = [];
    const logins = names(10).map((name) =>
      gate.around(device(name), start, signal, async () => {
        began.push(clock.monotonicMs());
      }),
    );
    await clock.pass(10 * second);
    await Promise.all(logins);
    expect(began).toEqual(names(10).map((_, n) => n * 200));
  });

  it('that wait end at once when they are aborted, and the next one has its turn', async () => {
    stale.add('fw0');
    await one('fw0');
    const stop = new AbortController();
    const first = login('fw1', start, { tookMs: 10 * second });
    await settled();
    const second_ = gate.around(device('fw2'), start, stop.signal, async () => 'sent').catch(failureOf);
    const third = login('fw3');
    await clock.pass(second);
    stop.abort();
    expect(await second_).toMatchObject({ code: 'run.interrupted' });
    await clock.pass(5 * minute);
    expect(await first).toBe('ok');
    expect(await third).toBe('ok');
  });
});
