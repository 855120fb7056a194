/**
 * The process that plays the devices; started by fleet.ts, which talks to it over IPC, or by hand:
 * `node bench/fleet/server.ts '{"devices":30}'` prints where it listens and plays until it is told to stop.
 */
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import ssh2, { type AuthContext, type Connection, type ServerChannel } from 'ssh2';
import type { ExecAnswer, FakePlatform, Machine } from '../../test/support/devices/machine.ts';
import { platformOf } from '../../test/support/devices/platforms.ts';
import { render } from '../../test/support/devices/render.ts';
import type { DeviceSpec } from '../../test/support/devices/spec.ts';
import {
  account,
  deviceOf,
  type FleetDevice,
  type FleetOptions,
  type FleetPlatform,
  numberAt,
  standard,
} from './options.ts';
import { type Order, type Report, started, type Trouble } from './protocol.ts';
import { type Terminal, TerminalSession } from './session.ts';
import { SlowSocket } from './slow-socket.ts';
import { Wire } from './wire.ts';

const options: FleetOptions = { ...standard, ...JSON.parse(process.argv[2] ?? '{}') };
let line = { roundTripMs: options.roundTripMs, bytesPerSecond: options.bytesPerSecond };

const slowLine = { roundTripMs: 50, bytesPerSecond: 20_000 };

const partitions = {
  'list auth partition':
    'auth partition Common {\n    description "Repository for system objects and shared objects."\n}\n',
};

interface Kind {
  readonly machine: Machine;
  readonly platform: FakePlatform;
  readonly server: InstanceType<typeof ssh2.Server>;
}

const versions = new Uint32Array(options.devices);
let troubles: ReadonlyMap<number, Trouble> = new Map();
const wire = new Wire(options.sizeBytes);
let changes = 0;
let displays = 0;
let logins = 0;
let sentBytes = 0;
const sockets = new Set<Socket>();

const key = hostKey();
const kinds = new Map(options.platforms.map((platform) => [platform, kindOf(platform)] as const));
/** Whom a connection belongs to. ssh2 tells of a client by the address that it comes from, not the one it came to. */
const devices = new WeakMap<object, FleetDevice>();

const listener = createServer({ noDelay: true }, (socket) => {
  const number = numberAt(socket.localAddress ?? '');
  const trouble = troubles.get(number ?? -1) ?? null;
  if (number === null || number >= options.devices || trouble === 'down') {
    socket.destroy();
    return;
  }
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => {});
  const device = deviceOf(number, options.platforms);
  const { roundTripMs, bytesPerSecond } = trouble === 'slow' ? slowLine : line;
  const far =
    roundTripMs === 0 && bytesPerSecond === null
      ? socket
      : new SlowSocket(socket, roundTripMs, bytesPerSecond);
  far.on('error', () => {});
  devices.set(far, device);
  kinds.get(device.platform)?.server.injectSocket(far as Socket);
});
// All of 127.0.0.0/8 is not an address that can be listened on; what comes from elsewhere is hung up on.
listener.listen({ port: options.port, host: '0.0.0.0', backlog: 4096 }, () => {
  const { port } = listener.address() as AddressInfo;
  const told = { port, hostKey: key.line, fingerprint: key.fingerprint };
  if (process.send === undefined) process.stdout.write(`${JSON.stringify(told)}\n`);
  else process.send(started(told));
});

process.on('message', (order: Order) => {
  if (order.does === 'change') change(order.share);
  else if (order.does === 'line') line = order.line;
  else if (order.does === 'trouble') troubles = new Map(order.by);
  else if (order.does === 'stop') {
    listener.close();
    for (const socket of sockets) socket.destroy();
    process.disconnect();
    return;
  }
  process.send?.({ is: 'report', report: report() });
});
process.on('disconnect', () => process.exit(0));

let before = { cpu: process.cpuUsage(), atMs: performance.now(), loop: performance.eventLoopUtilization() };

/** Since the last one. */
function report(): Report {
  const { user, system } = process.cpuUsage(before.cpu);
  const { utilization } = performance.eventLoopUtilization(before.loop);
  const wallMs = performance.now() - before.atMs;
  const told = { cpuMs: (user + system) / 1000, wallMs, busy: utilization, logins, sentBytes };
  before = { cpu: process.cpuUsage(), atMs: performance.now(), loop: performance.eventLoopUtilization() };
  logins = 0;
  sentBytes = 0;
  return told;
}

/** The next version of `share` of all devices; each time of others. */
function change(share: number): void {
  changes += 1;
  for (let number = 0; number < versions.length; number++) {
    const place = (Math.imul(number + changes * 7919, 0x9e3779b1) >>> 0) / 2 ** 32;
    if (place < share) versions[number] = (versions[number] ?? 0) + 1;
  }
}

