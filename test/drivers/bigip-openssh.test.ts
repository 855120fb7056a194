import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { type Collected, collect } from '../../src/transport/collect.ts';
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
): Promise<{ readonly shown: string; readonly collected: Collected }> {
  const shown = render(loadCase('f5_bigip', fixture).device.config, 1).text;
  const path = join(dir, 'config');
  writeFileSync(path, shown, 'latin1');
  server = await startSshd({ forceCommand: shell.replace('SHELLS', shells).replace('CONFIG', path) });
  const collected = await collect({
    device: deviceAt(server),
    driver,
    readSecret: async (ref) => ('file' in ref ? readFileSync(ref.file, 'utf8') : ''),
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
