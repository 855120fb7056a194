import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Encrypter } from 'age-encryption';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/artefacts/unseal.ts';
import type {
  BackupEvent,
  Comparison,
  DeviceStatus,
  Fleet,
  Held,
  HostKey,
  Message,
  OfferedKeys,
  Reached,
  RunEntry,
  Services,
} from '../../src/cli/services.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import { unknownCondition } from '../../src/core/device.ts';
import { BackupError, InvalidConfiguration, OperationError, UsageError } from '../../src/core/errors.ts';
import type { RunEnded } from '../../src/core/run.ts';
import { daemonAnswers, remoteServices } from '../../src/daemon/remote.ts';
import type { RunRow, Version } from '../../src/ledger/ledger.ts';
import { ask, type Opened, open, servicesWith } from '../http/fake-sources.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { jumpHost } from '../support/jump-host.ts';

/** Every byte, what ends a line of JSON or of a terminal, and what the wire uses itself. */
const hostile = `${Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('')}\u2028"}\n{"__proto__":1}{"$map":[]}\n{"result":1}\n`;

const runId = '20260301T020007Z-9f3a1c5e';
const commit = 'c0ffee'.padEnd(40, '0');
const failure = { code: 'connect.timeout', detail: { host: hostile, port: 22, afterMs: 15_000 } } as const;
const version: Version = {
  ...{ deviceId: 'fw1', artefact: 'context-a.running-config', commit, runId, atMs: 1, bytes: 12 },
  path: 'default/fw1/context-a.running-config.cfg',
};
const row: RunRow = {
  runId,
  deviceId: 'fw1',
  device: 'fw1',
  platform: 'cisco_asa',
  group: 'default',
  slotMs: null,
  trigger: 'manual',
  state: 'failed',
  failure,
  startedAtMs: 1,
  endedAtMs: 2,
  commit: null,
  restorable: null,
  restorableBecause: hostile,
  acceptedAtMs: null,
};

function ended(device: string, settled: RunEnded['settled'] = { outcome: 'unchanged', commit }): RunEnded {
  return {
    ...{ runId, device, group: 'default', platform: 'cisco_asa', trigger: 'manual', settled },
    ...{
      startedAtMs: 1,
      endedAtMs: 2,
      restorable: null,
      restorableBecause: null,
      artefacts: [],
      unsaved: null,
      archives: [],
      stack: null,
    },
  };
}

const interrupted = {
  outcome: 'failed',
  failure: { code: 'run.interrupted', detail: { by: 'signal' } },
} as const;

let dir: string;
let opened: Opened | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'remote-'));
});

afterEach(async () => {
  await opened?.[Symbol.asyncDispose]();
  opened = null;
  rmSync(dir, { recursive: true });
});

/** The far side of a daemon that has these services. */
async function remote(given: Partial<Services>, fallback: Partial<Services> = {}): Promise<Services> {
  opened = await open({ services: servicesWith(given) }, { listen: null });
  return remoteServices(opened.socket, servicesWith(fallback));
}

interface Case<Name extends keyof Services & string> {
  readonly name: Name;
  readonly args: Services[Name] extends (...args: infer Args) => unknown ? Args : never;
  readonly result: Services[Name] extends (...args: never[]) => Promise<infer Result> ? Result : never;
}

function one<Name extends keyof Services & string>(
  name: Name,
  args: Case<Name>['args'],
  result: Case<Name>['result'],
): Case<Name> {
  return { name, args, result };
}

