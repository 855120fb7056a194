import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { credentialsOf, type Device, type SecretRef, secretRefsOf } from '../core/device.ts';
import type { RemoteStatus } from '../core/remotes.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import type { Version } from '../ledger/ledger.ts';
import type { CollectorGauges, DeviceGauges, MetricsSource } from '../metrics/source.ts';
import type { Calendar } from '../scheduler/calendar.ts';
import type { LoginGate } from '../scheduler/login-gate.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { weakAlgorithms } from '../transport/algorithms.ts';
import { archiveDueMs } from './archives.ts';
import type { Context, State } from './services/context.ts';
import { type DeviceStanding, standings } from './services/history.ts';

/** What `/metrics` shows of a running daemon. */
export interface DaemonMetrics extends MetricsSource {
  /** Before the first scrape. */
  watch(scheduler: Scheduler, gate: LoginGate, changesLimited: () => number): void;
  /** Before the first scrape. */
  watchRemotes(remotes: () => readonly RemoteStatus[]): void;
  /** A load of the configuration was accepted, or refused. */
  loaded(ok: boolean): void;
  /** Measures the state directory and tries every referenced secret: too slow for a scrape. Never rejects. */
  measure(): Promise<void>;
}

const nothing = { 'configs.git': 0, artefacts: 0, ledger: 0, spool: 0 } as const;

/** Everything comes from the ledger and the scheduler; only sizes and the state of secrets are remembered. */
export function metricsSource(context: Context, state: State, calendar: Calendar): DaemonMetrics {
  const { clock } = context;
  const startedMs = clock.nowMs();
  let watched: { scheduler: Scheduler; gate: LoginGate; changesLimited: () => number } | null = null;
  let load = { ok: true, acceptedMs: startedMs };
  let secretsReadable = true;
  let remotes: () => readonly RemoteStatus[] = () => [];
  let sizes: CollectorGauges['stateDir'] = { freeBytes: null, sizeBytes: nothing };

  return {
    watch(scheduler, gate, changesLimited) {
      watched = { scheduler, gate, changesLimited };
    },
    watchRemotes(status) {
      remotes = status;
    },
    loaded(ok) {
      load = ok ? { ok, acceptedMs: clock.nowMs() } : { ...load, ok };
    },
    async measure() {
      const { settings, devices } = await context.configuration();
      sizes = {
        freeBytes: await freeBytes(settings.stateDir),
        sizeBytes: {
          'configs.git': await sizeOf(join(settings.stateDir, 'configs.git')),
          artefacts: await sizeOf(join(settings.stateDir, 'artefacts')),
          ledger: await sizeOf(join(settings.stateDir, 'ledger.db')),
          spool: await sizeOf(join(settings.stateDir, 'spool')),
        },
      };
      secretsReadable = await readable(devices, context.readSecret);
    },
    async collector() {
      const { devices } = await context.configuration();
      const enabled = devices.filter((device) => device.enabled);
      const scheduler = watched?.scheduler.state();
      return {
        inventory: {
          lastLoadOk: load.ok,
          lastAcceptedMs: load.acceptedMs,
          unpinnedHostKeys: enabled.filter((device) => !pinned(device, state)).length,
          weakAlgorithms: new Map(weakAlgorithms.map((name) => [name, allowing(enabled, name)])),
        },
        credentials: {
          lastLoadOk: secretsReadable,
          heldBack: heldBack(devices, watched?.gate),
        },
        scheduler: {
          lastTickMs: scheduler?.lastTickMs ?? startedMs,
          queueLength: scheduler?.queueLength ?? 0,
          oldestQueuedMs: scheduler?.oldestQueuedMs ?? null,
        },
        changesLimited: watched?.changesLimited() ?? 0,
        workers: { configured: scheduler?.workers ?? 0, busy: scheduler?.busy ?? 0 },
        lastCommitMs: state.ledger.lastVersionMs(),
        fsck: await state.repository.inspected(),
        remotes: remotes().map(({ failure, ...remote }) => ({
          ...remote,
          failure: failure?.reason ?? null,
        })),
        spool: await state.spool.standing(),
        stateDir: sizes,
        chainLength: state.ledger.chainLength(),
      };
    },
    async devices() {
      const { devices } = await context.configuration();
      const byName = new Map(devices.map((device) => [device.name, device]));
      const parts = standings(
        context,
        devices.map((device) => device.name),
        (device) => watched?.scheduler.present(device) ?? null,
      );
      const gauges: DeviceGauges[] = [];
      for await (const part of parts) {
        const good = state.ledger.newestVersions(part.flatMap(({ deviceId }) => deviceId ?? []));
        for (const standing of part) {
          const device = byName.get(standing.status.device);
          if (device !== undefined)
            gauges.push(gaugesOf(device, standing, good.get(standing.deviceId ?? '') ?? []));
        }
      }
      return gauges;
    },
  };

  function gaugesOf(
    device: PlannedDevice,
    { status: row, summary }: DeviceStanding,
    good: readonly Version[],
  ): DeviceGauges {
    const last = summary?.lastRun ?? null;
    return {
      name: row.device,
      platform: row.platform,
      group: row.group,
      enabled: device.enabled,
      lastAttemptMs: last?.endedAtMs ?? null,
      lastAttemptOk: last?.state === 'changed' || last?.state === 'unchanged',
      lastSuccessMs: row.lastSuccessMs,
      lastChangeMs: changedMs(good),
      nextRunMs: device.enabled ? row.nextRunMs : null,
      dueMs: device.enabled ? row.dueMs : null,
      expectedIntervalMs: device.enabled
        ? calendar.longestGapMs(device.plan.schedule, device.plan.timezone, clock.nowMs())
        : null,
      consecutiveFailures: row.consecutiveFailures,
      configBytes: principal(good)?.bytes ?? null,
      lastDurationMs: last?.endedAtMs == null ? null : last.endedAtMs - last.startedAtMs,
      state: row.state,
      restorable: row.restorable,
      unsaved: row.facts?.unsaved ?? null,
      failureCode: row.failure?.code ?? null,
      archives: row.archives.map(({ name, lastSuccessMs, lastAttemptMs, failure }) => ({
        name,
        lastSuccessMs,
        lastAttemptOk: lastAttemptMs === null ? null : failure === null,
        dueMs: device.enabled ? archiveDueMs(calendar, device, name, lastSuccessMs) : null,
      })),
    };
  }
}

