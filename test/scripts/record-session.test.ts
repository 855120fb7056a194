import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alike, findingsIn, replaceAll } from '../../scripts/recording/anonymise.ts';
import { visible } from '../../scripts/recording/tape.ts';
import { loadCase } from '../support/devices/cases.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const script = fileURLToPath(new URL('../../scripts/record-session.ts', import.meta.url));

describe('what tells whose device it is', () => {
  const known = { hostname: 'edge-fw1', username: 'jdoe', serials: ['JAD22480AB1'], secrets: ['s3cret'] };

  it('is found: names, serial numbers, secrets, addresses, mail; documentation addresses and masks are not', () => {
    const text =
      'edge-fw1 jdoe JAD22480AB1 key s3cret 10.1.2.3 255.255.255.0 192.0.2.1 2001:db8::1 2a00:1450:4001::5 noc@corp.de 16.9.4a 10:20:30';
    expect(findingsIn(text, known).map(({ what, value }) => `${what} ${value}`)).toEqual([
      'hostname edge-fw1',
      'account jdoe',
      'serial number JAD22480AB1',
      'secret s3cret',
      'address 10.1.2.3',
      'address 2a00:1450:4001::5',
      'e-mail noc@corp.de',
    ]);
  });

  it('is replaced everywhere, the longer value first', () => {
    const replacements = new Map([
      ['edge', 'x'],
      ['edge-fw1', 'device-1'],
    ]);
    expect(replaceAll('edge-fw1# hostname edge-fw1 edge', replacements)).toBe(
      'device-1# hostname device-1 x',
    );
  });

  it('keeps its shape, so that the same rules find it', () => {
    expect(alike('$9$aB3.x')).toMatch(/^\$\d\$[a-z][A-Z]\d\.[a-z]$/);
  });
});

it('shows what cannot be seen', () => {
  expect(
    visible([
      { direction: '<', text: 'a\r\n\x1b[7mM\b\xe9\\' },
      { direction: '>', text: ' ' },
    ]),
  ).toBe('< a\\r\\n\n< \\x1b[7mM\\b\\xe9\\\\\n>  \n');
});

describe('a recording of a device', () => {
  const asked = loadCase('cisco_asa', 'typical');
  const place = new Workspace();
  let device: FakeDevice;
  beforeAll(async () => {
    device = await startFakeDevice(asked.device);
    await place.init();
    place.env.TEST_PASSWORD = 'the-login-password';
    place.env.TEST_ENABLE = 'the-enable-password';
    place.inventory(
      `${credentialsYaml}devices:\n${deviceYaml({ name: 'fw1', platform: 'cisco_asa', port: device.port })}`,
    );
    const trusted = await place.run(['trust', '--all', '--yes']);
    expect(trusted.code, trusted.stderr).toBe(0);
  });
  afterAll(async () => {
    await device.stop();
    place[Symbol.dispose]();
  });

  it('holds the session with its control characters, and nothing that was a secret, where every suggestion is taken', async () => {
    const out = join(place.dir, 'recorded');
    const said = await record(['fw1', '--config', place.config, '--out', out], '\n'.repeat(200));
    expect(said.code, said.stderr).toBe(0);
    const session = readFileSync(join(out, 'session.txt'), 'latin1');
    expect(session).toContain('> enable\\n\n');
    expect(session).toContain('> [secret 2]\\n\n');
    expect(session).toContain('< Password: ');
    expect(session).toMatch(/^< \\rdevice-1> /m);
    for (const file of ['session.txt', 'device.cfg', 'case.yaml']) {
      const text = readFileSync(join(out, file), 'latin1');
      for (const secret of asked.secrets) expect(text, `${file}: ${secret}`).not.toContain(secret);
      expect(text).not.toContain('edge-fw1');
      expect(text).not.toContain('JAD22480AB1');
      expect(text).not.toContain('the-enable-password');
    }
    expect(readFileSync(join(out, 'device.cfg'), 'latin1')).toContain('hostname device-1\n');
  });

  it('keeps what a person says is to be kept', async () => {
    const out = join(place.dir, 'kept');
    const said = await record(['fw1', '--config', place.config, '--out', out], `=\n${'\n'.repeat(200)}`);
    expect(said.code, said.stderr).toBe(0);
    expect(readFileSync(join(out, 'device.cfg'), 'latin1')).toContain('hostname edge-fw1\n');
  });

  async function record(
    args: readonly string[],
    input: string,
  ): Promise<{ code: number | null; stderr: string }> {
    const { PATH = '', HOME = '/root' } = process.env;
    const child = spawn(process.execPath, [script, ...args], { env: { PATH, HOME, ...place.env } });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      stderr += piece;
    });
    child.stdout.resume();
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
  }
});