const key: HostKey = {
  type: 'ssh-ed25519',
  fingerprint: 'SHA256:x',
  blob: Buffer.from([0, 255, 10, 13, 0xe9]),
};
const offered: OfferedKeys = {
  ...{
    device: 'fw1',
    jumpHost: false,
    host: '192.0.2.1',
    port: 22,
    offered: [key],
    pinned: [key],
    demanded: [],
    failure,
  },
};
const status: DeviceStatus = {
  ...{ device: 'fw1', platform: 'cisco_asa', group: 'default', state: 'failing', restorable: 'partial' },
  ...{ restorableBecause: hostile, lastSuccessMs: null, lastAttemptMs: 1, nextRunMs: null, dueMs: null },
  ...{ facts: null, archives: [], consecutiveFailures: 1, failure, runId },
};
const missed: RunEntry = {
  ...row,
  runId: null,
  trigger: null,
  state: 'missed',
  cause: 'overload',
  startedAtMs: null,
};
const held: Held = {
  entry: {
    ...{
      runId,
      deviceId: 'fw1',
      deviceName: 'fw1',
      group: 'default',
      platform: 'cisco_asa',
      trigger: 'manual',
    },
    ...{
      slotMs: 1,
      readAtMs: 2,
      condition: unknownCondition,
      serials: ['A'],
      restorable: 'yes',
      restorableBecause: null,
      maskKey: 'k',
    },
    artefacts: [{ name: 'running-config', masked: hostile, sealed: null }],
    facts: { hostname: hostile, version: null, model: null, serial: null, changedBy: null, changedAt: null },
    rules: 'r',
  },
  failure,
};
const messages = new Map<string, Message>([
  [commit, { subject: hostile, trailers: [['Device', 'fw1']] }],
  ['__proto__', { subject: '', trailers: [] }],
]);
const comparison: Comparison = {
  diff: {
    kind: 'hunks',
    hunks: [
      {
        ...{ beforeStart: 1, beforeLines: 1, afterStart: 1, afterLines: 0, sections: [hostile] },
        lines: [{ kind: 'removed', text: hostile }],
      },
    ],
    addedLines: 0,
    removedLines: 1,
  },
  note: null,
};

const cases = [
  one('status', [['fw1', 'fw2']], [status]),
  one('runs', [{ devices: ['fw1'], states: ['missed', 'failed'], sinceMs: 1, untilMs: null }], [missed]),
  one('runs', [{ devices: null, states: null, sinceMs: null, untilMs: 2 }], []),
  one('run', [runId], row),
  one('run', [runId], null),
  one('versions', ['fw1'], [version]),
  one('held', ['fw1'], [held]),
  one(
    'archives',
    ['fw1'],
    [
      {
        ...{ deviceId: 'fw1', name: 'ucs', runId, attemptedAtMs: 1, failure: null },
        sealed: { digest: 'd', bytes: 10 },
      },
    ],
  ),
  one('text', [version], hostile),
  one('messages', [[commit]], messages),
  one('compare', ['fw1', hostile, ''], comparison),
  one('transcript', ['fw1', null], { runId, text: hostile }),
  one('transcript', ['fw1', runId], null),
  one('accept', ['fw1', runId, 'alice as roundsman'], commit),
  one('release', ['readonly', 'uid 10001'], undefined),
  one('trust', [[{ device: 'fw1', jumpHost: false, keys: [key] }], true], undefined),
  one('sealed', ['fw1', 'running-config', null], { bytes: Buffer.from([0, 1, 0xfe]), runId }),
  one('sealed', ['fw1', 'running-config', runId], null),
];

