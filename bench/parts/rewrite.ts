import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FakeDevice, startFakeDevice } from '../../test/support/devices/server.ts';
import { asaConfig } from '../../test/support/samples.ts';
import type { BenchPart, Measured, Scale } from '../part.ts';
import { type RunningDaemon, runCommand, startDaemon } from '../scale/program.ts';
import { makeWorkplace, quietSlot, type Workplace } from '../scale/workplace.ts';

const part: BenchPart = {
  name: 'rewrite',
  about:
    'A device whose whole configuration of 50 000 lines changed: what its backup does to the event loop.',
  run,
};
export default part;

async function run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]> {
  if (scale === 'full') {
    const { unchanged, rewritten } = await measure(50_000, say);
    return [
      ...figuresOf('50 000 lines, nothing changed', unchanged, null),
      ...figuresOf('50 000 lines, all of them changed', rewritten, 100),
    ];
  }
  const small = await measure(500, say);
  const large = await measure(5_000, say);
  return [
    {
      what: 'CPU of a rewrite, 5000 lines against 500',
      // What a line costs has to be the same for both.
      ...{
        value: large.rewritten.cpuMs / small.rewritten.cpuMs,
        unit: 'x',
        limit: { atMost: 15 },
        note: null,
      },
    },
  ];
}

interface Backup {
  readonly longestMs: number;
  readonly cpuMs: number;
  readonly wallMs: number;
}

function figuresOf(what: string, backup: Backup, atMost: number | null): readonly Measured[] {
  const plain = { unit: 'ms', limit: null, note: null } as const;
  return [
    {
      what: `${what}: event loop held up`,
      ...{ ...plain, value: backup.longestMs, limit: atMost === null ? null : { atMost } },
    },
    { what: `${what}: CPU of the daemon`, ...plain, value: backup.cpuMs },
  ];
}

async function measure(
  lines: number,
  say: (line: string) => void,
): Promise<{ readonly unchanged: Backup; readonly rewritten: Backup }> {
  const account = { username: 'backup', password: 'bench-only' };
  await using device = await startFakeDevice({
    ...{ platform: 'cisco_asa', hostname: 'fw-asa', config: configOf(lines, 1), ...account },
    facts: { serial: 'FCH19TESTAA', version: '9.16(4)19' },
  });
  using place = await makeWorkplace(1, 1, quietSlot(Date.now()).schedule);
  writeFileSync(join(place.dir, 'devices.yaml'), inventoryOf(device));
  await using daemon = await startDaemon(place);
  say(`${lines} lines: the first reading`);
  await backup(place, daemon, 'changed');
  say(`${lines} lines: the same again`);
  const unchanged = await backup(place, daemon, 'unchanged');
  device.change(configOf(lines, 2));
  say(`${lines} lines: all of them others`);
  const rewritten = await backup(place, daemon, 'changed');
  return { unchanged, rewritten };
}

async function backup(place: Workplace, daemon: RunningDaemon, expected: string): Promise<Backup> {
  const before = await daemon.probe();
  const { stdout, wallMs } = await runCommand(place, ['backup', 'fw', '--json']);
  const after = await daemon.probe();
  const { outcome } = JSON.parse(stdout.split('\n')[0] ?? '{}') as { readonly outcome?: string };
  if (outcome !== expected) throw new Error(`the backup ended ${outcome}: ${stdout.slice(0, 500)}`);
  return { longestMs: after.longestMs, cpuMs: after.cpuMs - before.cpuMs, wallMs };
}

/** The rules of `edition` 1 and 2 have no line in common; everything else has. */
function configOf(lines: number, edition: number): string {
  const rules = Array.from(
    { length: lines },
    (_, index) =>
      `access-list outside_in extended permit tcp any host 10.${edition}.${index >> 8}.${index & 255} eq https `,
  );
  return asaConfig.replace(/^access-list .*$/m, () => rules.join('\n'));
}

function inventoryOf({ port }: FakeDevice): string {
  return `credentials:
  readonly: { username: backup, password: { file: ./password }, enable: true }
devices:
  - name: fw
    platform: cisco_asa
    host: 127.0.0.1
    port: ${port}
    credentials: readonly
    host_key: first-use
    timeouts: { idle: 5m }
`;
}
