import { setPriority } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { busyTimeoutMs } from './sqlite-errors.ts';

/** What `inspectLedger` starts: reads the ledger that it is given, and prints as JSON what SQLite says of it. */
const [, , file = ''] = process.argv;
try {
  // Whoever backs up comes first. A service may be forbidden to say so.
  setPriority(19);
} catch {}
process.stdout.write(JSON.stringify(said()));

function said(): string {
  const database = new DatabaseSync(file, { readOnly: true, timeout: busyTimeoutMs });
  try {
    return String(database.prepare('PRAGMA quick_check(1)').get()?.quick_check);
  } catch (error) {
    // A page that cannot be read at all ends the check.
    if (error instanceof Error && 'errcode' in error && [11, 26].includes(Number(error.errcode) & 0xff))
      return error.message;
    throw error;
  } finally {
    database.close();
  }
}
