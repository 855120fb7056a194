import { unknownCondition } from '../core/device.ts';
import type { Restorable } from '../core/errors.ts';
import type { Trigger } from '../core/run.ts';
import { appendRecord } from './chain.ts';
import { ends } from './ends.ts';
import { lives } from './lives.ts';
import { naming, replacePlatform } from './naming.ts';
import { numberOrNull, text, textOrNull } from './rows.ts';
import { slots } from './slots.ts';
import type { Row, Statements } from './statements.ts';

/** Who a commit says that it is of. */
export interface StoredDevice {
  readonly deviceId: string;
  readonly name: string;
}

/** A reading as its commit tells of it. */
export interface StoredReading extends StoredDevice {
  readonly commit: string;
  readonly runId: string;
  readonly platform: string;
  readonly group: string;
  readonly trigger: Trigger;
  /** Null: nobody had to. */
  readonly acceptedBy: string | null;
  /** The slot that it was started for; null also where that is no slot of the device. */
  readonly slotMs: number | null;
  readonly startedAtMs: number;
  readonly readAtMs: number;
  readonly restorable: Restorable;
  readonly rules: string;
  readonly maskKey: string;
  readonly model: string | null;
  readonly serial: string | null;
  readonly version: string | null;
  readonly written: readonly {
    readonly artefact: string;
    readonly path: string;
    /** Null where nothing was sealed, or where the commit does not say which one it is. */
    readonly sealed: string | null;
  }[];
  readonly removed: readonly string[];
}

/** A move as its commit tells of it. */
export interface StoredMove {
  readonly commit: string;
  readonly atMs: number;
  readonly devices: readonly (StoredDevice & {
    readonly group: string;
    readonly places: readonly { readonly artefact: string; readonly path: string }[];
  })[];
}

/**
 * Takes over what commits prove and this ledger does not know, oldest commit first; the state lock is held. What
 * contradicts the ledger is refused (false), and nothing is written of it. Throws BackupError `record.*` or `store.*`.
 */
export interface Rebuilding {
  /** Whether a run is known that came to a good end, or was accepted. */
  knowsRun(runId: string): boolean;
  /**
   * A run `changed`, its versions and sealed copies. Its slot is written where nobody expects it any more; an
   * expected one is served by the run, when the schedule is looked at.
   */
  takeReading(reading: StoredReading, nowMs: number): boolean;
  takeMove(move: StoredMove): boolean;
  takeRetirement(retirement: StoredDevice & { readonly commit: string; readonly atMs: number }): boolean;
}

/** git keeps whole seconds. */
const second = 1_000;

