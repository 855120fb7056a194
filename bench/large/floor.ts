/** A process of its own: the same dialogue with a bare ssh2 client, which keeps nothing but the time it took. */
import ssh2 from 'ssh2';

const [port = '0', readings = '1'] = process.argv.slice(2);
const commands = ['get system status', ...Array(Number(readings)).fill('show'), 'exit'];
const started = performance.now();
const client = new ssh2.Client();
client.on('ready', () => {
  client.shell({ term: 'vt100', cols: 511, rows: 1000 }, (error, channel) => {
    if (error !== undefined) throw error;
    let tail = '';
    channel.on('data', (piece: Buffer) => {
      tail = (tail + piece.toString('latin1', Math.max(0, piece.length - 64))).slice(-64);
      if (!tail.endsWith('\nfw-large # ') && tail !== 'fw-large # ') return;
      tail = '';
      channel.write(`${commands.shift()}\n`);
    });
    channel.on('close', () => client.end());
  });
});
client.on('close', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ ms: performance.now() - started, cpuMs: (user + system) / 1000 });
  process.disconnect?.();
});
client.connect({ host: '127.0.0.1', port: Number(port), username: 'backup', password: 'unused' });
