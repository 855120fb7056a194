import { BackupError, type Failure } from '../core/errors.ts';
import { appendRecord } from './chain.ts';
import { failureFrom, numberOrNull, text, textOrNull } from './rows.ts';
import type { Row, Statements } from './statements.ts';

/** One time that an archive was due and asked for. */
export interface ArchiveAttempt {
  readonly deviceId: string;
  readonly name: string;
  readonly runId: string;
  /** UTC epoch milliseconds. */
  readonly attemptedAtMs: number;
  /** Null: it failed. */
  readonly sealed: SealedArchive | null;
  /** Null: it is stored. */
  readonly failure: Failure | null;
}

/** When an archive was asked for last, and whether it came to be stored. */
export interface LastAttempt {
  readonly atMs: number;
  readonly stored: boolean;
}

/** An archive as it lies on the disk. */
export interface SealedArchive {
  /** SHA-256 (hex) of the sealed file. */
  readonly digest: string;
  /** Of the sealed file. */
  readonly bytes: number;
}

/** Where one archive of one device stands. */
export interface ArchiveStanding {
  readonly name: string;
  readonly lastAttemptMs: number;
  /** Null before the first one that is stored. */
  readonly lastSuccessMs: number | null;
  /** Of the newest attempt; null where that is stored. */
  readonly failure: Failure | null;
}

/** Files that devices made for us. */
export interface Archives {
  /** Writes one attempt down, with its chain record. Throws BackupError `record.failed` where its run is unknown. */
  ended(attempt: ArchiveAttempt): void;
  /** The newest attempt at this archive, whatever came of it; null: it was never asked for. */
  last(deviceId: string, name: string): LastAttempt | null;
  /** By device, each of its archives that was ever asked for, by name. */
  standings(): ReadonlyMap<string, readonly ArchiveStanding[]>;
  /** Every one that is kept, newest first. */
  list(deviceId: string): readonly ArchiveAttempt[];
  /** The one of exactly this run, or the newest where `runId` is null; null where none is kept. */
  kept(deviceId: string, name: string, runId: string | null): ArchiveAttempt | null;
}

export function archives(sql: Statements): Archives {
  return {
    ended: ({ deviceId, name, runId, attemptedAtMs, sealed, failure }) =>
      sql.transaction(() => {
        if (sql.get('SELECT 1 FROM run WHERE id = ?', runId) === null)
          throw new BackupError('record.failed', { problem: `run ${runId} was never opened` });
        sql.run(
          `INSERT INTO archive (device, name, run_id, attempted_at_ms, digest, bytes, error_code, error_detail)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          ...[deviceId, name, runId, attemptedAtMs, sealed?.digest ?? null, sealed?.bytes ?? null],
          ...[failure?.code ?? null, failure === null ? null : JSON.stringify(failure.detail)],
        );
        const record = { device: deviceId, archive: name, run: runId, sealed, error: failure };
        appendRecord(sql, 'archive', attemptedAtMs, record);
      }),
    last: (deviceId, name) => {
      const row = sql.get(
        'SELECT attempted_at_ms, digest FROM archive WHERE device = ? AND name = ? ORDER BY n DESC LIMIT 1',
        ...[deviceId, name],
      );
      return row === null ? null : { atMs: Number(row.attempted_at_ms), stored: row.digest !== null };
    },
    standings: () => {
      const rows = sql.all(
        `SELECT archive.*, success_ms FROM archive JOIN (
           SELECT max(n) AS newest,
             max(CASE WHEN digest IS NOT NULL THEN attempted_at_ms END) AS success_ms
           FROM archive GROUP BY device, name
         ) ON newest = n ORDER BY device, name`,
      );
      const byDevice = new Map<string, ArchiveStanding[]>();
      for (const row of rows) {
        const device = text(row.device);
        const standing: ArchiveStanding = {
          name: text(row.name),
          lastAttemptMs: Number(row.attempted_at_ms),
          lastSuccessMs: numberOrNull(row.success_ms),
          failure: failureFrom(row),
        };
        byDevice.set(device, [...(byDevice.get(device) ?? []), standing]);
      }
      return byDevice;
    },
    list: (deviceId) =>
      sql
        .all('SELECT * FROM archive WHERE device = ? AND digest IS NOT NULL ORDER BY n DESC', deviceId)
        .map(attemptFrom),
    kept: (deviceId, name, runId) => {
      const row =
        runId === null
          ? sql.get(
              `SELECT * FROM archive WHERE device = ? AND name = ? AND digest IS NOT NULL ORDER BY n DESC LIMIT 1`,
              ...[deviceId, name],
            )
          : sql.get(
              'SELECT * FROM archive WHERE device = ? AND name = ? AND run_id = ? AND digest IS NOT NULL',
              ...[deviceId, name, runId],
            );
      return row === null ? null : attemptFrom(row);
    },
  };
}

function attemptFrom(row: Row): ArchiveAttempt {
  const digest = textOrNull(row.digest);
  return {
    deviceId: text(row.device),
    name: text(row.name),
    runId: text(row.run_id),
    attemptedAtMs: Number(row.attempted_at_ms),
    sealed: digest === null ? null : { digest, bytes: Number(row.bytes) },
    failure: failureFrom(row),
  };
}