describe('a call through the socket', () => {
  it.each(cases)('$name: arguments and result arrive as they are', async ({ name, args, result }) => {
    const seen: unknown[] = [];
    const services = await remote({
      [name]: (...given: unknown[]) => {
        seen.push(given);
        return Promise.resolve(result);
      },
    });
    const call = services[name] as (...given: readonly unknown[]) => Promise<unknown>;
    expect(await call(...args)).toStrictEqual(result);
    expect(seen).toStrictEqual([args]);
  });

  it('accept and release tell who runs the command, where nobody is named', async () => {
    const told: unknown[] = [];
    const keep = (...given: unknown[]) => Promise.resolve(void told.push(given));
    opened = await open(
      { services: servicesWith({ accept: keep as never, release: keep }) },
      { listen: null },
    );
    const services = remoteServices(opened.socket, servicesWith({}), systemClock, 'alice as roundsman');
    await services.accept('fw1', runId);
    await services.release('readonly');
    expect(told).toEqual([
      ['fw1', runId, 'alice as roundsman'],
      ['readonly', 'alice as roundsman'],
    ]);
    const line = 'alice\nbackup failure';
    await expect(services.accept('fw1', runId, line)).rejects.toThrow('does not understand');
  });

  it('fleet comes without the passwords that the inventory holds literally', async () => {
    const device = {
      ...{ name: 'fw1', group: 'default', enabled: true },
      credentials: {
        ...{ name: 'c', username: 'backup', agent: false, loginsPerSecond: 5 },
        password: { literal: 'hunter2' },
        enable: { literal: 'hunter3' },
        privateKey: { file: '/k' },
        passphrase: { literal: 'hunter4' },
      },
      jump: [
        jumpHost('bastion', 22, {
          credentials: { password: { literal: 'hunter5' }, passphrase: { literal: 'hunter6' } },
        }),
      ],
      archives: [{ name: 'ucs', schedule: '0 3 * * 0', timezone: 'UTC', passphrase: { literal: 'hunter7' } }],
    } as unknown as Device;
    const fleet: Fleet = { devices: [device], groups: ['default'], gone: ['fw0'], warnings: [] };
    const services = await remote({ fleet: () => Promise.resolve(fleet) });
    const got = await services.fleet();
    expect(JSON.stringify(got)).not.toContain('hunter');
    expect(got.devices).toEqual([{ name: 'fw1', group: 'default', enabled: true }]);
    expect(got).toMatchObject({ groups: ['default'], gone: ['fw0'] });
    expect(device.credentials.password).toEqual({ literal: 'hunter2' });
  });

  it.each([
    new OperationError(hostile, 'do this'),
    new UsageError('there is no device fw9', 'list them'),
    new InvalidConfiguration([
      { file: 'roundsman.yaml', path: 'workers', line: 3, message: hostile, nearest: 'worker' },
    ]),
    new BackupError('store.disk-full', { path: '/var/lib', freeBytes: 0 }),
  ])('$name is thrown here as it was thrown there', async (error) => {
    const services = await remote({
      status: () => Promise.reject(error),
      backup: () => Promise.reject(error),
    });
    const watch = { onEvent: () => {}, signal: new AbortController().signal };
    for (const call of [services.status([]), services.backup([], watch)]) {
      const thrown = await call.catch((caught: unknown) => caught);
      expect(thrown).toBeInstanceOf(error.constructor);
      expect(Object.entries(thrown as object)).toEqual(Object.entries(error));
      expect((thrown as Error).message).toBe(error.message);
    }
    expect(opened?.unexpected).toEqual([]);
  });

  it('a defect of the daemon is said here and logged there', async () => {
    const defect = new TypeError('x is not a function');
    const services = await remote({ status: () => Promise.reject(defect) });
    await expect(services.status([])).rejects.toMatchObject({
      code: 'bug.unexpected',
      detail: { thrown: 'TypeError: x is not a function' },
    });
    expect(opened?.unexpected).toEqual([defect]);
  });

  it.each([
    ['a name that is a path', (services: Services) => services.transcript('../../etc', null)],
    ['a run id that is a path', (services: Services) => services.transcript('fw1', '../x')],
    ['a commit that is an option', (services: Services) => services.messages(['--output=/tmp/x'])],
    ['a line feed in a path', (services: Services) => services.text({ ...version, path: 'a\nb' })],
    ['a field too many', (services: Services) => services.text({ ...version, more: 1 } as Version)],
  ])('%s is refused before anything is called', async (_what, call) => {
    const services = await remote({});
    await expect(call(services)).rejects.toMatchObject({
      name: 'OperationError',
      message: expect.stringContaining('does not understand the command'),
      todo: expect.stringContaining('another version'),
    });
    expect(opened?.unexpected).toEqual([]);
  });

  it('large texts pass', async () => {
    const big = `${'x'.repeat(99)}\n`.repeat(300_000);
    const services = await remote({
      compare: () => Promise.resolve(comparison),
      text: () => Promise.resolve(big),
    });
    expect(await services.compare('fw1', big, big)).toStrictEqual(comparison);
    expect(await services.text(version)).toBe(big);
  });
});

