import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { type ArchiveOrder, type Collected, collect } from '../../src/transport/collect.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { loadCase } from '../support/devices/cases.ts';
import { render } from '../support/devices/render.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';

/* The BIG-IP driver against OpenSSH's own server, bash, a real terminal and a real less. */

const shells = fileURLToPath(new URL('../support/bigip-shells', import.meta.url));

let dir = '';
let server: Sshd | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-bigip-'));
});

afterEach(async () => {
  await server?.stop();
  server = null;
  rmSync(dir, { recursive: true, force: true });
});

/** Reads a fixture's configuration through a login shell; the text that was shown, and what came of it. */
async function readThrough(
  shell: string,
  fixture: string,
  how: { readonly sshd?: string; readonly archives?: readonly ArchiveOrder[] } = {},
): Promise<{ readonly shown: string; readonly collected: Collected }> {
  const shown = render(loadCase('f5_bigip', fixture).device.config, 1).text;
  const path = join(dir, 'displayed');
  writeFileSync(path, shown, 'latin1');
  server = await startSshd({
    forceCommand: shell.replace('SHELLS', shells).replace('CONFIG', path),
    ...(how.sshd === undefined ? {} : { extraConfig: how.sshd }),
  });
  const collected = await collect({
    device: deviceAt(server),
    driver: below(dir),
    archives: how.archives ?? [],
    readSecret: async (ref) =>
      'file' in ref ? readFileSync(ref.file, 'utf8') : 'literal' in ref ? ref.literal : '',
    hostKeys: { of: () => [], pin: async () => {}, replace: async () => {} },
    clock: systemClock,
    signal: new AbortController().signal,
    readTwice: false,
    maxBytes: 1 << 26,
    onProgress: () => {},
    transcript: createTranscript({ limitBytes: 1 << 16 }),
  });
  return { shown, collected };
}

/** The same driver for a unit whose root is `root`: the real one is nobody's to write to. */
function below(root: string): Driver {
  const move = <T>(value: T): T => {
    if (typeof value === 'string')
      return value.replace(/(?<![\w.])\/(?=config\b|var\/local\/)/g, `${root}/`) as T;
    if (Array.isArray(value)) return value.map(move) as T;
    if (typeof value !== 'object' || value === null || value instanceof RegExp) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, move(one)])) as T;
  };
  return {
    ...driver,
    commands: driver.commands.map((command) => {
      const { forEach } = command;
      if (forEach === undefined) return move(command);
      const items: typeof forEach.items = (listing, seen) =>
        forEach.items(listing.replaceAll(root, ''), seen);
      return { ...move(command), forEach: { ...forEach, items } };
    }),
  };
}

/** A file below the root of the unit. */
function put(path: string, text: string): void {
  mkdirSync(join(dir, dirname(path)), { recursive: true });
  writeFileSync(join(dir, path), text, 'latin1');
}

/** OpenSSH's program for files, which a BIG-IP has too. */
const sftpServer = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
].find((path) => existsSync(path));
const withSftp = `Subsystem sftp ${sftpServer}`;

function orderOf(
  name: string,
  passphrase: string | null = null,
): { order: ArchiveOrder; octets: () => Buffer } {
  const parts: Buffer[] = [];
  const sink = { write: async (chunk: Buffer) => void parts.push(chunk) };
  const order = { name, passphrase: passphrase === null ? null : { literal: passphrase }, sink };
  return { order, octets: () => Buffer.concat(parts) };
}

function deviceAt({ port, username, userKeyPath, hostFingerprints }: Sshd): Device {
  return {
    name: 'lb1',
    platform: 'f5_bigip',
    group: 'default',
    host: '127.0.0.1',
    port,
    enabled: true,
    credentials: {
      name: 'key',
      username,
      password: null,
      enable: null,
      privateKey: { file: userKeyPath },
      passphrase: null,
      agent: false,
      loginsPerSecond: 5,
    },
    hostKeys: hostFingerprints,
    firstUse: false,
    ssh: { profile: 'modern', allow: [] },
    sourceAddress: null,
    timeouts: { connectMs: 5_000, loginMs: 10_000, idleMs: 10_000 },
    maxRuntimeMs: 60_000,
    expect: { hostname: null, serials: [] },
    formerly: [],
    jump: [],
    options: {},
    archives: [],
  };
}

describeWith('sshd', 'a BIG-IP behind OpenSSH', () => {
  it('gives the exact bytes and an exit status where the shell is bash', async () => {
    const { shown, collected } = await readThrough('SHELLS/bigip-bash CONFIG', 'typical');
    const capture = collected.captures.get('running-config');
    expect(capture?.text).toBe(shown);
    expect(capture).toMatchObject({ endedBy: 'exit-status', exitStatus: 0 });
    expect(collected.captures.get('version')?.text).toContain('Version     16.1.4.1');
  });

  it('says so where bash has no tmsh', async () => {
    await expect(readThrough('SHELLS/bigip-bash CONFIG missing', 'bytes')).rejects.toMatchObject({
      code: 'collect.command-refused',
      detail: { reply: expect.stringContaining('tmsh: command not found') },
    });
  });

  it('gives the exact bytes through a terminal where the shell is tmsh', async () => {
    const { shown, collected } = await readThrough('SHELLS/bigip-tmsh CONFIG', 'bytes');
    const capture = collected.captures.get('running-config');
    expect(capture?.text).toBe(shown);
    expect(capture?.endedBy).toBe('prompt');
  });
});

