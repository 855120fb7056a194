import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { createLoginGate, type LoginGate } from '../../src/scheduler/login-gate.ts';
import { jumpHost } from '../support/jump-host.ts';
import { day, device, minute, second, start, TestClock } from './support.ts';

let root: string;
let clock: TestClock;
let ledger: Ledger;
let gate: LoginGate;
/** Servers (devices and jump hosts) that reject. */
let stale: Set<string>;
/** Where a secret was sent, in order. */
let sent: string[];
let secret: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-gate-'));
  clock = new TestClock();
  ledger = openLedger(join(root, 'ledger.db'));
  stale = new Set();
  sent = [];
  secret = 'first-secret';
  gate = createLoginGate({ clock, ledger, readSecret: async () => secret, key: Buffer.alloc(32, 7) });
});
afterEach(() => {
  expect(clock.pending).toBe(0);
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const signal = new AbortController().signal;
const names = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `fw${n + from}`);

/** A device behind these jump hosts, each with the credential named after the colon. */
function behind(name: string, hops: readonly string[], own = 'readonly'): PlannedDevice {
  const plain = device(name);
  const fast = { loginsPerSecond: 1_000 };
  return {
    ...plain,
    credentials: { ...plain.credentials, ...fast, name: own },
    jump: hops.map((hop) => {
      const [host = '', credential = ''] = hop.split(':');
      return jumpHost(host, 22, {
        credentials: { ...fast, name: credential, password: { env: `PASSWORD_${credential}` } },
      });
    }),
  };
}

/** One login through everything before the device, a second at each server. */
function login(
  to: PlannedDevice,
  slotMs: number | null = start,
  dead: readonly string[] = [],
): Promise<string> {
  return gate
    .around(to, slotMs, signal, async ({ readSecret, passed, accepted }) => {
      for (const hop of [...to.jump, to]) {
        const value = await readSecret(hop.credentials.password ?? { env: '' });
        sent.push(hop.name);
        await new Promise<void>((resolve) => clock.after(second, resolve));
        if (dead.includes(hop.name))
          throw new BackupError('connect.timeout', { host: hop.host, port: 22, afterMs: second });
        if (stale.has(hop.name) && value === 'first-secret') {
          const { host, port } = hop;
          if (hop === to) throw new BackupError('login.rejected', { username: 'backup', methods: [] });
          const words = { says: 'rejected', todo: 'correct it' };
          throw new BackupError('connect.jump', {
            ...{ hop: hop.name, host, port, code: 'login.rejected', ...words },
          });
        }
        if (hop === to) accepted();
        else passed(hop.name);
      }
      await new Promise<void>((resolve) => clock.after(minute, resolve));
    })
    .then(
      () => 'ok',
      (thrown: unknown) => failureOf(thrown).code,
    );
}

async function all(devices: readonly PlannedDevice[], slotMs: number | null = start): Promise<string[]> {
  const logins = devices.map((one) => login(one, slotMs));
  await clock.pass(30 * minute);
  return Promise.all(logins);
}

const count = (results: readonly string[], code: string) => results.filter((each) => each === code).length;

describe('the credential of a jump host', () => {
  it('that is stale is sent three times for a whole fleet behind it, and is held then', async () => {
    stale.add('bastion');
    expect(await all([behind('fw0', ['bastion:hop'])])).toEqual(['connect.jump']);
    const fleet = names(100, 1).map((name) => behind(name, ['bastion:hop']));
    const results = await all(fleet);
    expect(sent).toEqual(['bastion', 'bastion', 'bastion']);
    expect(count(results, 'credentials.held-back')).toBe(98);
    // The devices' own credential was rejected by nobody.
    expect(gate.heldBack()).toEqual(
      new Map([
        ['hop', true],
        ['readonly', false],
      ]),
    );
    const thrown: unknown = await gate
      .around(behind('fw8', ['bastion:hop']), start, signal, async () => {})
      .catch((error: unknown) => error);
    expect(failureOf(thrown)).toMatchObject({
      detail: { credential: 'hop', rejectedBy: ['bastion (to fw0)', expect.anything(), expect.anything()] },
    });
    // A device beside it is not held up.
    expect(await all([behind('fw200', [])])).toEqual(['ok']);
  });

  it('is accepted by the jump host, whatever becomes of the device', async () => {
    stale.add('bastion');
    await all([behind('fw0', ['bastion:hop'])]);
    await all([behind('fw1', ['bastion:hop'])]);
    stale.clear();
    const lost = login(behind('fw2', ['bastion:hop']), start, ['fw2']);
    await clock.pass(minute);
    expect(await lost).toBe('connect.timeout');
    stale.add('bastion');
    await all([behind('fw3', ['bastion:hop'])]);
    expect(gate.heldBack().get('hop')).toBe(false);
  });

  it('lets the next one in once the jump host accepted it, before the device did', async () => {
    stale.add('bastion');
    await all([behind('fw0', ['bastion:hop'])]);
    stale.clear();
    sent = [];
    const logins = names(3, 1).map((name) => login(behind(name, ['bastion:hop'])));
    await clock.pass(1.5 * second);
    expect(sent.filter((server) => server === 'bastion')).toHaveLength(3);
    await clock.pass(5 * minute);
    expect(count(await Promise.all(logins), 'ok')).toBe(3);
  });

  it('that is the one of the devices too is used in one turn, and counts once', async () => {
    stale.add('bastion');
    const fleet = names(20).map((name) => behind(name, ['bastion:readonly']));
    await all(fleet.slice(0, 1));
    expect(count(await all(fleet.slice(1)), 'credentials.held-back')).toBe(17);
    expect(sent).toEqual(['bastion', 'bastion', 'bastion']);
  });

  it('that is the one of the devices too and accepted there, is still held when devices reject it', async () => {
    const fleet = names(20).map((name) => behind(name, ['bastion:readonly']));
    for (const { name } of fleet) stale.add(name);
    await all(fleet.slice(0, 1));
    await all(fleet.slice(1));
    expect(sent.filter((server) => server !== 'bastion')).toHaveLength(3);
    expect(gate.heldBack()).toEqual(new Map([['readonly', true]]));
  });

  it('and another one, in the other order elsewhere, never wait for each other', async () => {
    for (const name of ['east', 'west']) stale.add(name);
    await all([behind('fw0', ['east:a'], 'b'), behind('fw1', ['west:b'], 'a')]);
    stale.clear();
    const fleet = names(10, 2).map((name, n) =>
      n % 2 === 0 ? behind(name, ['east:a'], 'b') : behind(name, ['west:b'], 'a'),
    );
    expect(count(await all(fleet), 'ok')).toBe(10);
  });

  it('that turns out stale while a fleet waits for the other credential is not sent by those who wait', async () => {
    stale.add('fw0').add('bastion');
    await all([behind('fw0', [])]);
    sent = [];
    // By name, the one of the jump host is asked for first.
    const results = await all(names(20, 1).map((name) => behind(name, ['bastion:a-hop'])));
    expect(sent).toEqual(['bastion', 'bastion', 'bastion']);
    expect(count(results, 'credentials.held-back')).toBe(17);
  });

  it('that becomes one at a time holds nobody for ever who waits for two credentials', async () => {
    stale.add('fw0').add('bastion');
    await all([behind('fw0', [])]);
    const logins = names(3, 1).map((name) => login(behind(name, ['bastion:a-hop'])));
    await clock.pass(1.5 * second);
    // It asks for the one of the jump host before the others have asked again.
    logins.push(login(behind('fw9', ['bastion:a-hop'])));
    await clock.pass(minute);
    const results = await Promise.race([Promise.all(logins), clock.pass(minute).then(() => ['nobody'])]);
    expect(results.toSorted()).toEqual([
      'connect.jump',
      'connect.jump',
      'connect.jump',
      'credentials.held-back',
    ]);
  });

  it('is probed once a slot where it is held, by a device that went through before', async () => {
    const fleet = names(30).map((name) => behind(name, ['bastion:hop']));
    expect(count(await all(fleet), 'ok')).toBe(30);
    stale.add('bastion');
    for (const one of fleet.slice(0, 3)) await all([one], start + day);
    sent = [];
    await all(fleet.slice(3), start + day);
    expect(sent).toEqual(['bastion']);
    stale.clear();
    expect(count(await all(fleet.slice(5), start + 2 * day), 'ok')).toBe(25);
  });

  it('is released by another value of its own secret', async () => {
    stale.add('bastion');
    for (const name of names(3)) await all([behind(name, ['bastion:hop'])]);
    expect(await all([behind('fw9', ['bastion:hop'])])).toEqual(['credentials.held-back']);
    secret = 'second-secret';
    expect(await all([behind('fw9', ['bastion:hop'])])).toEqual(['ok']);
  });

  it('is held for those who only ask for host keys behind it, and their rejections count', async () => {
    stale.add('bastion');
    const asked = async (name: string) =>
      gate
        .aroundJumps(behind(name, ['bastion:hop']), signal, async ({ readSecret }) => {
          await readSecret({ env: 'PASSWORD_hop' });
          sent.push('bastion');
          const detail = { hop: 'bastion', host: 'h', port: 22, code: 'login.rejected', says: '', todo: '' };
          throw new BackupError('connect.jump', detail);
        })
        .catch(failureOf);
    for (const name of names(5)) {
      const pending = asked(name);
      await clock.pass(second);
      await pending;
    }
    expect(sent).toHaveLength(3);
    expect(await all([behind('fw9', ['bastion:hop'])])).toEqual(['credentials.held-back']);
  });

  it('is used at its own rate', async () => {
    const began: number[] = [];
    const logins = names(5).map((name) => {
      const to = behind(name, ['bastion:hop']);
      const slow = to.jump.map((hop) => ({
        ...hop,
        credentials: { ...hop.credentials, loginsPerSecond: 2 },
      }));
      return gate.around({ ...to, jump: slow }, start, signal, async () => {
        began.push(clock.monotonicMs());
      });
    });
    await clock.pass(10 * second);
    await Promise.all(logins);
    expect(began).toEqual([0, 500, 1_000, 1_500, 2_000]);
  });
});
