import { PassThrough } from 'node:stream';
import { runCli } from '../../src/cli/run-cli.ts';
import type {
  Held,
  HostKey,
  Message,
  OfferedKeys,
  Services,
  ServicesOptions,
} from '../../src/cli/services.ts';
import type { World } from '../../src/cli/world.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import { unknownCondition } from '../../src/core/device.ts';
import type { Failure } from '../../src/core/errors.ts';
import type { RunEnded, SpoolEntry } from '../../src/core/run.ts';
import type { RunRow, Version } from '../../src/ledger/ledger.ts';
import { plainDevice } from '../support/device.ts';

/** 2026-03-01T02:00:00Z */
export const nowMs = Date.UTC(2026, 2, 1, 2);

export function device(name: string, more: Partial<Device> = {}): Device {
  const timeouts = { connectMs: 1, loginMs: 1, idleMs: 1 };
  return plainDevice({ name, host: `${name}.example`, timeouts, maxRuntimeMs: 1, ...more });
}

export function version(commit: string, atMs: number, more: Partial<Version> = {}): Version {
  return {
    deviceId: 'fw1',
    artefact: 'running-config',
    commit: commit.padEnd(40, '0'),
    path: 'default/fw1/running-config.cfg',
    runId: `run-${commit}`,
    atMs,
    bytes: 5,
    ...more,
  };
}

export const rejected: Failure = {
  code: 'login.rejected',
  detail: { username: 'backup', methods: ['password'] },
};

export const shrunk: Failure = {
  code: 'verify.shrunk',
  detail: { artefact: 'running-config', previousLines: 100, lines: 10, lostSections: ['router bgp 1'] },
};

export function ended(name: string, settled: RunEnded['settled']): RunEnded {
  return {
    runId: `run-of-${name}`,
    device: name,
    group: 'default',
    platform: 'cisco_asa',
    trigger: 'manual',
    startedAtMs: nowMs,
    endedAtMs: nowMs + 1_500,
    settled,
    restorable: settled.outcome === 'failed' ? null : 'yes',
    restorableBecause: null,
    artefacts:
      settled.outcome === 'failed'
        ? []
        : [
            {
              name: 'running-config',
              path: `default/${name}/running-config.cfg`,
              bytes: 2_048,
              changed: true,
            },
          ],
    unsaved: null,
    archives: [],
    stack: null,
  };
}

export const changed: RunEnded['settled'] = {
  outcome: 'changed',
  commit: 'c0ffee'.padEnd(40, '0'),
  addedLines: 12,
  removedLines: 3,
  changed: ['running-config'],
};

export const unchanged: RunEnded['settled'] = { outcome: 'unchanged', commit: 'c0ffee'.padEnd(40, '0') };

export function runRow(runId: string, more: Partial<RunRow> = {}): RunRow {
  return {
    runId,
    deviceId: 'fw1',
    device: 'fw1',
    platform: 'cisco_asa',
    group: 'default',
    slotMs: null,
    trigger: 'manual',
    state: 'changed',
    failure: null,
    startedAtMs: nowMs - 10_000,
    endedAtMs: nowMs - 8_500,
    commit: 'c0ffee'.padEnd(40, '0'),
    restorable: 'yes',
    restorableBecause: null,
    acceptedAtMs: null,
    ...more,
  };
}

export function held(runId: string, masked: string): Held {
  const entry: SpoolEntry = {
    runId,
    deviceId: 'fw1',
    deviceName: 'fw1',
    group: 'default',
    platform: 'cisco_asa',
    trigger: 'manual',
    slotMs: null,
    readAtMs: nowMs,
    artefacts: [{ name: 'running-config', masked, sealed: null }],
    facts: { hostname: null, version: null, model: null, serial: null, changedBy: null, changedAt: null },
    condition: unknownCondition,
    serials: [],
    restorable: 'yes',
    restorableBecause: null,
    maskKey: 'k',
    rules: 'r',
  };
  return { entry, failure: shrunk };
}