describeWith('sshd', 'files of a BIG-IP behind OpenSSH', () => {
  it('are found by real programs: what is saved, and dynamic routing by route domain', async () => {
    const { files } = loadCase('f5_bigip', 'ha-active-zebos').device;
    for (const [path, text] of Object.entries(files ?? {})) put(path, text);
    put('/config/partitions/Sales/bigip.conf', 'ltm pool /Sales/x { }\n');
    put('/config/bigip.conf.bak', 'ltm pool /Common/old { }\n');
    const { collected } = await readThrough('SHELLS/bigip-bash CONFIG', 'ha-active-zebos');
    expect([...collected.artefacts.keys()]).toEqual(['running-config', 'zebos-rd0', 'zebos-rd20']);
    expect(collected.captures.get('zebos-rd0')?.text).toBe(files?.['/config/zebos/rd0/ZebOS.conf']);
    const saved = collected.captures.get('saved')?.text ?? '';
    expect(saved).toContain('ltm pool /Common/pool-01 {');
    expect(saved).toContain('ltm pool /Sales/x { }');
    expect(saved).not.toContain('/Common/old');
    expect(driver.state?.(collected.seen)).toMatchObject({ unsaved: true });
  });

  it.each([
    ['ucs', 'SHELLS/bigip-bash CONFIG', null],
    ['ucs', 'SHELLS/bigip-bash CONFIG', 'Corr3ct.horse'],
    ['scf', 'SHELLS/bigip-bash CONFIG', 'Corr3ct.horse'],
  ])('%s is made, fetched over SFTP, proven and removed', async (name, shell, passphrase) => {
    mkdirSync(join(dir, 'var/local/scf'), { recursive: true });
    const { order, octets } = orderOf(name, passphrase);
    const { collected } = await readThrough(shell, 'bytes', { sshd: withSftp, archives: [order] });
    const digest = createHash('sha256').update(octets()).digest('hex');
    expect(collected.archives.get(name)).toEqual({ digest, bytes: octets().length });
    expect(octets().length).toBeGreaterThan(5_000);
    expect(readdirSync(join(dir, 'var/local', name))).toEqual([]);
  });

  it('an archive for which there is no room leaves nothing behind, and the text is there', async () => {
    mkdirSync(join(dir, 'var/local/ucs'), { recursive: true });
    const { order } = orderOf('ucs');
    const { collected } = await readThrough('SHELLS/bigip-bash CONFIG full', 'bytes', {
      sshd: withSftp,
      archives: [order],
    });
    expect(collected.archives.get('ucs')).toMatchObject({
      code: 'collect.archive-failed',
      detail: { step: 'make', reply: expect.stringContaining('Error during config save') },
    });
    expect(readdirSync(join(dir, 'var/local/ucs'))).toEqual([]);
    expect(collected.artefacts.has('running-config')).toBe(true);
  });

  it('an archive that cannot be fetched, because the unit has no SFTP, leaves nothing behind', async () => {
    const { order } = orderOf('ucs');
    const { collected } = await readThrough('SHELLS/bigip-bash CONFIG', 'bytes', { archives: [order] });
    expect(collected.archives.get('ucs')).toMatchObject({ detail: { step: 'fetch' } });
    expect(readdirSync(join(dir, 'var/local/ucs'))).toEqual([]);
  });

  it('are out of reach where the login shell is tmsh', async () => {
    const { order } = orderOf('ucs');
    const { collected } = await readThrough('SHELLS/bigip-tmsh CONFIG', 'bytes', {
      sshd: withSftp,
      archives: [order],
    });
    expect(collected.archives.get('ucs')).toMatchObject({
      detail: { step: 'make', reply: expect.stringContaining('takes bash') },
    });
    expect(existsSync(join(dir, 'var'))).toBe(false);
  });
});

describeWith('less', 'a BIG-IP whose tmsh pages through less', () => {
  describeWith('sshd', 'behind OpenSSH', () => {
    for (const fixture of ['tmsh-pager', 'tmsh-page-ends-in-line']) {
      it(`gives the exact bytes of ${fixture}, wrapped lines and keypad sequences left out`, async () => {
        const { shown, collected } = await readThrough('SHELLS/bigip-tmsh CONFIG', fixture);
        expect(collected.captures.get('running-config')?.text).toBe(shown);
      });
    }
  });
});
