import { appendRecord } from './chain.ts';
import { numberOrNull, text } from './rows.ts';
import { slots } from './slots.ts';
import type { Statements } from './statements.ts';

/** Where main has one artefact of a device's newest good copy. */
export interface Place {
  readonly deviceId: string;
  readonly name: string;
  readonly group: string;
  readonly platform: string;
  readonly artefact: string;
  /** In the commit that is main's newest. */
  readonly path: string;
  /** The version: this path in this commit. */
  readonly version: { readonly commit: string; readonly path: string };
}

/** What happens to devices besides being read: they move, and they are retired. Throws BackupError `record.*` or `store.*`. */
export interface Lives {
  /** Of every device, ordered by name; at the cost of the versions, not of their texts. */
  places(): readonly Place[];
  /** Files were moved on main by one commit; the versions stay what they were. One chain record. */
  moved(move: {
    readonly atMs: number;
    readonly commit: string;
    readonly places: readonly {
      readonly deviceId: string;
      readonly artefact: string;
      readonly path: string;
    }[];
  }): void;
  /**
   * From `sinceMs` on the device is read no more, and its name is free. What is open of it ends
   * `skipped{disabled}`. `commit` took its files away; null where there was none. Again for a device that is
   * retired already: only the commit is noted.
   */
  retire(retirement: {
    readonly deviceId: string;
    readonly sinceMs: number;
    readonly atMs: number;
    readonly commit: string | null;
  }): void;
  /** Whether a commit that no run made is known. */
  knowsCommit(commit: string): boolean;
  /** From now on it is. */
  noteCommit(commit: string, atMs: number): void;
}

/** The newest version of each artefact of a device. */
const newestOf = 'SELECT max(n) FROM version WHERE device = ? GROUP BY artefact';

export function lives(sql: Statements): Lives {
  const noteCommit = (commit: string, atMs: number): void => {
    sql.run('INSERT INTO commit_taken_in (id, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING', commit, atMs);
  };
  return {
    places: () =>
      sql
        .all(
          `SELECT device.id, device.name, device.grp, device.platform, version.artefact, version.commit_id,
             version.path, ifnull(version.lies_at, version.path) AS lies_at
           FROM (SELECT max(n) AS newest FROM version GROUP BY device, artefact)
           JOIN version ON version.n = newest
           JOIN device ON device.id = version.device
           JOIN run ON run.id = device.good_run
           WHERE ifnull(version.lies_at, version.path) <> ''
             AND version.artefact IN (SELECT value FROM json_each(run.artefacts))
           ORDER BY device.name, version.artefact`,
        )
        .map((row) => ({
          deviceId: text(row.id),
          name: text(row.name),
          group: text(row.grp),
          platform: text(row.platform),
          artefact: text(row.artefact),
          path: text(row.lies_at),
          version: { commit: text(row.commit_id), path: text(row.path) },
        })),
    moved: ({ atMs, commit, places }) =>
      sql.transaction(() => {
        for (const { deviceId, artefact, path } of places)
          sql.run(
            'UPDATE version SET lies_at = ? WHERE n = (SELECT max(n) FROM version WHERE device = ? AND artefact = ?)',
            ...[path, deviceId, artefact],
          );
        noteCommit(commit, atMs);
        appendRecord(sql, 'moved', atMs, { commit, places: places.map((place) => ({ ...place })) });
      }),
    retire: ({ deviceId, sinceMs, atMs, commit }) =>
      sql.transaction(() => {
        const device = sql.get('SELECT name, retired_at_ms FROM device WHERE id = ?', deviceId);
        sql.run(
          'UPDATE device SET retired_at_ms = ifnull(retired_at_ms, ?), plan = NULL WHERE id = ?',
          ...[sinceMs, deviceId],
        );
        sql.run(`UPDATE version SET lies_at = '' WHERE n IN (${newestOf})`, deviceId);
        const [history] = slots(sql).historiesOf([deviceId], atMs);
        slots(sql).write(
          (history?.open ?? []).map(({ slotMs, deadlineMs }) => ({
            ...{ kind: 'close', deviceId, slotMs, deadlineMs, detectedAtMs: atMs },
            end: { state: 'skipped', cause: 'disabled' },
          })),
        );
        if (commit !== null) noteCommit(commit, atMs);
        const since = numberOrNull(device?.retired_at_ms) ?? sinceMs;
        appendRecord(sql, 'retire', atMs, {
          device: deviceId,
          name: text(device?.name),
          since_ms: since,
          commit,
        });
      }),
    knowsCommit: (commit) => sql.get('SELECT 1 FROM commit_taken_in WHERE id = ?', commit) !== null,
    noteCommit,
  };
}
