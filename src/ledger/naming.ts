import { OperationError } from '../core/errors.ts';
import { appendRecord } from './chain.ts';
import { numberOrNull, text } from './rows.ts';
import type { Row, Statements } from './statements.ts';

/** What happens to the names of devices; each change appends its chain record. Call them in a transaction. */
export interface Naming {
  byName(name: string): Row | null;
  /** The device that had this name last; null where none had it. */
  byFormerName(name: string): Row | null;
  /** Whether this device had the name before. */
  hadName(id: string, name: string): boolean;
  rename(id: string, from: string, to: string, atMs: number): void;
  /** Frees the name of a device whose history stays, under a name that says until when it had the other one. */
  putAside(device: Row, atMs: number): void;
}

/** The longest name that the inventory and the control socket take. */
const longestName = 63;

/** The name that a device gets when another one takes its own: `fw1.retired-2026-03-01`. */
export function nameAside(device: Row, atMs: number): string {
  const retiredMs = numberOrNull(device.retired_at_ms);
  const date = new Date(retiredMs ?? atMs).toISOString().slice(0, 10);
  const suffix = `.${retiredMs === null ? 'until' : 'retired'}-${date}`;
  return `${text(device.name).slice(0, longestName - suffix.length)}${suffix}`;
}

/** Whether this is a name that a device was put aside with. */
export function isAside(name: string): boolean {
  return /\.(?:until|retired)-\d{4}-\d\d-\d\d(?:-\d+)?$/.test(name);
}

export function naming(sql: Statements): Naming {
  const byName = (name: string) => sql.get('SELECT * FROM device WHERE name = ?', name);

  function rename(id: string, from: string, to: string, atMs: number): void {
    sql.run('UPDATE device SET name = ? WHERE id = ?', to, id);
    sql.run(
      `INSERT INTO former_name (name, device, until_ms) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms`,
      ...[from, id, atMs],
    );
    appendRecord(sql, 'rename', atMs, { device: id, name: to, formerly: from });
  }

  return {
    byName,
    byFormerName: (name) =>
      sql.get(
        `SELECT device.* FROM former_name JOIN device ON device.id = former_name.device
         WHERE former_name.name = ? ORDER BY until_ms DESC LIMIT 1`,
        name,
      ),
    hadName: (id, name) =>
      sql.get('SELECT 1 FROM former_name WHERE device = ? AND name = ?', id, name) !== null,
    rename,
    putAside(device, atMs) {
      const wanted = nameAside(device, atMs);
      let free = wanted;
      for (let count = 2; byName(free) !== null; count++)
        free = `${wanted.slice(0, longestName - 1 - String(count).length)}-${count}`;
      rename(text(device.id), text(device.name), free, atMs);
    },
  };
}

/** Makes a device one of another platform: what is known of the box that was there before counts no more. */
export function replacePlatform(sql: Statements, device: Row, platform: string, atMs: number): void {
  const was = text(device.platform);
  if (was === platform) return;
  sql.run(
    `UPDATE device SET platform = ?, hostname = NULL, hostnames = '{}', serials = '[]', facts = NULL,
       good_platform = CASE WHEN good_run IS NULL THEN NULL ELSE ifnull(good_platform, platform) END WHERE id = ?`,
    ...[platform, text(device.id)],
  );
  appendRecord(sql, 'platform', atMs, { device: text(device.id), platform, was });
}

/** Throws OperationError where the older device was still read when this one was known: they are two. */
export function refuseTwoLives(name: string, own: Row, older: Row): void {
  const registeredMs = Number(own.registered_at_ms);
  if (own.good_run === null || (numberOrNull(older.last_attempt_ms) ?? 0) < registeredMs) return;
  const former = text(older.name);
  throw new OperationError(
    `${name} cannot go on with the history of ${former}: ${former} was still read after ${name} came in ${new Date(registeredMs).toISOString()}, so they are two devices`,
    `remove ${former} from \`formerly\` of ${name}; its history stays: roundsman log ${former}`,
  );
}