describe('what stays with the caller', () => {
  it('init, check, keysFromFile and daemon never reach the socket', async () => {
    const done: unknown[] = [];
    const note =
      (name: string) =>
      (...args: unknown[]) => {
        done.push([name, ...args]);
        return Promise.resolve({} as never);
      };
    const services = await remote(
      {},
      {
        init: note('init'),
        check: note('check'),
        keysFromFile: note('keysFromFile'),
        daemon: note('daemon'),
        [Symbol.asyncDispose]: note('dispose'),
      },
    );
    await services.init('/etc/roundsman');
    await services.check();
    await services.keysFromFile(['fw1'], 'known_hosts');
    await services[Symbol.asyncDispose]();
    expect(done).toEqual([
      ['init', '/etc/roundsman'],
      ['check'],
      ['keysFromFile', ['fw1'], 'known_hosts'],
      ['dispose'],
    ]);
  });

  it('an identity: the sealed copy comes, and is opened here', async () => {
    const { identity, recipient } = await generateIdentity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const bytes = Buffer.from(await encrypter.encrypt(gzipSync('hostname fw1\n')));
    const identityFile = join(dir, 'identity.txt');
    writeFileSync(identityFile, identity);
    const seen: unknown[] = [];
    const services = await remote({
      sealed: (...args) => {
        seen.push(args);
        return Promise.resolve({ bytes, runId });
      },
    });
    const unsealed = await services.restore('fw1', 'running-config', null, identityFile);
    expect(unsealed).toEqual({ bytes: Buffer.from('hostname fw1\n'), runId });
    expect(seen).toEqual([['fw1', 'running-config', null]]);
    await expect(services.restore('fw1', 'running-config', null, join(dir, 'absent'))).rejects.toThrow(
      /absent cannot be read/,
    );
  });

  it('nothing is asked of an identity where nothing is sealed', async () => {
    const services = await remote(
      { sealed: () => Promise.resolve(null) },
      { restore: () => Promise.resolve(null) },
    );
    expect(await services.restore('fw1', 'running-config', null, '/absent')).toBeNull();
  });

  it('an archive is opened here, from the disk: it may be larger than an answer can be', async () => {
    const asked: unknown[] = [];
    const services = await remote(
      { sealed: () => Promise.resolve(null) },
      {
        restore: (...args) => {
          asked.push(args);
          return Promise.resolve({ bytes: Buffer.from([1]), runId });
        },
      },
    );
    expect(await services.restore('lb1', 'ucs', runId, '/id')).toEqual({ bytes: Buffer.from([1]), runId });
    expect(asked).toEqual([['lb1', 'ucs', runId, '/id']]);
  });

  it.each(['init', 'restore', 'check', 'keysFromFile', 'daemon'])(
    '%s is not answered on the socket',
    async (name) => {
      await remote({});
      const where = { socketPath: opened?.socket ?? '' };
      expect((await ask(where, `/api/v1/call/${name}`, { method: 'POST', body: '[]' })).status).toBe(404);
    },
  );
});