function principal(good: readonly Version[]): Version | null {
  return good.find((version) => version.artefact === 'running-config') ?? null;
}

function changedMs(good: readonly Version[]): number | null {
  return good.length === 0 ? null : Math.max(...good.map((version) => version.atMs));
}

function pinned(device: Device, state: State): boolean {
  return device.hostKeys.length > 0 || state.hostKeys.of(device.host, device.port).length > 0;
}

function allowing(devices: readonly Device[], algorithm: string): number {
  const allowed = ({ ssh }: Pick<Device, 'ssh'>) => ssh.allow.includes(algorithm) || ssh.profile === 'legacy';
  return devices.filter((device) => allowed(device) || device.jump.some(allowed)).length;
}

function heldBack(devices: readonly Device[], gate: LoginGate | undefined): ReadonlyMap<string, boolean> {
  const held = new Map(devices.flatMap(credentialsOf).map(({ name }) => [name, false]));
  for (const [name, is] of gate?.heldBack() ?? []) if (held.has(name)) held.set(name, is);
  return held;
}

/** Whether every secret that an enabled device refers to can be read now. */
async function readable(
  devices: readonly Device[],
  readSecret: (ref: SecretRef) => Promise<string>,
): Promise<boolean> {
  const used = new Map(
    devices
      .filter(({ enabled }) => enabled)
      .flatMap(secretRefsOf)
      .map((ref) => [JSON.stringify(ref), ref]),
  );
  // Together: each may be a program that does not answer for its ten seconds.
  const reads = [...used.values()].map((ref) => readSecret(ref));
  const results = await Promise.allSettled(reads);
  return results.every(({ status }) => status === 'fulfilled');
}

async function freeBytes(path: string): Promise<number | null> {
  return statfs(path).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
}

/** Of a file, or of everything below a directory; what goes away meanwhile counts nothing. */
async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  if (found === null) return 0;
  if (!found.isDirectory()) return found.size;
  let bytes = 0;
  for (const name of await readdir(path).catch(() => [])) bytes += await sizeOf(join(path, name));
  return bytes;
}