function kindOf(id: FleetPlatform): Kind {
  const spec: DeviceSpec = {
    platform: id,
    hostname: '{{host}}',
    ...account,
    config: '{{config}}',
    facts: { serial: '{{serial}}' },
    ...(id === 'f5_bigip' ? { files: { '/config/bigip.conf': '{{config}}' }, answers: partitions } : {}),
  };
  const platform = platformOf(id);
  const server = new ssh2.Server({ hostKeys: [key.pem], ident: platform.ident }, (client) => {
    const device = devices.get((client as unknown as { readonly _sock: object })._sock);
    if (device !== undefined) serve(client, device);
  });
  return { machine: platform.machine(spec), platform, server };
}

function serve(client: Connection, device: FleetDevice): void {
  const kind = kinds.get(device.platform);
  if (kind === undefined) return;
  client.on('error', () => {});
  const trouble = troubles.get(device.number);
  client.on('authentication', (context) => {
    if (trouble === 'rejects' && context.method !== 'none') context.reject([...kind.platform.methods]);
    else authenticate(context, kind.platform);
  });
  client.on('session', (accept) => {
    const session = accept();
    const terminal: Terminal = { rows: 24 };
    session.on('pty', (ready, _reject, info) => {
      if (info.rows > 0) terminal.rows = info.rows;
      ready?.();
    });
    session.on('window-change', (ready) => ready?.());
    session.on('env', (ready) => (ready as (() => void) | undefined)?.());
    session.on('shell', (ready) => shell(ready(), kind, device, terminal));
    session.on('exec', (ready, _reject, info) => exec(ready(), kind, device, info.command));
  });
}

function authenticate(context: AuthContext, { methods }: FakePlatform): void {
  const judge = (password: string | undefined): void => {
    if (context.username === account.username && password === account.password) {
      logins += 1;
      context.accept();
    } else context.reject([...methods]);
  };
  if (context.method === 'password' && methods.includes('password')) judge(context.password);
  else if (context.method === 'keyboard-interactive' && methods.includes('keyboard-interactive'))
    context.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) => judge(answer));
  else context.reject([...methods]);
}

function shell(channel: ServerChannel, kind: Kind, device: FleetDevice, terminal: Terminal): void {
  const subject = {
    machine: kind.machine,
    pager: options.pager || device.platform === 'cisco_asa',
    fill: (text: string, more: { readonly [key: string]: string }) =>
      filled(text, device, more).replaceAll('\n', '\r\n'),
    screen: () => display(device),
  };
  const send = (bytes: Buffer): void => {
    sentBytes += bytes.length;
    channel.write(bytes);
  };
  const end = (): void => {
    channel.exit(0);
    channel.end();
  };
  channel.on('error', () => {});
  const session = new TerminalSession(subject, terminal, send, end);
  channel.on('data', (bytes: Buffer) => session.type(bytes));
}

function exec(channel: ServerChannel, kind: Kind, device: FleetDevice, command: string): void {
  const answer: ExecAnswer = kind.machine.exec(command);
  const bytes = answer.stdout.startsWith('{{config}}')
    ? display(device)
    : Buffer.from(filled(answer.stdout, device, {}), 'latin1');
  sentBytes += bytes.length;
  channel.on('error', () => {});
  channel.on('data', () => {});
  if (answer.stderr !== '') channel.stderr.write(answer.stderr);
  if (bytes.length > 0) channel.write(bytes);
  if (answer.exitStatus === null) return;
  channel.exit(answer.exitStatus);
  channel.end();
}

function display(device: FleetDevice): Buffer {
  const whole = wire.display(device, versions[device.number] ?? 0);
  if (troubles.get(device.number) !== 'cut') return whole;
  return whole.subarray(0, whole.indexOf(10, Math.floor(whole.length / 2)) + 1);
}

/** Lines end in LF alone. */
function filled(text: string, device: FleetDevice, more: { readonly [key: string]: string }): string {
  if (!text.includes('{{')) return text;
  displays += 1;
  const own: { readonly [key: string]: string } = {
    host: device.hostname,
    serial: device.serial,
    status: '',
    folder: '/Common',
    ...more,
  };
  const named = text.replace(/\{\{([a-z]+)\}\}/g, (whole, name: string) => own[name] ?? whole);
  return named.includes('{{') ? render(named, displays).text : named;
}

/** One for all devices: what it is costs nothing to a client. */
function hostKey(): { readonly pem: string; readonly line: string; readonly fingerprint: string } {
  const { private: pem } = ssh2.utils.generateKeyPairSync('ed25519');
  const parsed = ssh2.utils.parseKey(pem);
  // ssh2 cannot read back every key that it makes (about 2 in 1000).
  if (parsed instanceof Error) return hostKey();
  const blob = parsed.getPublicSSH();
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { pem, line: `${parsed.type} ${blob.toString('base64')}`, fingerprint: `SHA256:${digest}` };
}