describe('a long call', () => {
  it('tells each event in its order, before the result', async () => {
    const told: BackupEvent[] = [
      { type: 'started', device: 'fw1' },
      { type: 'progress', device: 'fw1', receivedBytes: 1024 },
      { type: 'ended', ended: ended('fw1', { outcome: 'failed', failure }) },
      { type: 'started', device: 'fw2' },
      { type: 'ended', ended: ended('fw2') },
    ];
    const result = told.flatMap((event) => (event.type === 'ended' ? [event.ended] : []));
    const services = await remote({
      async backup(devices, { onEvent }) {
        expect(devices).toEqual(['fw1', 'fw2']);
        for (const event of told) {
          onEvent(event);
          await Promise.resolve();
        }
        return result;
      },
    });
    const events: BackupEvent[] = [];
    const { signal } = new AbortController();
    const got = await services.backup(['fw1', 'fw2'], { onEvent: (event) => events.push(event), signal });
    expect(events).toStrictEqual(told);
    expect(got).toStrictEqual(result);
  });

  it('tells an event when it happens, not at the end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const services = await remote({
      async reach(_devices, { onEvent }) {
        onEvent({ device: 'fw1', platform: 'cisco_asa', durationMs: 1, failure });
        await promise;
        return [];
      },
    });
    const events: Reached[] = [];
    const onEvent = (event: Reached) => {
      events.push(event);
      // The daemon ends the call only now: an event that came late would let it wait for ever.
      resolve();
    };
    expect(await services.reach(['fw1'], { onEvent, signal: new AbortController().signal })).toEqual([]);
    expect(events).toEqual([{ device: 'fw1', platform: 'cisco_asa', durationMs: 1, failure }]);
  });

  it('is aborted from here, and what became of each device is still told', async () => {
    const abort = new AbortController();
    const services = await remote({
      async backup(_devices, { onEvent, signal }) {
        onEvent({ type: 'started', device: 'fw1' });
        await once(signal, 'abort');
        onEvent({ type: 'ended', ended: ended('fw1', interrupted) });
        return [ended('fw1', interrupted)];
      },
    });
    const events: string[] = [];
    const onEvent = (event: BackupEvent) => {
      events.push(event.type);
      if (event.type === 'started') abort.abort();
    };
    const got = await services.backup(['fw1'], { onEvent, signal: abort.signal });
    expect(got).toEqual([ended('fw1', interrupted)]);
    expect(events).toEqual(['started', 'ended']);
  });

  it('is aborted at once where the signal was given before', async () => {
    const services = await remote({
      async offeredKeys(_devices, signal) {
        if (!signal.aborted) await once(signal, 'abort');
        return [offered];
      },
    });
    expect(await services.offeredKeys(['fw1'], AbortSignal.abort())).toStrictEqual([offered]);
  });

  it('ends in the daemon when its caller is gone', async () => {
    const aborted = Promise.withResolvers<void>();
    const services = await remote({
      async backup(_devices, { onEvent, signal }) {
        onEvent({ type: 'started', device: 'fw1' });
        await once(signal, 'abort');
        aborted.resolve();
        onEvent({ type: 'ended', ended: ended('fw1', interrupted) });
        return [];
      },
    });
    // Throwing out of the listener closes the connection, as the end of the process would.
    const onEvent = () => {
      throw new Error('the terminal is gone');
    };
    const signal = new AbortController().signal;
    await expect(services.backup(['fw1'], { onEvent, signal })).rejects.toThrow('the terminal is gone');
    await aborted.promise;
    expect(opened?.unexpected).toEqual([]);
  });

  it('of one caller ends without the calls of others', async () => {
    const signals: AbortSignal[] = [];
    const finish = Promise.withResolvers<void>();
    const both = Promise.withResolvers<void>();
    const services = await remote({
      async backup(devices, { signal }) {
        signals.push(signal);
        if (signals.length === 2) both.resolve();
        await Promise.race([finish.promise, once(signal, 'abort')]);
        return devices.map((device) => ended(device));
      },
    });
    const first = new AbortController();
    const onEvent = () => {};
    const one = services.backup(['fw1'], { onEvent, signal: first.signal });
    const two = services.backup(['fw2'], { onEvent, signal: new AbortController().signal });
    await both.promise;
    first.abort();
    expect(await one).toEqual([ended('fw1')]);
    expect(signals.filter(({ aborted }) => aborted)).toHaveLength(1);
    finish.resolve();
    expect(await two).toEqual([ended('fw2')]);
  });

  it('leaves out progress that its caller does not read, and nothing else', async () => {
    const services = await remote({
      async backup(_devices, { onEvent }) {
        // Without a pause the connection takes nothing in between.
        for (let n = 0; n < 20_000; n++) onEvent({ type: 'progress', device: 'fw1', receivedBytes: n });
        for (let n = 0; n < 100; n++) onEvent({ type: 'started', device: `fw${n}` });
        return [];
      },
    });
    let progress = 0;
    const started: string[] = [];
    await services.backup(['fw1'], {
      signal: new AbortController().signal,
      onEvent: (event) => {
        if (event.type === 'progress') progress++;
        if (event.type === 'started') started.push(event.device);
      },
    });
    expect(progress).toBeLessThan(20_000);
    expect(started).toEqual(Array.from({ length: 100 }, (_, n) => `fw${n}`));
  });

  it('is aborted and answered when the daemon closes', async () => {
    const services = await remote({
      async backup(_devices, { onEvent, signal }) {
        onEvent({ type: 'started', device: 'fw1' });
        await once(signal, 'abort');
        return [ended('fw1', interrupted)];
      },
    });
    const onEvent = () => {
      void opened?.server[Symbol.asyncDispose]();
    };
    const got = await services.backup(['fw1'], { onEvent, signal: new AbortController().signal });
    expect(got).toEqual([ended('fw1', interrupted)]);
  });

  it('that takes an hour in silence is told again and again that the daemon lives', async () => {
    const there = new FakeClock();
    const finish = Promise.withResolvers<void>();
    const backup = async (): Promise<RunEnded[]> => {
      await finish.promise;
      return [ended('fw1')];
    };
    opened = await open({ services: servicesWith({ backup }) }, { listen: null, clock: there });
    // The caller's patience: one timer that is set anew whenever something was heard.
    let patience = 0;
    const running = new Set<object>();
    const here: Clock = {
      ...{ nowMs: () => 0, monotonicMs: () => 0 },
      after() {
        patience++;
        const timer = { cancel: () => void running.delete(timer) };
        running.add(timer);
        return timer;
      },
    };
    const services = remoteServices(opened.socket, servicesWith({}), here);
    const call = services.backup(['fw1'], { onEvent: () => {}, signal: new AbortController().signal });
    await expect.poll(() => there.pending).toBe(1);
    await expect.poll(() => patience).toBe(2);
    for (let beat = 1; beat <= 5; beat++) {
      await there.until(new Promise<void>((resolve) => void there.after(15_000, resolve)));
      await expect.poll(() => patience).toBe(2 + beat);
      expect(running.size).toBe(1);
    }
    finish.resolve();
    expect(await call).toEqual([ended('fw1')]);
    expect(running.size).toBe(0);
    await expect.poll(() => there.pending).toBe(0);
  });
});

