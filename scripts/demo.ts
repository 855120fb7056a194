/**
 * The main job on simulated devices: real SSH on loopback, the real program, a real git repository.
 * `--keep DIR` keeps the configuration and the state in DIR.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type FakeDevice, startFakeDevice } from '../test/support/devices/server.ts';
import type { DeviceSpec } from '../test/support/devices/spec.ts';
import { asaConfig, bigipConfig, fortigateConfig } from '../test/support/samples.ts';

const { values: options } = parseArgs({ options: { keep: { type: 'string' } } });
const dir =
  options.keep === undefined ? mkdtempSync(join(tmpdir(), 'roundsman-demo-')) : resolve(options.keep);
const program = fileURLToPath(new URL('../bin/roundsman.js', import.meta.url));
const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const account = { username: 'backup', password: 'demo-only' };

const fw1 = await startFakeDevice({
  platform: 'cisco_asa',
  hostname: 'fw-asa',
  config: asaConfig,
  facts: { serial: 'FCH19TESTAA', version: '9.16(4)19' },
  ...account,
});
const fw2 = await startFakeDevice({
  platform: 'fortinet_fortigate',
  hostname: 'fw-fgt',
  config: fortigateConfig,
  ...account,
});
const lb1 = await startFakeDevice({ platform: 'f5_bigip', hostname: 'lb1', config: bigipConfig, ...account });
const old: DeviceSpec = {
  platform: 'cisco_asa',
  hostname: 'fw-old',
  config: asaConfig,
  ...account,
};
const gone = await startFakeDevice(old);
const devices = [fw1, fw2, lb1, gone];
const port = await freePort();

try {
  await show();
} finally {
  for (const device of devices) await device.stop();
  if (options.keep === undefined) rmSync(dir, { recursive: true, force: true });
}

async function show(): Promise<void> {
  title('A first configuration, and an inventory of three firewalls and a load balancer');
  mkdirSync(dir, { recursive: true });
  await roundsman(['init', dir]);
  const settings = join(dir, 'roundsman.yaml');
  // Of the log, what somebody has to act on: the rest is on the screen already.
  const written = readFileSync(settings, 'utf8').replace('level: info', 'level: error');
  writeFileSync(settings, `${written}\ncatch_up_spread: 1s\nhttp: { listen: 127.0.0.1:${port} }\n`);
  writeFileSync(join(dir, 'devices.yaml'), inventory());
  say(inventory().replace(/^/gm, '    '));

  title('Look at the host keys once, and pin them');
  await roundsman(['trust', '--all', '--yes']);

  title('The first backup');
  await roundsman(['backup']);

  title('Somebody changes the ASA; what was it, where, and who');
  fw1.change(
    asaConfig
      .replace(' host 198.51.100.80\n', ' host 198.51.100.99\n')
      .replace('s3cretPeerKey77', 'another-secret-88'),
  );
  await roundsman(['backup', 'fw1']);
  await roundsman(['diff', 'fw1']);
  await git('log', '-1', '--format=%B', 'main');

  title('A bad night: a configuration cut off, a wrong password, a device that is gone');
  fw2.setFaults({ stopAfter: { command: 'show', lines: 30 } });
  lb1.setFaults({ wrongPassword: true });
  await gone.stop();
  await roundsman(['backup'], 3);
  await roundsman(['status'], 3);

  title('None of that reached the history');
  await git('log', '--format=%h %s', 'main');

  title('The devices are well again, but the collector was down at 02:00. That is said, too');
  fw2.setFaults({});
  lb1.setFaults({});
  devices.push(await startFakeDevice(old, gone.port));
  await missANight();
  await roundsman(['runs', '--missed']);

  title('The full text, with its secrets, comes back byte for byte from the sealed copy');
  const displayed = fw1.displayed.findLast(({ command }) => command.startsWith('more '))?.text ?? '';
  // The blank line after `: end` belongs to the prompt that follows it.
  const told = displayed.replace(/\n\n$/, '\n');
  const file = join(dir, 'fw1.cfg');
  await roundsman(['restore', 'fw1', '--identity', join(dir, 'identity.txt'), '--output', file]);
  await run('sha256sum', [file]);
  say(`    what the device sent: ${createHash('sha256').update(told, 'latin1').digest('hex')}\n`);

  title('Where to look next');
  say(
    options.keep === undefined
      ? `    npm run demo -- --keep ./demo     keeps all of this, to look around in
    README.md                         your first real device in five lines
    docs/platforms/                   the account that each platform needs, every command that is sent
    docs/errors.md                    every failure, what it means, what to do
`
      : `    npx roundsman --config ${join(dir, 'roundsman.yaml')} log fw1
    git --git-dir ${join(dir, 'state/configs.git')} log -p
    README.md                         your first real device in five lines
`,
  );
}

/** Starts the daemon at 02:40 of the coming night, and shows what it says of the slot that nobody served. */
async function missANight(): Promise<void> {
  const night = new Date();
  night.setUTCHours(26, 40, 0, 0);
  say('$ roundsman daemon     (started at 02:40)\n');
  const child = spawn(process.execPath, [fileURLToPath(new URL('demo-daemon.ts', import.meta.url))], {
    env: { ...environment(), DEMO_AHEAD_MS: String(night.getTime() - Date.now()) },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise((done) => child.on('close', done));
  const shown =
    /^roundsman_(backup_missed_total\{cause="collector_down"\}|device_state\{device="fw1",state="(missed|ok)"\})/;
  let metrics = '';
  const deadline = performance.now() + 20_000;
  while (!/device_state\{device="fw1",state="ok"\} 1/.test(metrics) && performance.now() < deadline) {
    await new Promise((later) => setTimeout(later, 200));
    metrics = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (answer) => answer.text(),
      () => '',
    );
  }
  say(`$ curl http://127.0.0.1:${port}/metrics\n`);
  for (const line of metrics.split('\n').filter((line) => shown.test(line))) say(line);
  child.kill('SIGTERM');
  await ended;
}

function inventory(): string {
  const device = (name: string, platform: string, { port }: FakeDevice): string =>
    `  - { name: ${name}, platform: ${platform}, host: 127.0.0.1, port: ${port}, credentials: readonly, group: hq }\n`;
  return `credentials:
  readonly: { username: backup, password: { env: RM_PASSWORD }, enable: true }
groups:
  hq: {}
devices:
${device('fw1', 'cisco_asa', fw1)}${device('fw2', 'fortinet_fortigate', fw2)}${device('lb1', 'f5_bigip', lb1)}${device('fw-old', 'cisco_asa', gone)}`;
}

function title(text: string): void {
  say(colour ? `\n\x1b[1m── ${text}\x1b[0m\n` : `\n── ${text}\n`);
}

function say(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

async function roundsman(args: readonly string[], expected = 0): Promise<void> {
  say(`$ roundsman ${args.join(' ')}\n`);
  const code = await spawned(process.execPath, [program, ...args]);
  if (code !== expected) throw new Error(`roundsman ${args[0]} ended with ${code}, not with ${expected}`);
}

function git(...args: readonly string[]): Promise<void> {
  return run('git', ['--git-dir', join(dir, 'state/configs.git'), ...args]);
}

async function run(file: string, args: readonly string[]): Promise<void> {
  say(`$ ${file} ${args.join(' ')}\n`);
  const code = await spawned(file, args);
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, ROUNDSMAN_CONFIG: join(dir, 'roundsman.yaml'), RM_PASSWORD: account.password };
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}

/** Shows what a command prints; its exit code. */
function spawned(file: string, args: readonly string[]): Promise<number | null> {
  return new Promise((done, failed) => {
    const child = spawn(file, args, {
      env: environment(),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('error', failed);
    child.on('close', done);
  });
}
