import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Initialised } from '../cli/services.ts';
import { OperationError } from '../core/errors.ts';

/**
 * Writes a first configuration: settings, an inventory with one commented device, the fingerprint key
 * and an age identity. Overwrites nothing: throws OperationError when one of them is there already.
 */
export async function writeFirstConfiguration(
  dir: string,
  generateIdentity: () => Promise<{ identity: string; recipient: string }>,
): Promise<Initialised> {
  const root = resolve(dir);
  const files = {
    configFile: join(root, 'roundsman.yaml'),
    inventoryFile: join(root, 'devices.yaml'),
    fingerprintKeyFile: join(root, 'fingerprint.key'),
    identityFile: join(root, 'identity.txt'),
  };
  const there = Object.values(files).filter((file) => existsSync(file));
  if (there.length > 0) {
    throw new OperationError(
      `${there.join(', ')} exists already`,
      'name another directory, or go on with the configuration that is there: roundsman check',
    );
  }
  const { identity, recipient } = await generateIdentity();
  const system = root === '/etc/roundsman';
  await mkdir(root, { recursive: true, mode: 0o700 });
  const write = (file: string, text: string): Promise<void> =>
    writeFile(file, text, { mode: 0o600, flag: 'wx' });
  await write(files.configFile, settingsTemplate(recipient, system ? '/var/lib/roundsman' : './state'));
  await write(files.inventoryFile, inventoryTemplate);
  await write(files.fingerprintKeyFile, `${randomBytes(32).toString('hex')}\n`);
  await write(files.identityFile, identityTemplate(identity, recipient));
  return { ...files, recipient };
}

function settingsTemplate(recipient: string, stateDir: string): string {
  return `# Settings of Roundsman. Everything that is not here has a default:
# see config/roundsman.example.yaml of the distribution. Check with: roundsman check

# configs.git (bare), ledger, sealed copies, known_hosts. Relative to this file.
state_dir: ${stateDir}
inventory: devices.yaml

# Device sessions at once.
workers: 32

secrets:
  # Who can open the sealed full texts. Add a second recipient: one lost identity must not lose them all.
  recipients:
    - ${recipient}
  # Masks secrets in git, so that a changed secret is a visible diff. Keep a copy of this file.
  fingerprint_key: { file: ./fingerprint.key }

log: { level: info, format: plain }
`;
}

const inventoryTemplate = `# Devices of Roundsman. Every key that a device can have: devices.example.yaml of the distribution.

credentials:
  readonly:
    username: backup
    # A reference, never the password itself: { env: NAME }, { file: PATH } (mode 0400), { credential: NAME }
    # (systemd) or { command: [program, argument] }.
    password: { env: RM_PASSWORD }
    # enable: true            # ASA: the same password again; or a reference of its own

devices: []
# devices:
#   - name: fw1
#     platform: cisco_asa     # cisco_asa | fortinet_fortigate | f5_bigip
#     host: 192.0.2.10
#     credentials: readonly
`;

function identityTemplate(identity: string, recipient: string): string {
  return `# KEEP THIS OFF THIS MACHINE.
# It opens every sealed configuration; Roundsman needs it for \`restore\` alone, and never to back up.
# Move it to a safe place (a password manager, a printed page), then delete it here.
# public key: ${recipient}
${identity.trim()}
`;
}
