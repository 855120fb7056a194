import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateIdentity } from '../../src/artefacts/unseal.ts';

/** A configuration of so many devices in a directory of its own; gone when it is disposed. */
export interface Workplace extends Disposable {
  readonly dir: string;
  readonly config: string;
  readonly state: string;
  readonly repository: string;
  readonly ledger: string;
  /** Of `/metrics`. */
  readonly port: number;
  /** In the order of the inventory. */
  readonly devices: readonly Placed[];
}

/** A device and its folder. */
export interface Placed {
  readonly name: string;
  readonly group: string;
}

const hourMs = 3_600_000;

/** The day's slot that is half a day away from now in both directions: nothing falls due while it is measured. */
export function quietSlot(nowMs: number): { readonly schedule: string; readonly lastMs: number } {
  const hour = new Date(nowMs + 12 * hourMs).getUTCHours();
  const today = Math.floor(nowMs / (24 * hourMs)) * 24 * hourMs + hour * hourMs;
  return { schedule: `0 ${hour} * * *`, lastMs: today > nowMs ? today - 24 * hourMs : today };
}

/** Writes settings and an inventory; `perGroup` devices lie in a folder. */
export async function makeWorkplace(count: number, perGroup: number, schedule: string): Promise<Workplace> {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-bench-'));
  const devices = Array.from({ length: count }, (_, index) => ({
    name: `fw${String(index).padStart(5, '0')}`,
    group: `site-${String(Math.floor(index / perGroup)).padStart(3, '0')}`,
  }));
  const port = await freePort();
  const config = join(dir, 'roundsman.yaml');
  const { recipient } = await generateIdentity();
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text, { mode: 0o600 });
  write('fingerprint.key', `${randomBytes(32).toString('hex')}\n`);
  write('password', 'bench-only\n');
  write(
    'roundsman.yaml',
    [
      'state_dir: ./state',
      'inventory: devices.yaml',
      `schedule: "${schedule}"`,
      `http: { listen: "127.0.0.1:${port}" }`,
      `secrets: { recipients: [${recipient}], fingerprint_key: { file: ./fingerprint.key } }`,
      '',
    ].join('\n'),
  );
  write('devices.yaml', inventoryText(devices));
  const state = join(dir, 'state');
  return {
    ...{ dir, config, state, port, devices },
    repository: join(state, 'configs.git'),
    ledger: join(state, 'ledger.db'),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** As an operator writes it: a few keys for each device. */
export function inventoryText(devices: readonly Placed[]): string {
  const lines = devices.map(
    ({ name, group }, index) =>
      `  - name: ${name}\n    platform: cisco_asa\n    host: 127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}\n` +
      `    group: ${group}\n    credentials: readonly\n    host_key: first-use\n`,
  );
  return `credentials:\n  readonly: { username: backup, password: { file: ./password }, enable: true }\n\ndevices:\n${lines.join('')}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
