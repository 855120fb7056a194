import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout, without a slash at its end. */
export const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Every file below `dir` with its kind, mode and content, for comparing two trees. */
export function treeOf(dir: string): string[] {
  // Not `recursive`: that follows links, and node_modules is one here.
  return readdirSync(dir)
    .sort()
    .flatMap((name) => {
      const path = join(dir, name);
      const stat = lstatSync(path);
      if (stat.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isDirectory()) return [`${name}/ ${mode}`, ...treeOf(path).map((line) => `${name}/${line}`)];
      return [`${name} ${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`];
    });
}

/** A copy of what a distribution holds, and of what `roundsman init` leaves in a checkout: secrets. */
export function distributionIn(dir: string): string {
  mkdirSync(join(dir, 'config/state'), { recursive: true });
  for (const name of [
    'bin',
    'src',
    'docs',
    'config',
    'package.json',
    'package-lock.json',
    'devices.example.yaml',
    'LICENSE',
    'README.md',
    '.dockerignore',
    'Dockerfile',
  ])
    if (existsSync(join(checkout, name))) cpSync(join(checkout, name), join(dir, name), { recursive: true });
  for (const name of secretFiles) writeFileSync(join(dir, name), 'canary\n', { mode: 0o600 });
  return dir;
}

/** What `roundsman init` writes into a checkout: must never leave it. */
export const secretFiles = [
  'config/roundsman.yaml',
  'config/devices.yaml',
  'config/identity.txt',
  'config/fingerprint.key',
  'config/state/ledger.db',
] as const;

/**
 * An `npm` in `dir` that writes down how it was called and takes the libraries of this checkout, so that
 * no test needs a registry. Returns the file of its calls.
 */
export function fakeNpm(dir: string): string {
  const calls = join(dir, 'npm-calls');
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    join(dir, 'npm'),
    `#!/bin/sh\necho "$@" >> '${calls}'\nln -sfn '${checkout}/node_modules' node_modules\n`,
  );
  chmodSync(join(dir, 'npm'), 0o755);
  // The installer takes the npm that lies beside its Node.
  symlinkSync(process.execPath, join(dir, 'node'));
  return calls;
}
