import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { billOfMaterials } from '../../scripts/bom.ts';
import { reachedFrom, readLockfile } from '../../scripts/lockfile.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml } from '../support/workspace.ts';
import { checkout } from './tree.ts';

const run = promisify(execFile);
const lock = readLockfile();

/** Permissive, without a duty beyond the notice that each package carries itself. */
const allowed = new Set([
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
]);

describe('what is installed for the program to run', () => {
  it('has a licence of the list, each package', () => {
    expect(lock.packages.size).toBeGreaterThan(50);
    const others = [...lock.packages.values()].filter(({ licence }) => !allowed.has(licence));
    expect(others.map(({ name, licence }) => `${name}: ${licence}`)).toEqual([]);
  });

  it('has the licence in its own package.json that the list was asked for', () => {
    for (const { path, licence } of lock.packages.values()) {
      if (!existsSync(join(checkout, path))) continue;
      const own = JSON.parse(readFileSync(join(checkout, path, 'package.json'), 'utf8')) as {
        license?: string;
        licenses?: { type: string }[];
      };
      expect(own.license ?? own.licenses?.map(({ type }) => type).join(), path).toBe(licence);
    }
  });

  it('is named with an exact version, and no package but the optional ones asks for optional ones alone', () => {
    const { dependencies } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const [name, version] of Object.entries(dependencies)) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(lock.packages.get(`node_modules/${name}`)?.version, name).toBe(version);
    }
    const reached = reachedFrom(lock.needs, lock);
    const needed = [...lock.packages.values()].filter(({ optional }) => !optional);
    expect(needed.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});

describe('the bill of materials', () => {
  const bom = billOfMaterials(Date.UTC(2026, 0, 1));

  it('has the fields that CycloneDX 1.6 demands, in its forms', () => {
    expect(bom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 });
    expect(bom.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
    );
    expect(bom.metadata.timestamp).toBe('2026-01-01T00:00:00.000Z');
    expect(bom.metadata.component).toMatchObject({ type: 'application', name: 'roundsman' });
    for (const one of bom.components) {
      expect(one.type).toBe('library');
      expect(one.name).not.toBe('');
      expect(one.version).toMatch(/^\d+\.\d+\.\d+/);
      expect(one.purl).toMatch(/^pkg:npm\/(?:%40[^/@]+\/)?[^/@]+@[^@]+$/);
      expect(['required', 'optional']).toContain(one.scope);
      expect(one.hashes).toEqual([{ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) }]);
      expect(one.licenses).toHaveLength(1);
      // A version 1.6 that is read strictly takes no other key.
      const keys = ['type', 'bom-ref', 'name', 'version', 'purl', 'licenses', 'scope', 'hashes'];
      expect(Object.keys(one).filter((key) => !keys.includes(key))).toEqual([]);
    }
  });

  it('names every package of the lock file once, with the digest that npm checks', () => {
    const refs = bom.components.map((one) => one['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    const names = new Set([...lock.packages.values()].map(({ name, version }) => `${name} ${version}`));
    expect(new Set(bom.components.map(({ name, version }) => `${name} ${version}`))).toEqual(names);
    const hex = bom.components.find(({ name }) => name === 'ssh2')?.hashes?.[0]?.content ?? '';
    const { integrity } = lock.packages.get('node_modules/ssh2') ?? { integrity: '' };
    expect(`sha512-${Buffer.from(hex, 'hex').toString('base64')}`).toBe(integrity);
  });

  it('has a graph whose every edge leads to a component, and that reaches every component', () => {
    const edges = new Map(bom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    const own = bom.metadata.component['bom-ref'];
    const known = new Set([own, ...bom.components.map((one) => one['bom-ref'])]);
    expect(new Set(edges.keys())).toEqual(known);
    const reached = new Set<string>();
    const visit = (ref: string): void => {
      if (reached.has(ref)) return;
      reached.add(ref);
      for (const next of edges.get(ref) ?? []) {
        expect(known, `${ref} → ${next}`).toContain(next);
        visit(next);
      }
    };
    visit(own);
    expect(reached).toEqual(known);
    expect(edges.get(own)).toContain(`pkg:npm/ssh2@${lock.packages.get('node_modules/ssh2')?.version}`);
  });

  it('is the same for the same lock file, and is written by `npm run sbom`', () => {
    expect(billOfMaterials(0).serialNumber).toBe(bom.serialNumber);
    const dir = mkdtempSync(join(tmpdir(), 'roundsman-sbom-'));
    try {
      const file = join(dir, 'sub/sbom.cdx.json');
      execFileSync(process.execPath, ['scripts/sbom.ts', file], {
        cwd: checkout,
        env: { ...process.env, SOURCE_DATE_EPOCH: String(Date.UTC(2026, 0, 1) / 1_000) },
      });
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(bom)));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

/** What `npm ci --omit=dev --omit=optional --ignore-scripts` leaves, without a registry: .ci/run has the real one. */
describe('installed without scripts and without optional packages', () => {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-bare-'));
  const program = join(dir, 'bin/roundsman.js');
  let device: FakeDevice;

  beforeAll(async () => {
    for (const name of ['bin', 'src', 'package.json'])
      cpSync(join(checkout, name), join(dir, name), { recursive: true });
    for (const { path, optional } of lock.packages.values()) {
      if (optional) continue;
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      cpSync(join(checkout, path), join(dir, path), {
        recursive: true,
        // Packages below it are copied for themselves; `build` is what node-gyp wrote.
        filter: (from) =>
          !from.slice(checkout.length + path.length + 1).includes('node_modules') &&
          !(from.endsWith('/build') && existsSync(join(dirname(from), 'binding.gyp'))),
      });
    }
    const account = { username: 'backup', password: 'hunter2-canary' };
    device = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
      ...account,
    });
  }, 60_000);
  afterAll(async () => {
    await device.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('it is a whole program: it backs a device up over SSH', async () => {
    expect(existsSync(join(dir, 'node_modules/cpu-features'))).toBe(false);
    expect(existsSync(join(dir, 'node_modules/ssh2/lib/protocol/crypto/build'))).toBe(false);
    const { PATH = '', HOME = '/root' } = process.env;
    const env = { PATH, HOME, TEST_PASSWORD: 'hunter2-canary', TEST_ENABLE: 'hunter2-canary' };
    const roundsman = (...args: string[]) =>
      run(process.execPath, [program, ...args, '--config', join(dir, 'etc/roundsman.yaml')], {
        cwd: dir,
        env,
      });
    await run(process.execPath, [program, 'init', join(dir, 'etc')], { cwd: dir, env });
    const entry = deviceYaml({
      name: 'fw1',
      platform: 'cisco_asa',
      port: device.port,
      hostKey: device.fingerprint,
    });
    writeFileSync(join(dir, 'etc/devices.yaml'), `${credentialsYaml}devices:\n${entry}`);
    const { stdout } = await roundsman('backup', 'fw1', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ device: 'fw1', outcome: 'changed', error: null });
  });
});
