import type { MetricsOptions } from '../../src/metrics/render.ts';
import type { CollectorGauges, DeviceGauges } from '../../src/metrics/source.ts';

/** 2026-03-01T00:00:00Z */
export const midnightMs = 1_772_323_200_000;

const platforms = new Map([
  ['cisco_asa', []],
  ['f5_bigip', ['ucs', 'scf']],
  ['fortinet_fortigate', []],
]);

/** A device in order, except for what `said` says. */
export function device(name: string, said: Partial<DeviceGauges> = {}): DeviceGauges {
  return {
    name,
    platform: 'cisco_asa',
    group: 'hq',
    enabled: true,
    lastAttemptMs: midnightMs,
    lastAttemptOk: true,
    lastSuccessMs: midnightMs,
    lastChangeMs: midnightMs - 86_400_000,
    nextRunMs: midnightMs + 86_400_000,
    dueMs: midnightMs + 90_000_000,
    expectedIntervalMs: 86_400_000,
    consecutiveFailures: 0,
    configBytes: 48_211,
    lastDurationMs: 4_250,
    state: 'ok',
    restorable: 'yes',
    unsaved: false,
    failureCode: null,
    archives: [],
    ...said,
  };
}

const collector: CollectorGauges = {
  inventory: {
    lastLoadOk: true,
    lastAcceptedMs: midnightMs,
    unpinnedHostKeys: 0,
    weakAlgorithms: new Map([['ssh-rsa', 2]]),
  },
  credentials: { lastLoadOk: true, heldBack: new Map([['readonly', false]]) },
  scheduler: { lastTickMs: midnightMs, queueLength: 0, oldestQueuedMs: null },
  changesLimited: 0,
  workers: { configured: 32, busy: 1 },
  lastCommitMs: null,
  fsck: { problems: 0, lastCleanMs: null },
  remotes: [],
  spool: { entries: 0, oldestMs: null },
  stateDir: { freeBytes: 1e9, sizeBytes: { 'configs.git': 1, artefacts: 2, ledger: 3, spool: 4 } },
  chainLength: 17,
};

/** Options for `createMetrics` with this fleet, which a test may change between two scrapes. */
export function options(devices: () => readonly DeviceGauges[], said: Partial<MetricsOptions> = {}) {
  return {
    source: { collector: async () => collector, devices: async () => devices() },
    platforms,
    deviceDetail: 'full',
    build: { version: '0.1.0', revision: 'abc1234', nodeVersion: 'v24.15.0' },
    ...said,
  } as const satisfies MetricsOptions;
}

/** The value of exactly this series, labels in the order in which they are written; null where it is absent. */
export function sampleValue(text: string, series: string): number | null {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

/** Names of the metrics that a text declares. */
export function declared(text: string): readonly string[] {
  return [...text.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1] ?? '');
}