export function rebuilding(sql: Statements): Rebuilding {
  const names = naming(sql);
  const { openRun, closeRun, acceptRun } = ends(sql);
  const byId = (id: string) => sql.get('SELECT * FROM device WHERE id = ?', id);

  function isOlder(device: Row, atMs: number): boolean {
    return (numberOrNull(device.last_success_ms) ?? 0) > atMs + second;
  }

  /** The device as the commit has it; null where its name belongs to another one. */
  function deviceOf(reading: StoredReading, nowMs: number): Row | null {
    const { deviceId, name, platform, group, startedAtMs, readAtMs } = reading;
    const found = byId(deviceId);
    if (found !== null && isOlder(found, readAtMs)) return null;
    const holder = names.byName(name);
    if (holder !== null && holder.id !== deviceId) {
      if (holder.retired_at_ms === null) return null;
      names.putAside(holder, readAtMs);
    }
    if (found === null) {
      // What fell due before is not known, and not owed: expectation starts now.
      sql.run(
        'INSERT INTO device (id, name, platform, grp, registered_at_ms, plan_since_ms) VALUES (?, ?, ?, ?, ?, ?)',
        ...[deviceId, name, platform, group, startedAtMs, nowMs],
      );
      appendRecord(sql, 'device', readAtMs, { device: deviceId, name, platform, group });
      return byId(deviceId);
    }
    if (found.name !== name) names.rename(deviceId, text(found.name), name, readAtMs);
    replacePlatform(sql, found, platform, readAtMs);
    sql.run('UPDATE device SET grp = ?, retired_at_ms = NULL WHERE id = ?', group, deviceId);
    return byId(deviceId);
  }

  /** The artefacts of the device after this commit: those that it wrote, and those that it left where they were. */
  function artefactsAfter(reading: StoredReading, device: Row): Parameters<typeof closeRun>[0]['reading'] {
    const { written, removed, rules, maskKey, model, serial, version } = reading;
    const run = sql.get('SELECT artefacts FROM run WHERE id = ?', textOrNull(device.good_run));
    const before = JSON.parse(textOrNull(run?.artefacts) ?? '[]') as readonly string[];
    const kept = before.flatMap((artefact) => {
      if (written.some((one) => one.artefact === artefact)) return [];
      const newest = sql.get(
        'SELECT ifnull(lies_at, path) AS path FROM version WHERE device = ? AND artefact = ? ORDER BY n DESC LIMIT 1',
        ...[text(device.id), artefact],
      );
      const path = textOrNull(newest?.path);
      return path === null || path === '' || removed.includes(path) ? [] : [{ artefact, path }];
    });
    return {
      facts: { hostname: null, version, model, serial, changedBy: null, changedAt: null },
      condition: unknownCondition,
      serials: serial === null ? [] : [serial],
      rules,
      maskKey,
      artefacts: [
        ...written.map(({ artefact, path, sealed }) => ({
          ...{ name: artefact, path, sealed, changed: true, bytes: null },
        })),
        ...kept.map(({ artefact, path }) => ({
          ...{ name: artefact, path, sealed: null, changed: false, bytes: null },
        })),
      ],
    };
  }

  function closeSlot({ slotMs, trigger, runId, readAtMs }: StoredReading, device: Row): void {
    if (slotMs === null || trigger !== 'schedule') return;
    const id = text(device.id);
    const newest =
      numberOrNull(sql.get('SELECT max(due_at_ms) AS ms FROM slot WHERE device = ?', id)?.ms) ?? 0;
    const expectedAfter = Math.max(
      numberOrNull(device.plan_since_ms) ?? Number(device.registered_at_ms),
      newest,
    );
    if (slotMs > expectedAfter) return;
    slots(sql).write([
      { kind: 'record', deviceId: id, slotMs, deadlineMs: readAtMs },
      {
        ...{ kind: 'close', deviceId: id, slotMs, deadlineMs: readAtMs, detectedAtMs: readAtMs },
        end: { state: 'changed', runId },
      },
    ]);
  }

  /** A run that this ledger has, and whose commit it does not have. */
  function takeKnownRun(run: Row, reading: StoredReading): boolean | null {
    const { deviceId, runId, commit, readAtMs, written, acceptedBy } = reading;
    if (run.device !== deviceId) return false;
    if (run.state === 'running') return null;
    if (run.state !== 'quarantined' || run.accepted_at_ms !== null || acceptedBy === null) return false;
    const paths = new Map(written.map(({ artefact, path }) => [artefact, path]));
    acceptRun({ runId, atMs: readAtMs, by: acceptedBy, commit, paths });
    return true;
  }

  return {
    knowsRun: (runId) =>
      sql.get(
        `SELECT 1 FROM run WHERE id = ? AND (state IN ('changed', 'unchanged') OR accepted_at_ms IS NOT NULL)`,
        runId,
      ) !== null,
    takeReading: (reading, nowMs) =>
      sql.transaction(() => {
        const { runId, deviceId, trigger, slotMs, startedAtMs, readAtMs, commit, restorable } = reading;
        const run = sql.get('SELECT * FROM run WHERE id = ?', runId);
        const done = run === null ? null : takeKnownRun(run, reading);
        if (done !== null) return done;
        const device = deviceOf(reading, nowMs);
        if (device === null) return false;
        const good = artefactsAfter(reading, device);
        if (run === null) openRun({ runId, deviceId, trigger, slotMs, startedAtMs });
        closeRun({
          ...{ runId, endedAtMs: readAtMs, outcome: 'changed', failure: null, commit },
          ...{ restorable, restorableBecause: null, reading: good },
        });
        closeSlot(reading, device);
        appendRecord(sql, 'rebuilt', nowMs, { commit, run: runId, device: deviceId });
        return true;
      }),
    takeMove: ({ commit, atMs, devices }) =>
      sql.transaction(() => {
        const known = devices.flatMap((device) => {
          const found = byId(device.deviceId);
          return found === null || isOlder(found, atMs) ? [] : [{ ...device, found }];
        });
        for (const { deviceId, name, group, found } of known) {
          const holder = names.byName(name);
          if (holder !== null && holder.id !== deviceId) names.putAside(holder, atMs);
          const now = text(byId(deviceId)?.name);
          if (now !== name) names.rename(deviceId, now, name, atMs);
          if (found.grp !== group) sql.run('UPDATE device SET grp = ? WHERE id = ?', group, deviceId);
        }
        const places = known.flatMap(({ deviceId, places }) =>
          places.map((place) => ({ deviceId, ...place })),
        );
        lives(sql).moved({ atMs, commit, places });
        return known.length > 0;
      }),
    takeRetirement: ({ commit, atMs, deviceId }) =>
      sql.transaction(() => {
        const found = byId(deviceId);
        if (found === null || isOlder(found, atMs)) return false;
        lives(sql).retire({ deviceId, sinceMs: atMs, atMs, commit });
        return true;
      }),
  };
}