export function hostKey(name: string, type = 'ssh-ed25519'): HostKey {
  return { type, fingerprint: `SHA256:${name.padEnd(43, 'x')}`, blob: Buffer.from(`${type} ${name}`) };
}

export function offer(
  name: string,
  offered: HostKey[],
  pinned: HostKey[] = [],
  demanded: string[] = [],
): OfferedKeys {
  return {
    device: name,
    jumpHost: false,
    host: `${name}.example`,
    port: 22,
    offered,
    pinned,
    demanded,
    failure: null,
  };
}

/** Lines of `before` that are gone and lines of `after` that are new, as one hunk: enough for what prints it. */
function compare(before: string, after: string): ReturnType<Services['compare']> {
  const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));
  const old = linesOf(before);
  const now = linesOf(after);
  const lines = [
    ...old.filter((line) => !now.includes(line)).map((text) => ({ kind: 'removed' as const, text })),
    ...now.filter((line) => !old.includes(line)).map((text) => ({ kind: 'added' as const, text })),
  ];
  const addedLines = lines.filter(({ kind }) => kind === 'added').length;
  const hunk = {
    beforeStart: 1,
    beforeLines: lines.length - addedLines,
    afterStart: 1,
    afterLines: addedLines,
    sections: ['interface Ethernet1'],
    lines,
  };
  return Promise.resolve({
    diff: {
      kind: 'hunks',
      hunks: lines.length === 0 ? [] : [hunk],
      addedLines,
      removedLines: lines.length - addedLines,
    },
    note: null,
  });
}

const moved = {
  host: 'collector1',
  exportedAtMs: nowMs,
  chainLength: 12,
  chainHead: 'c4a1'.padEnd(64, '0'),
  main: 'c0ffee'.padEnd(40, '0'),
  sealedCopies: 2,
  sealedBytes: 4_096,
  lostCopies: [],
  waiting: 0,
  held: 0,
};

