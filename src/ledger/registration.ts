import { OperationError } from '../core/errors.ts';
import { appendRecord } from './chain.ts';
import type { KnownDevice, Ledger } from './ledger.ts';
import { isAside, nameAside, naming, refuseTwoLives, replacePlatform } from './naming.ts';
import { deviceFrom, text } from './rows.ts';
import type { Row, Statements } from './statements.ts';

/** Devices: found by the names they have and had, registered, renamed. */
export function registration(
  sql: Statements,
): Pick<Ledger, 'register' | 'registerAll' | 'device' | 'devices' | 'idsByName'> {
  const names = naming(sql);
  const { byName, byFormerName, hadName } = names;

  /** The older device that `formerly` leads to; null where it leads nowhere, or only to what has come to `own` already. */
  function predecessor(own: Row | null, formerly: readonly string[]): Row | null {
    const open = formerly.filter((former) => own === null || !hadName(text(own.id), former));
    for (const look of [byName, byFormerName]) {
      // A name in between may never have been seen here.
      for (const former of open) {
        const found = look(former);
        if (found === null || found.id === own?.id) continue;
        // One that was never read has nothing that could be carried over.
        if (own === null || found.good_run !== null) return found;
      }
    }
    return null;
  }

  /** The device that a line of the inventory goes on with; null: a new one. Frees the name where another one has it. */
  function goesOn(name: string, platform: string, formerly: readonly string[], atMs: number): Row | null {
    const own = byName(name);
    const isRetired = own !== null && own.retired_at_ms !== null;
    if (isRetired && formerly.includes(nameAside(own, atMs))) return own;
    const older = predecessor(own, formerly);
    // What was put aside from this very name may come back to it at any time.
    const comesBack = older !== null && isAside(text(older.name)) && hadName(text(older.id), name);
    if (own !== null && older !== null && !isRetired && !comesBack) refuseTwoLives(name, own, older);
    if (own !== null && (older !== null || isRetired)) {
      names.putAside(own, atMs);
      return older;
    }
    if (own !== null && own.platform !== platform) {
      throw new OperationError(
        `${name} is known as ${text(own.platform)}, the inventory now says ${platform}`,
        `correct the platform of ${name}; where another device took its place, retire ${name} first (\`retired:\`), or give the new one a name of its own with \`formerly: [${name}]\``,
      );
    }
    return older ?? own;
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

  function get(id: string): KnownDevice {
    const row = sql.get('SELECT * FROM device WHERE id = ?', id);
    if (row === null) throw new Error(`the device ${id} is gone from the ledger`);
    return deviceFrom(row);
  }

  const register: Ledger['register'] = ({ name, platform, group, formerly, atMs }) => {
    // Nearly always there is nothing to write, and readers of a fleet must not queue for the writer.
    const known = byName(name);
    if (isSettled(known, platform, group) && predecessor(known, formerly) === null) return deviceFrom(known);
    return sql.transaction(() => {
      const found = goesOn(name, platform, formerly, atMs);
      if (found === null) return get(create(name, platform, group, atMs));
      const id = text(found.id);
      if (found.name !== name) names.rename(id, text(found.name), name, atMs);
      if (found.retired_at_ms !== null) {
        sql.run('UPDATE device SET retired_at_ms = NULL WHERE id = ?', id);
        appendRecord(sql, 'unretire', atMs, { device: id, name });
      }
      replacePlatform(sql, found, platform, atMs);
      if (found.grp !== group) {
        sql.run('UPDATE device SET grp = ? WHERE id = ?', group, id);
        appendRecord(sql, 'move', atMs, { device: id, group });
      }
      return get(id);
    });
  };

  return {
    register,
    registerAll(devices, atMs, refused) {
      const registered = new Map<string, KnownDevice>();
      const one = (device: (typeof devices)[number]): void => {
        try {
          registered.set(device.name, register({ ...device, atMs }));
        } catch (error) {
          if (refused === undefined || !(error instanceof OperationError)) throw error;
          refused(error);
        }
      };
      // Where a name goes to another device, the one that had it moves out first.
      const renamedFirst = devices.toSorted((a, b) => b.formerly.length - a.formerly.length);
      const plain = renamedFirst.filter(({ formerly }) => formerly.length === 0);
      for (const device of renamedFirst.slice(0, renamedFirst.length - plain.length)) one(device);
      // From here on no name changes hands but that of the device itself.
      const rows = new Map(sql.all('SELECT * FROM device').map((row) => [text(row.name), row]));
      for (const device of plain) {
        const row = rows.get(device.name) ?? null;
        if (isSettled(row, device.platform, device.group)) registered.set(device.name, deviceFrom(row));
        else one(device);
      }
      return registered;
    },
    device(name) {
      const found = byName(name) ?? byFormerName(name);
      return found === null ? null : deviceFrom(found);
    },
    devices: () => sql.all('SELECT * FROM device ORDER BY name').map(deviceFrom),
    idsByName: () =>
      new Map(
        sql.all('SELECT id, name FROM device ORDER BY name').map(({ id, name }) => [text(name), text(id)]),
      ),
  };
}

/** Whether there is nothing to write of a device that goes on under its name. */
function isSettled(known: Row | null, platform: string, group: string): known is Row {
  return known?.platform === platform && known.grp === group && known.retired_at_ms === null;
}
