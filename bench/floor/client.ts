/**
 * The floor: a process of its own with nothing but ssh2, which holds the same dialogue as the product and keeps
 * nothing. It looks at the last bytes of what comes, for the prompt, and at nothing else.
 */
import { connect } from 'node:net';
import ssh2, { type ClientChannel } from 'ssh2';
import { offer } from '../../src/transport/algorithms.ts';
import { account, type FleetDevice } from '../fleet/options.ts';
import { type Dialogue, dialogueWith, pagerMarker } from './dialogues.ts';
import type { FloorCost, Round } from './floor.ts';

const {
  kex,
  'host-key': serverHostKey,
  cipher,
  mac,
} = offer({ profile: 'modern', allow: [] }, ['ssh-ed25519']);
const algorithms = { kex, serverHostKey, cipher, hmac: mac, compress: ['none'] };
const tailBytes = 80;

async function read(device: FleetDevice, port: number): Promise<void> {
  const socket = connect({ host: device.address, port, noDelay: true });
  const client = new ssh2.Client();
  const closed = new Promise<void>((done, failed) => {
    client.on('error', failed);
    client.on('close', done);
  });
  const ready = new Promise<void>((done) => client.on('ready', done));
  client.on('keyboard-interactive', (_name, _instructions, _language, prompts, answer) =>
    answer(prompts.map(() => account.password)),
  );
  client.connect({
    sock: socket,
    ...account,
    tryKeyboard: true,
    readyTimeout: 0,
    // The types demand mutable lists where ssh2 only reads.
    algorithms: algorithms as unknown as ssh2.Algorithms,
    hostVerifier: () => true,
  });
  await Promise.race([ready, closed]);
  const dialogue = dialogueWith(device);
  if (dialogue.by === 'shell') await type(client, dialogue);
  else for (const line of dialogue.lines) await run(client, line);
  client.end();
  await closed;
}

function type(client: ssh2.Client, { lines, prompts }: Dialogue & { readonly by: 'shell' }): Promise<void> {
  return new Promise((done, failed) => {
    client.shell({ term: 'vt100', cols: 511, rows: 1000 }, (error, channel) => {
      if (error !== undefined) {
        failed(error);
        return;
      }
      let next = 0;
      let tail = '';
      channel.on('data', (piece: Buffer) => {
        const end = piece.toString('latin1', Math.max(0, piece.length - tailBytes));
        tail = end.length < tailBytes ? (tail + end).slice(-tailBytes) : end;
        if (tail.endsWith(pagerMarker)) channel.write(' ');
        else if (prompts.some((prompt) => tail.endsWith(prompt))) channel.write(`${lines[next++]}\n`);
        else return;
        tail = '';
      });
      channel.on('close', () => done());
    });
  });
}

function run(client: ssh2.Client, line: string): Promise<void> {
  return new Promise((done, failed) => {
    client.exec(line, (error: Error | undefined, channel: ClientChannel) => {
      if (error !== undefined) {
        failed(error);
        return;
      }
      channel.on('data', () => {});
      channel.stderr.on('data', () => {});
      channel.on('close', () => done());
    });
  });
}

async function round({ devices, port, atOnce }: Round): Promise<FloorCost> {
  const before = process.cpuUsage();
  const began = performance.now();
  const rest = [...devices];
  const worker = async (): Promise<void> => {
    for (let device = rest.pop(); device !== undefined; device = rest.pop()) await read(device, port);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const { user, system } = process.cpuUsage(before);
  return { wallMs: performance.now() - began, cpuMs: (user + system) / 1000 };
}

process.on('message', (asked: Round) => {
  void round(asked).then((cost) => process.send?.(cost));
});
process.on('disconnect', () => process.exit(0));
