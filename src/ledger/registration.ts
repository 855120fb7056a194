import { OperationError } from '../core/errors.ts';
import { appendRecord } from './chain.ts';
import type { KnownDevice, Ledger } from './ledger.ts';
import { deviceFrom, text } from './rows.ts';
import type { Row, Statements } from './statements.ts';

/** Devices: found by the names they have and had, registered, renamed. */
export function registration(sql: Statements): Pick<Ledger, 'register' | 'device' | 'devices'> {
  const byName = (name: string) => sql.get('SELECT * FROM device WHERE name = ?', name);
  const byFormerName = (name: string) =>
    sql.get(
      `SELECT device.* FROM former_name JOIN device ON device.id = former_name.device
       WHERE former_name.name = ? ORDER BY until_ms DESC LIMIT 1`,
      name,
    );

  /** The device that an inventory line goes on with; null: a new one. */
  function predecessor(name: string, formerly: readonly string[]): Row | null {
    for (const candidate of [name, ...formerly]) {
      const found = byName(candidate);
      if (found !== null) return found;
    }
    // A name in between may never have been seen here.
    for (const former of formerly) {
      const found = byFormerName(former);
      if (found !== null) return found;
    }
    return null;
  }

  /** The name, unless a device that was renamed still has it as its id. */
  function freeId(name: string): string {
    const taken = (id: string) => sql.get('SELECT 1 FROM device WHERE id = ?', id) !== null;
    let id = name;
    for (let count = 2; taken(id); count++) id = `${name}~${count}`;
    return id;
  }

  function create(name: string, platform: string, group: string, atMs: number): string {
    const id = freeId(name);
    sql.run(
      'INSERT INTO device (id, name, platform, grp, registered_at_ms) VALUES (?, ?, ?, ?, ?)',
      ...[id, name, platform, group, atMs],
    );
    appendRecord(sql, 'device', atMs, { device: id, name, platform, group });
    return id;
  }

  function rename(id: string, from: string, to: string, atMs: number): void {
    sql.run('UPDATE device SET name = ? WHERE id = ?', to, id);
    sql.run(
      `INSERT INTO former_name (name, device, until_ms) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms`,
      ...[from, id, atMs],
    );
    appendRecord(sql, 'rename', atMs, { device: id, name: to, formerly: from });
  }

  function get(id: string): KnownDevice {
    const row = sql.get('SELECT * FROM device WHERE id = ?', id);
    if (row === null) throw new Error(`the device ${id} is gone from the ledger`);
    return deviceFrom(row);
  }

  return {
    register({ name, platform, group, formerly, atMs }) {
      // Nearly always there is nothing to write, and readers of a fleet must not queue for the writer.
      const known = byName(name);
      if (known?.platform === platform && known.grp === group) return deviceFrom(known);
      return sql.transaction(() => {
        const found = predecessor(name, formerly);
        if (found === null) return get(create(name, platform, group, atMs));
        const id = text(found.id);
        if (found.platform !== platform) {
          throw new OperationError(
            `${name} is known as ${text(found.platform)}, the inventory now says ${platform}`,
            `correct the platform of ${name}, or give the new device another name`,
          );
        }
        if (found.name !== name) rename(id, text(found.name), name, atMs);
        if (found.grp !== group) {
          sql.run('UPDATE device SET grp = ? WHERE id = ?', group, id);
          appendRecord(sql, 'move', atMs, { device: id, group });
        }
        return get(id);
      });
    },
    device(name) {
      const found = byName(name) ?? byFormerName(name);
      return found === null ? null : deviceFrom(found);
    },
    devices: () => sql.all('SELECT * FROM device ORDER BY name').map(deviceFrom),
  };
}