describe('a daemon that fails', () => {
  it('in the middle of a call is said to have ended', async () => {
    const script = join(dir, 'daemon.ts');
    const socket = join(dir, 'control.sock');
    const fake = new URL('../http/fake-sources.ts', import.meta.url).pathname;
    writeFileSync(
      script,
      `import { open, servicesWith } from ${JSON.stringify(fake)};
       const hang = () => new Promise(() => {});
       await open({ services: servicesWith({
         status: hang,
         backup(devices, { onEvent }) { onEvent({ type: 'started', device: devices[0] }); return hang(); },
       }) }, { listen: null, socket: ${JSON.stringify(socket)} });
       process.stdout.write('up');`,
    );
    const daemon = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(daemon.stdout, 'data');
    const services = remoteServices(socket, servicesWith({}));
    expect(await daemonAnswers(socket)).toBe(true);
    const status = services.status(['fw1']).catch((error: unknown) => error);
    const backup = services
      .backup(['fw1'], { onEvent: () => daemon.kill('SIGKILL'), signal: new AbortController().signal })
      .catch((error: unknown) => error);
    for (const error of await Promise.all([status, backup])) {
      expect(error).toBeInstanceOf(OperationError);
      expect(String(error)).toContain('the daemon ended before it had answered');
    }
    expect(await daemonAnswers(socket)).toBe(false);
    await expect(services.status(['fw1'])).rejects.toThrow(/no daemon answers on/);
  });

  it('and hangs is given up after two minutes', async () => {
    const clock = new FakeClock();
    const listening = await stuck();
    const services = remoteServices(join(dir, 'stuck.sock'), servicesWith({}), clock);
    const call = services.status(['fw1']);
    await expect(clock.until(call)).rejects.toThrow('the daemon has not answered for 2 min');
    expect(clock.pending).toBe(0);
    listening.close();
  });

  it.each([
    ['something else', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['an answer that is not JSON', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{'],
  ])('%s on the socket is no daemon', async (_what, answer) => {
    const listening = await stuck(answer);
    const services = remoteServices(join(dir, 'stuck.sock'), servicesWith({}));
    await expect(services.status(['fw1'])).rejects.toThrow('is not roundsman');
    listening.close();
  });

  it('what ends its lines too early has not answered', async () => {
    const listening = await stuck('HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"call": "x"}\n');
    const services = remoteServices(join(dir, 'stuck.sock'), servicesWith({}));
    const watch = { onEvent: () => {}, signal: new AbortController().signal };
    await expect(services.backup(['fw1'], watch)).rejects.toThrow('ended its answer too early');
    listening.close();
  });

  /** Accepts, and says this or nothing. */
  async function stuck(answer?: string): Promise<Server> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.unref();
      if (answer !== undefined) socket.once('data', () => socket.end(answer));
    });
    server.listen(join(dir, 'stuck.sock'));
    await once(server, 'listening');
    return server;
  }
});

describe('whether a daemon answers', () => {
  it('is true of one that does', async () => {
    await remote({});
    expect(await daemonAnswers(opened?.socket ?? '')).toBe(true);
  });

  it.each([
    ['no socket', () => join(dir, 'absent')],
    ['a file', () => dir],
    ['a path that is too long', () => join(dir, 'x'.repeat(200))],
  ])('is false where there is %s', async (_what, path) => {
    expect(await daemonAnswers(path())).toBe(false);
  });

  it('is false of one that accepts and says nothing', async () => {
    const server = createServer((socket) => socket.unref());
    server.listen(join(dir, 'mute.sock'));
    await once(server, 'listening');
    expect(await daemonAnswers(join(dir, 'mute.sock'))).toBe(false);
    server.close();
  });
});
