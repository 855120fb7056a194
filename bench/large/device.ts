/** A process of its own: one large FortiGate on 127.0.0.1. A parent tells it over IPC how large it is. */
import type { AddressInfo } from 'node:net';
import ssh2, { type ServerChannel } from 'ssh2';
import { largeFortigate } from './text.ts';

const prompt = 'fw-large # ';
const status =
  'Version: FortiGate-300F v7.2.8,build1639,240313 (GA.M)\r\nSerial-Number: FG3H0FTK00000000\r\nHostname: fw-large\r\nVirtual domain configuration: disable\r\nCurrent HA mode: standalone\r\n';
let shown = Buffer.alloc(0);

function serve(channel: ServerChannel): void {
  let typed = '';
  channel.write(prompt);
  channel.on('data', (piece: Buffer) => {
    typed += piece.toString('latin1');
    for (let end = typed.indexOf('\n'); end !== -1; end = typed.indexOf('\n')) {
      const line = typed.slice(0, end).trim();
      typed = typed.slice(end + 1);
      channel.write(`${line}\r\n`);
      if (line === 'exit') {
        channel.exit(0);
        channel.end();
        return;
      }
      channel.write(line === 'show' ? shown : Buffer.from(status, 'latin1'));
      channel.write(`\r\n${prompt}`);
    }
  });
}

const { private: key } = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 });
const server = new ssh2.Server({ hostKeys: [key] }, (client) => {
  client.on('error', () => {});
  client.on('authentication', (context) => context.accept());
  client.on('session', (accept) => {
    const session = accept();
    session.on('pty', (yes) => yes());
    session.on('shell', (yes) => serve(yes()));
  });
});
process.on('message', ({ bytes, seed }: { bytes: number; seed: number }) => {
  shown = Buffer.from(largeFortigate(bytes, seed).replaceAll('\n', '\r\n'), 'latin1');
  process.send?.({ shown: shown.length });
});
process.on('disconnect', () => process.exit(0));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
