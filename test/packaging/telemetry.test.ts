import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';
import { checkout } from './tree.ts';

/** Every file of ours that can reach somebody, and whom. */
const reaching: Readonly<Record<string, string>> = {
  'cli/terminal/pager.ts': 'the pager of whoever sits at the terminal',
  'daemon/change-triggers.ts': 'the name servers, for the hosts of the inventory',
  'daemon/control-client.ts': 'the daemon, on its socket',
  'daemon/notify.ts': 'systemd, on its socket, through systemd-notify',
  'daemon/readers.ts': 'getent, which knows the groups of the system',
  'daemon/remote.ts': 'the daemon, on its socket',
  'gitstore/git.ts': 'git',
  'http/socket.ts': 'whoever may hold the control socket already',
  'inventory/secrets.ts': 'the helper program that a reference names',
  'inventory/vault-http.ts': 'HashiCorp Vault, where the settings name one',
  'ledger/soundness.ts': 'a process of our own that reads the ledger',
  'syslog/udp.ts': 'nobody: it listens',
  'transport/key-worker.ts': 'nobody: it parses keys with ssh2',
  'transport/private-key.ts': 'nobody: it parses keys with ssh2',
  'transport/ssh-dial.ts': 'devices and jump hosts, on a connection that tcp.ts made',
  'transport/ssh-library.ts': 'nobody by itself: it loads ssh2',
  'transport/ssh-means.ts': 'the SSH agent, where a credential says so',
  'transport/tcp.ts': 'devices and jump hosts',
};

/** What of Node's modules only listens, judges or names. */
const harmless = new Set([
  'isIP',
  'SocketAddress',
  'STATUS_CODES',
  'createServer',
  'createSecureContext',
  'Server',
  'TLSSocket',
  'X509Certificate',
]);

function reaches(file: string): boolean {
  const text = readFileSync(join(checkout, 'src', file), 'utf8');
  if (/(?<![#.\w])(?:fetch|WebSocket|EventSource|createRequire)\(/.test(text)) return true;
  const modules =
    'node:(?:net|tls|http|https|http2|dgram|dns|dns/promises|child_process|cluster)|ssh2|\\./ssh-library\\.ts';
  const imports = text.matchAll(
    new RegExp(`^import\\s+(?!type\\s)([^;]*?)\\s+from\\s+'(?:${modules})'`, 'gm'),
  );
  return [...imports].some(([, what = '']) => {
    if (!what.startsWith('{')) return true;
    const names = what.replace(/[{}\n]/g, ' ').split(',');
    return names
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '))
      .some((name) => !harmless.has(name.split(' ')[0] ?? ''));
  });
}

describe('our own files', () => {
  it('that can reach somebody are those of the list, and no other', () => {
    const files = readdirSync(join(checkout, 'src'), { recursive: true, encoding: 'utf8' });
    const found = files.filter((file) => file.endsWith('.ts')).filter(reaches);
    expect(found.toSorted()).toEqual(Object.keys(reaching).toSorted());
  });
});

describeWith('strace', 'the running daemon', (strace) => {
  const workspace = new Workspace();
  const trace = join(workspace.dir, 'trace');
  const program = join(checkout, 'bin/roundsman.js');
  const http = 9_719;
  let device: FakeDevice;
  let daemon: ChildProcess;
  let log = '';

  beforeAll(async () => {
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: 'hunter2-canary', TEST_ENABLE: 'hunter2-canary' });
    const account = { username: 'backup', password: 'hunter2-canary' };
    device = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
      ...account,
    });
    const entry = { name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
    workspace.inventory(`${credentialsYaml}devices:\n${deviceYaml(entry)}`);
    const settings = readFileSync(workspace.config, 'utf8');
    writeFileSync(workspace.config, `${settings}\nhttp: { listen: 127.0.0.1:${http} }\n`);
    const { PATH = '', HOME = '/root' } = process.env;
    // -D: strace is the one beside, and the daemon is ours to end.
    const traced = ['-D', '-f', '-e', 'trace=connect,sendto,sendmsg', '-e', 'signal=none', '-o', trace];
    daemon = spawn(strace, [...traced, process.execPath, program, 'daemon'], {
      cwd: workspace.dir,
      env: { PATH, HOME, ROUNDSMAN_CONFIG: workspace.config, ...workspace.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [daemon.stdout, daemon.stderr])
      stream?.setEncoding('utf8').on('data', (piece: string) => {
        log += piece;
      });
  }, 60_000);
  afterAll(async () => {
    daemon.kill('SIGKILL');
    await device.stop();
    workspace[Symbol.dispose]();
  });

  it('connects to its devices and to nobody else, from its start to its end', async () => {
    const ready = () =>
      fetch(`http://127.0.0.1:${http}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    await expect
      .poll(ready, { timeout: 50_000, interval: 200 })
      .toBe(true)
      .catch((error: unknown) => {
        throw new Error(`${String(error)}\n${log}`);
      });
    const { code, lines, stderr } = await workspace.backup('fw1');
    expect(code, stderr).toBe(0);
    expect(lines.get('fw1')?.outcome).toBe('changed');
    await fetch(`http://127.0.0.1:${http}/metrics`);
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGTERM');
    await ended;
    const written = () => readFileSync(trace, 'utf8');
    await expect
      .poll(() => new RegExp(`^${daemon.pid} .*(?:exited with|killed by)`, 'm').test(written()))
      .toBe(true);
    const text = written();
    const calls = text.split('\n').filter((line) => /sa_family=AF_INET6?\b/.test(line));
    const to = calls.map(
      (line) => /htons\((\d+)\)[^"]*"([^"]+)"/.exec(line)?.slice(1).reverse().join(' ') ?? line,
    );
    expect(new Set(to)).toEqual(new Set([`127.0.0.1 ${device.port}`]));
  });
});
