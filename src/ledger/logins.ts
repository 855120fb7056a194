import { appendRecord } from './chain.ts';
import { numberOrNull, text, textOrNull } from './rows.ts';
import type { Statements } from './statements.ts';

/** What is remembered of a credential that was refused. Devices are named as the inventory names them. */
export interface CredentialMemory {
  readonly credential: string;
  /** Devices that rejected it since a device last accepted it, in that order. */
  readonly rejectedBy: readonly string[];
  /** Devices that rejected it before it was released by a success: nothing is sent to them. */
  readonly refusedTo: readonly string[];
  /** When the oldest of `rejectedBy` rejected it. UTC epoch milliseconds. */
  readonly sinceMs: number;
  readonly held: boolean;
  /** Keyed digests of the values that were rejected, by what they are for. */
  readonly digests: Readonly<Record<string, string>>;
  /** The slot of the last probe, and when it was made; null before the first. */
  readonly probedSlotMs: number | null;
  readonly probedAtMs: number | null;
}

/** Memory of logins, so that a restart neither forgets a hold nor locks an account. Throws BackupError `record.*` or `store.*`. */
export interface Logins {
  memories(): readonly CredentialMemory[];
  /** Where `told` is not null, a chain record says so: held, or released, and why. */
  remember(memory: CredentialMemory, told: { atMs: number; because: string } | null): void;
  /** The credential that each device accepted last, by the device's name. */
  accepted(): ReadonlyMap<string, string>;
  /** `credential` null: the device rejected it. */
  setAccepted(device: string, credential: string | null): void;
}

export function logins(sql: Statements): Logins {
  return {
    memories: () =>
      sql.all('SELECT * FROM credential ORDER BY name').map((row) => ({
        credential: text(row.name),
        rejectedBy: JSON.parse(text(row.rejected_by)) as readonly string[],
        refusedTo: JSON.parse(text(row.refused_to)) as readonly string[],
        sinceMs: Number(row.since_ms),
        held: row.held === 1,
        digests: JSON.parse(text(row.digests)) as Readonly<Record<string, string>>,
        probedSlotMs: numberOrNull(row.probed_slot_ms),
        probedAtMs: numberOrNull(row.probed_at_ms),
      })),
    remember: (memory, told) =>
      sql.transaction(() => {
        const { credential, rejectedBy, refusedTo, sinceMs, held, digests, probedSlotMs, probedAtMs } =
          memory;
        sql.run(
          `INSERT OR REPLACE INTO credential
             (name, rejected_by, refused_to, since_ms, held, digests, probed_slot_ms, probed_at_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          ...[credential, JSON.stringify(rejectedBy), JSON.stringify(refusedTo), sinceMs, held ? 1 : 0],
          ...[JSON.stringify(digests), probedSlotMs, probedAtMs],
        );
        if (told === null) return;
        const { atMs, because } = told;
        appendRecord(sql, 'credential', atMs, { credential, held, because, rejected_by: rejectedBy });
      }),
    accepted: () =>
      new Map(
        sql
          .all('SELECT device, credential FROM accepted_login')
          .map((row) => [text(row.device), textOrNull(row.credential) ?? '']),
      ),
    setAccepted(device, credential) {
      if (credential === null) sql.run('DELETE FROM accepted_login WHERE device = ?', device);
      else
        sql.run(
          'INSERT OR REPLACE INTO accepted_login (device, credential) VALUES (?, ?)',
          device,
          credential,
        );
    },
  };
}
