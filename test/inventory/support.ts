import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { InventoryOptions } from '../../src/inventory/inventory.ts';
import type { Defaults } from '../../src/inventory/precedence.ts';

/** The settings' part of the plan; every value differs from what the tests write elsewhere. */
export const defaults: Defaults = {
  schedule: '0 2 * * *',
  timezone: 'UTC',
  splayMs: null,
  startWithinMs: null,
  maxRuntimeMs: 1_800_000,
  retryLaterMs: 3_600_000,
  maxAgeMs: null,
  blackout: [],
  catchUpSpreadMs: 900_000,
};

/** Options in the shapes that drivers have: two platforms share a name and not its values. */
const choices: InventoryOptions['choices'] = new Map([
  [
    'cisco_asa',
    {
      options: [
        { name: 'on_standby', takes: ['skip', 'store'], standard: 'store', says: '' },
        {
          name: 'elevate',
          takes: { matching: /enable(?: (?:[1-9]|1[0-5]))?|login|\d/, expected: '"enable" or a level' },
          standard: 'enable',
          says: '',
        },
      ],
      archives: [],
    },
  ],
  [
    'fortinet_fortigate',
    {
      options: [
        { name: 'on_standby', takes: ['skip', 'store'], standard: 'store', says: '' },
        { name: 'method', takes: ['shell', 'scp'], standard: 'shell', says: '' },
        { name: 'elevate', takes: ['shell', 'scp'], standard: 'shell', says: '' },
        { name: 'full_configuration', takes: 'flag', standard: false, says: '' },
      ],
      archives: [],
    },
  ],
  ['f5_bigip', { options: [], archives: ['ucs', 'scf'] }],
]);

export const options: InventoryOptions = {
  choices,
  defaults,
  platforms: ['cisco_asa', 'fortinet_fortigate', 'f5_bigip'],
  algorithms: ['ssh-rsa', 'diffie-hellman-group1-sha1'],
  nowMs: Date.UTC(2026, 0, 1),
  vault: true,
};

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** A directory that is gone after the test. */
export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-inventory-'));
  dirs.push(dir);
  return dir;
}

/** A file in such a directory. */
export function temporaryFile(content: string | Buffer, name = 'devices.yaml', mode = 0o600): string {
  const file = join(temporaryDir(), name);
  writeFileSync(file, content, { mode });
  return file;
}
