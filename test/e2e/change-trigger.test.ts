import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const password = 'hunter2-canary';
const perDevice = 4;

interface Row {
  readonly state: string;
  readonly trigger: string;
  readonly commit: string | null;
}

/** What a port is free for, another program can still take before we do; the tests of this file then fail loudly. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describe('a change starts a backup', () => {
  const workspace = new Workspace();
  const ports = { http: 0, syslog: 0 };
  let device: FakeDevice;
  let daemon: ChildProcess | null = null;
  let log = '';

  beforeAll(async () => {
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: password, TEST_ENABLE: password });
    const account = { username: 'backup', password };
    device = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
      ...account,
    });
    const about = { name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
    workspace.inventory(`${credentialsYaml}devices:\n${deviceYaml(about)}`);
    ports.http = await freePort();
    ports.syslog = await freePort();
    writeFileSync(
      workspace.config,
      `${readFileSync(workspace.config, 'utf8')}
schedule: "0 0 1 1 *"
http: { listen: 127.0.0.1:${ports.http} }
syslog:
  udp: 0.0.0.0:${ports.syslog}
  tcp: 127.0.0.1:${ports.syslog}
  quiet: 1s
  at_most: 3s
  per_device: ${perDevice}
`,
    );
    await start();
    expect((await workspace.backup('fw1')).code).toBe(0);
  }, 60_000);

  afterAll(async () => {
    daemon?.kill('SIGKILL');
    await device.stop();
    workspace[Symbol.dispose]();
  });

  async function start(): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: { PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      const answer = await fetch(`http://127.0.0.1:${ports.http}/-/ready`).catch(() => null);
      return answer?.status === 200;
    });
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Sends datagrams from an address of this machine. */
  async function datagrams(from: string, ...texts: string[]): Promise<void> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, from, resolve));
    for (const text of texts)
      await new Promise((resolve) =>
        socket.send(Buffer.from(text, 'latin1'), ports.syslog, '127.0.0.1', resolve),
      );
    socket.close();
  }

  function changed(command: string, user = 'alice', from = '192.0.2.7'): string {
    return `<165>Mar 04 2026 01:30:00: %ASA-5-111010: User '${user}', running 'CLI' from IP ${from}, executed '${command}'`;
  }

  async function runs(): Promise<Row[]> {
    return JSON.parse((await workspace.run(['runs', 'fw1', '--json'])).stdout) as Row[];
  }

  async function changeRuns(): Promise<Row[]> {
    return (await runs()).filter(({ trigger, state }) => trigger === 'change' && state !== 'running');
  }

  /** The sum of every series that begins so. */
  async function metric(series: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${ports.http}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(series));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  function rewritten(n: number): void {
    device.change(asaConfig.replace('hostname fw-asa', `hostname fw-asa\nname 192.0.2.${n} web-${n}`));
  }

  it('with who made it, and from where', async () => {
    rewritten(1);
    await datagrams(
      '127.0.0.1',
      changed('name 192.0.2.1 web-1'),
      "<165>Mar 04 2026 01:30:00: %ASA-5-111008: User 'alice' executed the 'name 192.0.2.1 web-1' command.",
      changed('write memory', 'bob', '192.0.2.8'),
    );
    await until('a run after the change is over', async () => (await changeRuns()).length === 1);
    const [run] = await changeRuns();
    expect(run?.state).toBe('changed');
    const message = await workspace.git('log', '-1', '--format=%B', run?.commit ?? '');
    expect(message).toContain('\nTrigger: change\n');
    expect(message).toMatch(/\nChanged-By: alice(?:, bob)?\n/);
    expect(message).toMatch(/\nChanged-From: 192\.0\.2\.7(?:, 192\.0\.2\.8)?\n/);
    expect(message).not.toContain('web-1');
  }, 60_000);

  it('through a relay, over TCP, by the name in the message; the rules of another platform start nothing', async () => {
    const fortigate =
      '<189>date=2026-03-04 time=01:30:00 devname="fw-asa" devid="FGT60FTK00000001" logid="0100044547" type="event" subtype="system" level="information" vd="root" logdesc="Object attribute configured" user="eve" ui="GUI(192.0.2.9)" action="Edit" cfgtid=1 cfgpath="firewall.policy" cfgobj="8" cfgattr="x[a->b]" msg="Edit firewall.policy 8"';
    await datagrams(
      '127.0.0.2',
      fortigate,
      changed('name 192.0.2.9 x').replace('01:30:00', '01:30:00 nobody '),
    );
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await changeRuns()).toHaveLength(1);
    expect(await metric('roundsman_syslog_messages_total{transport="udp",result="unknown"}')).toBeGreaterThan(
      0,
    );

    rewritten(2);
    const text =
      "<165>Mar 04 2026 01:30:00 fw-asa : %ASA-5-111010: User 'carol', running 'CLI' from IP 192.0.2.7, executed 'name 192.0.2.2 web-2'";
    const stream = connect({ port: ports.syslog, host: '127.0.0.1', localAddress: '127.0.0.2' });
    stream.write(`${text.length} ${text}`);
    await until('a second run is over', async () => (await changeRuns()).length === 2);
    stream.destroy();
    const [run] = await changeRuns();
    const message = await workspace.git('log', '-1', '--format=%B', run?.commit ?? '');
    expect(message).toMatch(/^Changed-By: carol$/m);
  }, 60_000);

  it('and a backup starts no backup, whatever its session makes the device say', async () => {
    const before = (await changeRuns()).length;
    device.setFaults({ bytesPerSecond: 20_000 });
    const backup = workspace.backup('fw1');
    await until('a session is open', () => device.sessions > 0);
    const own = [
      changed('terminal pager 0', 'backup', '127.0.0.1'),
      changed('logging host mgmt 192.0.2.5', 'backup', '127.0.0.1'),
      "<165>Mar 04 2026 01:30:00: %ASA-5-111008: User 'enable_15' executed the 'logging enable' command.",
    ];
    await datagrams('127.0.0.1', ...own);
    await backup;
    device.setFaults({});
    await datagrams('127.0.0.1', ...own);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(await changeRuns()).toHaveLength(before);
    expect(await metric('roundsman_change_events_total{platform="cisco_asa",result="own"}')).toBeGreaterThan(
      1,
    );
  }, 60_000);

  it('and a flood costs a bounded number of them, and little memory', async () => {
    const rss = () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon?.pid}/status`, 'utf8'))?.[1]) / 1024;
    const before = rss();
    const socket = createSocket('udp4');
    for (let n = 0; n < 50_000; n++) {
      const text = changed(`name 192.0.2.${n % 250} x`, `user${n}`, `198.51.100.${n % 250}`);
      socket.send(text, ports.syslog, '127.0.0.1');
      if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until('the device is limited', async () => {
      socket.send(changed('name 192.0.2.9 x'), ports.syslog, '127.0.0.1');
      return (await metric('roundsman_change_limited_devices')) === 1;
    });
    socket.close();
    expect(await changeRuns()).toHaveLength(perDevice);
    expect(rss() - before).toBeLessThan(100);
    expect(log.match(/too many backups after changes/g)).toHaveLength(1);
    expect(log).not.toContain('canary');
    expect(await metric('roundsman_syslog_messages_total{transport="udp"')).toBeGreaterThan(1_000);
    const answer = await fetch(`http://127.0.0.1:${ports.http}/-/ready`);
    expect(answer.status).toBe(200);
  }, 60_000);
});