/** Services made of plain data: one device `fw1` with two versions, unless a test says otherwise. */
function fakeServices(more: Partial<Services> = {}): Services {
  const versions = [version('bbbb2222', nowMs - 1_000), version('aaaa1111', nowMs - 86_400_000)];
  const texts = new Map([
    [versions[0]?.commit, 'hostname fw1\ninterface Ethernet1\n mtu 9000\n'],
    [versions[1]?.commit, 'hostname fw1\ninterface Ethernet1\n mtu 1500\n'],
  ]);
  const message: Message = {
    subject: 'fw1: running-config changed (+1 -1)',
    trailers: [
      ['Device', 'fw1'],
      ['Changed-By', 'alice'],
    ],
  };
  return {
    daemon: ({ stop }) =>
      new Promise((resolve) => {
        if (stop.aborted) resolve();
        else stop.addEventListener('abort', () => resolve());
      }),
    init: (dir) =>
      Promise.resolve({
        configFile: `${dir}/roundsman.yaml`,
        inventoryFile: `${dir}/devices.yaml`,
        fingerprintKeyFile: `${dir}/fingerprint.key`,
        identityFile: `${dir}/identity.txt`,
        recipient: 'age1example',
      }),
    fleet: () =>
      Promise.resolve({
        devices: [device('fw1', { group: 'hq' }), device('fw2'), device('old-box', { enabled: false })],
        groups: ['default', 'hq'],
        gone: ['fw0'],
        warnings: [],
      }),
    check: () =>
      Promise.resolve({
        configFile: 'roundsman.yaml',
        inventoryFile: 'devices.yaml',
        warnings: [],
        sizing: {
          devices: 2,
          sessions: 32,
          runMs: 4_000,
          windowMs: 4_000,
          measured: false,
          disk: {
            ...{ gitBytes: 3_000_000, sealedBytes: 1_500_000, archiveBytes: 500_000 },
            ...{ sealedForMs: 400 * 86_400_000, measured: false },
          },
        },
      }),
    reach: () => Promise.resolve([]),
    remotes: () => Promise.resolve([]),
    exportState: (dir) =>
      Promise.resolve({
        ...moved,
        dir,
        fingerprintKeyFile: `${dir}/fingerprint.key`,
        missed: 0,
        filesToCopy: ['/etc/roundsman/roundsman.yaml', '/etc/roundsman/devices.yaml'],
        secretsToCopy: ['environment variable RM_PASSWORD'],
      }),
    importState: () =>
      Promise.resolve({
        ...moved,
        stateDir: '/var/lib/roundsman',
        importedAtMs: nowMs + 3_600_000,
        fingerprintKey: { state: 'written', place: '/etc/roundsman/fingerprint.key' },
      }),
    verify: () =>
      Promise.resolve({
        commits: 2,
        main: 'c0ffee'.padEnd(40, '0'),
        chain: { length: 12, head: 'c4a1'.padEnd(64, '0') },
        sealedFiles: 2,
        findings: [],
        counts: new Map(),
        accepted: [],
        notes: [],
        fingerprint: 'f1'.padEnd(64, '0'),
      }),
    acceptBreak: () => Promise.resolve(1),
    backup(devices, { onEvent }) {
      const all = devices.map((name) => ended(name, changed));
      for (const one of all) onEvent({ type: 'ended', ended: one });
      return Promise.resolve(all);
    },
    status: () => Promise.resolve([]),
    runs: () => Promise.resolve([]),
    run: () => Promise.resolve(null),
    versions: () => Promise.resolve(versions),
    held: () => Promise.resolve([]),
    archives: () => Promise.resolve([]),
    text: ({ commit }) => Promise.resolve(texts.get(commit) ?? ''),
    messages: (commits) => Promise.resolve(new Map(commits.map((commit) => [commit, message]))),
    compare: (_device, before, after) => compare(before, after),
    transcript: () => Promise.resolve(null),
    accept: () => Promise.resolve('acce97'.padEnd(40, '0')),
    release: () => Promise.resolve(),
    offeredKeys: () => Promise.resolve([]),
    keysFromFile: () => Promise.resolve([]),
    trust: () => Promise.resolve(),
    sealed: () => Promise.resolve(null),
    restore: () => Promise.resolve({ bytes: Buffer.from('hostname fw1\n'), runId: 'run-bbbb2222' }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
    ...more,
  };
}

export interface Called {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the services were made with; empty where no command ran. */
  readonly options: readonly ServicesOptions[];
}

export interface Surroundings {
  readonly services?: Partial<Services>;
  readonly env?: Record<string, string>;
  /** Columns; absent: no terminal. */
  readonly tty?: number;
  readonly answer?: string;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const stillClock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => 0,
  after: () => ({ cancel: () => {} }),
};

/** Runs a command line against fake services and returns what it wrote, one character per byte decoded as UTF-8. */
export async function call(argv: readonly string[], around: Surroundings = {}): Promise<Called> {
  const written = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const options: ServicesOptions[] = [];
  const sink = (to: Buffer[]): World['stdout'] => ({
    write: (data) => to.push(Buffer.from(data)),
    ...(around.tty === undefined ? {} : { isTTY: true, columns: around.tty }),
  });
  const stdin: World['stdin'] = Object.assign(new PassThrough(), { isTTY: around.tty !== undefined });
  (stdin as PassThrough).end(around.answer ?? '');
  const exitCode = await runCli(argv, {
    services(given) {
      options.push(given);
      return fakeServices(around.services);
    },
    stdout: sink(written.stdout),
    stderr: sink(written.stderr),
    stdin,
    env: { PAGER: 'cat', ...around.env },
    clock: around.clock ?? stillClock,
    signal: around.signal ?? new AbortController().signal,
    onSecondSignal: () => {},
    onHangup: () => {},
    version: '1.2.3',
  });
  return {
    exitCode,
    stdout: Buffer.concat(written.stdout).toString(),
    stderr: Buffer.concat(written.stderr).toString(),
    options,
  };
}
