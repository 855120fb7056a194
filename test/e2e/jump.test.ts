import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { fortigateConfig } from '../support/samples.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';
import { Workspace } from '../support/workspace.ts';

const password = 'c4n4ry-p4ssw0rd';

describeWith('sshd', 'devices behind OpenSSH as jump hosts', () => {
  let outer: Sshd;
  let inner: Sshd;
  let device: FakeDevice;
  const stopped: (() => Promise<void>)[] = [];
  const workspaces: Workspace[] = [];

  beforeAll(async () => {
    [outer, inner, device] = await Promise.all([
      startSshd(),
      startSshd(),
      startFakeDevice({
        platform: 'fortinet_fortigate',
        hostname: 'fw-fgt',
        config: fortigateConfig,
        ...{ username: 'backup', password },
      }),
    ]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([outer.stop(), inner.stop(), device.stop()]);
  });
  afterEach(async () => {
    for (const stop of stopped.splice(0)) await stop();
    for (const workspace of workspaces.splice(0)) workspace[Symbol.dispose]();
  });

  /** `hops`: the lines under `jump_hosts:`; `devices`: names and the way to each. */
  async function workspace(
    hops: readonly string[],
    devices: Readonly<Record<string, { way: string; port: number; more?: string }>>,
  ): Promise<Workspace> {
    const made = new Workspace();
    workspaces.push(made);
    await made.init();
    made.env.TEST_PASSWORD = password;
    const credentials = `credentials:
  readonly: { username: backup, password: { env: TEST_PASSWORD } }
  outer: { username: ${outer.username}, private_key: { file: ${outer.userKeyPath} }, logins_per_second: 100 }
  inner: { username: ${inner.username}, private_key: { file: ${inner.userKeyPath} }, logins_per_second: 100 }
`;
    const list = Object.entries(devices).map(
      ([name, { way, port, more }]) =>
        `  - { name: ${name}, platform: fortinet_fortigate, host: 127.0.0.1, port: ${port}, credentials: readonly, jump: ${way}${more ?? ''} }\n`,
    );
    made.inventory(
      `${credentials}jump_hosts:\n${hops.map((hop) => `  ${hop}\n`).join('')}devices:\n${list.join('')}`,
    );
    return made;
  }

  const hop = (name: string, server: Sshd, more = '') =>
    `${name}: { host: 127.0.0.1, port: ${server.port}, credentials: ${name}${more} }`;

  it('are trusted one jump host after the other, checked, and backed up', async () => {
    const made = await workspace([hop('outer', outer), hop('inner', inner)], {
      fw1: { way: '[outer, inner]', port: device.port },
    });
    const before = await made.backup();
    expect(before.lines.get('fw1')?.error).toMatchObject({
      code: 'connect.jump',
      stage: 'connect',
      todo: expect.stringContaining('`roundsman trust fw1`'),
      detail: { hop: 'outer', code: 'connect.host-key-unknown' },
    });
    expect(outer.log()).not.toMatch(/Accepted publickey/);

    const trusted = await made.run(['trust', '--all', '--yes']);
    expect(trusted).toMatchObject({ code: 0, stderr: '' });
    expect(trusted.stdout).toContain('behind outer');
    const fingerprints = [...outer.hostFingerprints, ...inner.hostFingerprints, device.fingerprint];
    const places = fingerprints.map((fingerprint) => trusted.stdout.indexOf(fingerprint));
    expect(Math.min(...places)).toBeGreaterThan(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(trusted.stdout).toContain('3 keys pinned');

    const again = await made.run(['trust', 'fw1', '--json']);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject([
      { device: 'outer', jump_host: true, keys: [{ state: 'pinned' }], pinned: false },
      { device: 'inner', jump_host: true, keys: [{ state: 'pinned' }], pinned: false },
      { device: 'fw1', jump_host: false, keys: [{ state: 'pinned' }], pinned: false },
    ]);

    const checked = await made.run(['check', '--connect']);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toContain('fw1  reached');

    const { code, lines } = await made.backup();
    expect(code).toBe(0);
    expect(lines.get('fw1')).toMatchObject({ outcome: 'changed', error: null });
    expect(await made.git('show', 'main:default/fw1/running-config.cfg')).toContain('config system global');
  }, 60_000);

  it('that the jump host cannot reach, or may not, are told apart', async () => {
    const closed = await startSshd({ extraConfig: 'AllowTcpForwarding no' });
    stopped.push(() => closed.stop());
    const gone = await startFakeDevice({ platform: 'cisco_asa', hostname: 'gone', config: '' });
    await gone.stop();
    const first = ', host_key: first-use';
    const made = await workspace(
      [
        hop('outer', outer, first),
        `closed: { host: 127.0.0.1, port: ${closed.port}, credentials: closed${first} }`,
      ],
      {
        refused: { way: '[outer]', port: gone.port, more: first },
        prohibited: { way: '[closed]', port: device.port, more: first },
      },
    );
    const text = readFileSync(`${made.dir}/devices.yaml`, 'utf8');
    made.inventory(
      text.replace(
        'credentials:\n',
        `credentials:\n  closed: { username: ${closed.username}, private_key: { file: ${closed.userKeyPath} } }\n`,
      ),
    );
    const { stdout, code } = await made.run(['check', '--connect', '--json']);
    expect(code).toBe(3);
    const { devices } = JSON.parse(stdout) as {
      devices: { device: string; error: { code: string; message: string; todo: string; detail: object } }[];
    };
    const of = (name: string) => devices.find((one) => one.device === name)?.error;
    expect(of('refused')).toMatchObject({ code: 'connect.refused', detail: { via: 'outer' } });
    expect(of('prohibited')).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'closed', code: 'not-forwarded' },
      message: expect.stringContaining('administratively prohibited'),
      todo: expect.stringContaining('AllowTcpForwarding'),
    });
  }, 60_000);

  it('of which one way died and one shows another key are read on all other ways', async () => {
    const dying = await startSshd();
    stopped.push(() => dying.stop());
    const first = ', host_key: first-use';
    const other = ', host_key: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    const made = await workspace(
      [
        `dying: { host: 127.0.0.1, port: ${dying.port}, credentials: inner${first} }`,
        hop('outer', outer, other),
        hop('inner', inner, first),
      ],
      {
        // A refused connection is tried again for as long as the run may last.
        died: { way: '[dying]', port: device.port, more: `${first}, max_runtime: 5s` },
        changed: { way: '[outer]', port: device.port, more: first },
        behind: { way: '[inner]', port: device.port, more: first },
        straight: { way: '[]', port: device.port, more: first },
      },
    );
    await dying.stop();
    const { code, lines } = await made.backup();
    expect(code).toBe(3);
    const why = (name: string) => lines.get(name)?.error;
    expect(why('died')).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'dying', code: 'connect.refused' },
    });
    expect(why('changed')).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'outer', code: 'connect.host-key-changed' },
    });
    expect([lines.get('behind')?.outcome, lines.get('straight')?.outcome]).toEqual(['changed', 'changed']);
  }, 60_000);

  it('whose jump host rejects the login hold its credential back after three of them', async () => {
    const devices = Object.fromEntries(
      Array.from({ length: 6 }, (_, n) => [`fw${n}`, { way: '[outer]', port: 1024 + n }]),
    );
    // The key of the other one.
    const wrong = `outer: { host: 127.0.0.1, port: ${outer.port}, credentials: inner, host_key: first-use }`;
    const made = await workspace([wrong], devices);
    const { lines } = await made.backup();
    const codes = [...lines.values()].map(({ error }) => error?.code);
    expect(codes.filter((code) => code === 'connect.jump')).toHaveLength(3);
    expect(codes.filter((code) => code === 'credentials.held-back')).toHaveLength(3);
    const held = [...lines.values()].find(({ error }) => error?.code === 'credentials.held-back');
    expect(held?.error?.message).toContain('outer (to fw');
    expect(held?.error?.todo).toContain('`roundsman release inner`');
    // What asks for host keys alone does not go on hammering.
    const asked = await made.run(['trust', '--all', '--json']);
    expect(JSON.parse(asked.stdout)).toContainEqual(
      expect.objectContaining({
        device: 'fw0',
        error: expect.objectContaining({ code: 'credentials.held-back' }),
      }),
    );
    expect((await made.run(['release', 'inner'])).code).toBe(0);
  }, 60_000);
});
