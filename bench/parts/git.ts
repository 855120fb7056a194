import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import type { BenchPart, Measured, Scale } from '../part.ts';
import { importPast, pastRunId } from '../scale/past.ts';
import { asaText } from '../scale/texts.ts';
import { makeWorkplace, type Placed, type Workplace } from '../scale/workplace.ts';

const part: BenchPart = {
  name: 'git',
  about:
    'Durable commits in a repository of ten thousand devices: alone, in a batch, beside maintenance; and its growth.',
  run,
};
export default part;

const textBytes = 50_000;
/** What the product holds in one batch at the most. */
const batch = 256;

async function run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]> {
  if (scale === 'smoke') return ratios(say);
  using place = await makeWorkplace(10_000, 100, '0 2 * * *');
  say('10000 devices of 50 kB: their first commits');
  const { repository, changed } = await filled(place);
  await git(place.repository, ['repack', '-adq']);
  const baseBytes = await sizeOf(place.repository);

  say('commits alone, then in batches');
  const alone = await commitsAlone(changed, 20);
  const aloneMs = alone.toSorted((a, b) => a - b)[Math.floor(alone.length / 2)] ?? 0;
  const batchMs = Math.min(await commitBatch(changed, batch), await commitBatch(changed, batch));
  // What a day in which one device of five changes leaves.
  while (changed.count < 2_000) await commitBatch(changed, batch);
  const written = changed.count;
  const before = (await sizeOf(place.repository)) - baseBytes;

  say('maintenance, with commits beside it');
  const copy = join(place.dir, 'copy.git');
  await cp(place.repository, copy, { recursive: true });
  await git(copy, ['-c', 'gc.auto=0', 'gc', '--quiet', '--prune=now']);
  const byGc = (await sizeOf(copy)) - baseBytes;
  const maintained = { over: false };
  const began = performance.now();
  const maintenance = repository.maintain(null).finally(() => {
    maintained.over = true;
  });
  const beside: number[] = [];
  do beside.push(...(await commitsAlone(changed, 1)));
  while (!maintained.over);
  await maintenance;
  const maintenanceMs = performance.now() - began;
  await repository.maintain(null);
  const after = (await sizeOf(place.repository)) - baseBytes;
  const share = written / changed.count;
  return [
    { what: 'A durable commit alone, 10 000 devices', ...ms(aloneMs, 60) },
    { what: `A durable commit in a batch of ${batch}, 10 000 devices`, ...ms(batchMs, 4) },
    { what: 'The longest commit beside maintenance', ...ms(Math.max(...beside), 1_000) },
    { what: `Maintenance after ${written} changes`, ...ms(maintenanceMs, null) },
    { what: 'Growth per changed configuration until the night', ...plain(before / written, 'bytes') },
    { what: 'Growth per changed configuration after maintenance', ...plain(after / changed.count, 'bytes') },
    { what: 'Growth per changed configuration after `git gc`', ...plain(byGc / written, 'bytes') },
    {
      what: 'Growth after maintenance against `git gc`',
      ...{ value: (after * share) / byGc, unit: 'x', limit: { atMost: 2 }, note: null },
    },
  ];
}

/** A commit of a batch has to cost a fraction of one alone. */
async function ratios(say: (line: string) => void): Promise<readonly Measured[]> {
  using place = await makeWorkplace(200, 100, '0 2 * * *');
  say('200 devices: their first commits');
  const { changed } = await filled(place);
  const aloneMs = Math.min(...(await commitsAlone(changed, 5)));
  const batchMs = await commitBatch(changed, 100);
  return [
    {
      what: 'A commit in a batch of 100 against one alone',
      ...{ value: batchMs / aloneMs, unit: 'x', limit: { atMost: 0.5 }, note: null },
    },
  ];
}

/** The changes that were made until now. */
interface Changes {
  count: number;
  readonly next: () => Promise<unknown>;
}

async function filled(place: Workplace): Promise<{ repository: Repository; changed: Changes }> {
  const repository = await openRepository({ dir: place.repository });
  const atMs = Date.now() - 86_400_000;
  await importPast(
    place.repository,
    place.devices.map((device, index) => ({
      ...{ device, runId: pastRunId(index, atMs), slotMs: null, atMs: atMs + index, edit: 0 },
    })),
    textBytes,
  );
  const changed: Changes = {
    count: 0,
    next() {
      // No device twice before every other one had its turn; neighbours in time are not neighbours in the tree.
      const device = place.devices[(changed.count * 7) % place.devices.length] as Placed;
      changed.count += 1;
      return repository.commit({
        subject: ({ addedLines, removedLines }) => `${device.name}: +${addedLines} -${removedLines}`,
        body: '',
        trailers: [['Run-Id', pastRunId(100_000 + changed.count, Date.now())]],
        atMs: Date.now(),
        files: [
          {
            path: artefactPath(device.group, device.name, 'running-config'),
            text: asaText(device.name, textBytes, changed.count),
          },
        ],
        remove: [],
      });
    },
  };
  return { repository, changed };
}

async function commitsAlone(changed: Changes, count: number): Promise<readonly number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const began = performance.now();
    await changed.next();
    took.push(performance.now() - began);
  }
  return took;
}

/** Milliseconds for each. */
async function commitBatch(changed: Changes, count: number): Promise<number> {
  const requests: Promise<unknown>[] = [];
  const began = performance.now();
  for (let index = 0; index < count; index++) requests.push(changed.next());
  await Promise.all(requests);
  return (performance.now() - began) / count;
}

function ms(value: number, atMost: number | null): Omit<Measured, 'what'> {
  return { value, unit: 'ms', limit: atMost === null ? null : { atMost }, note: null };
}

function plain(value: number, unit: Measured['unit']): Omit<Measured, 'what'> {
  return { value, unit, limit: null, note: null };
}

async function git(dir: string, args: readonly string[]): Promise<void> {
  const child = spawn('git', ['-C', dir, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}`);
}

/** What the objects occupy on the disk, in whole blocks: a small file takes one all the same. */
async function sizeOf(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(join(dir, 'objects'), { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).blocks * 512;
  return bytes;
}
