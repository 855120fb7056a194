import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { describeWith } from '../support/system.ts';
import { World } from './world.ts';

/** FAULTS_SEED repeats a run of before, as far as the machine lets it. */
const seed = Number(process.env.FAULTS_SEED ?? Date.now() % 1_000_000);
const devices = ['fw1', 'fw2', 'fw3'];
/** So many lives, then one that nobody disturbs, after which nothing may be open. */
const between = 20;

const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

// The lanes are in one group: groups of their own would follow each other, and the daemon mostly waits.
describe.concurrent('kill -9 at random moments', () => {
  it.each([1, 2, 3])(
    '140 of `backup` and its git children lose nothing (lane %d)',
    async (lane) => {
      const random = randomFrom(seed + lane);
      const world = new World();
      let [ofGit, ofProgram, late] = [0, 0, 0];
      try {
        await world.begin(devices);
        let lifeMs = await timed(() => undisturbed(world));
        for (let life = 1; ofGit + ofProgram < 140; life++) {
          for (const name of devices) if (random() < 0.7) world.change(name);
          const child = world.start('backup', '--json');
          child.stdout.resume();
          const ended = once(child, 'exit');
          await Promise.race([ended, sleep(random() * lifeMs)]);
          if (child.exitCode !== null) late += 1;
          else if (random() < 0.3 && (await killGit(child))) ofGit += 1;
          else if (child.kill('SIGKILL')) ofProgram += 1;
          await ended;
          if (life % between !== 0) continue;
          expect(await world.contradictions(false), `seed ${seed}, lane ${lane}, life ${life}`).toEqual([]);
          // As the machine is now: what comes after the end is no kill.
          lifeMs = await timed(() => undisturbed(world));
          expect(await world.contradictions(true), `seed ${seed}, lane ${lane}, life ${life}`).toEqual([]);
        }
        await verified(world);
        console.log(
          `seed ${seed}, lane ${lane}: killed ${ofProgram} times, git ${ofGit} times, ${late} came too late`,
        );
      } finally {
        await world.stop();
      }
    },
    1_800_000,
  );

  describeWith('faketime', 'of the daemon', () => {
    it('90 of its lives end so, hours apart, and each slot has one end', async () => {
      const random = randomFrom(seed);
      const world = new World();
      const clock = join(world.workspace.dir, 'clock');
      let offsetMs = 0;
      const later = (ms: number): void => {
        offsetMs += ms;
        writeFileSync(clock, `+${(offsetMs / 1000).toFixed(3)}\n`);
      };
      later(0);
      let daemon: ChildProcess | null = null;
      try {
        Object.assign(world.workspace.env, {
          ...{ TZ: 'UTC', LD_PRELOAD: library ?? '', FAKETIME_TIMESTAMP_FILE: clock },
          ...{ FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
        });
        await world.begin(devices, 'schedule: "0 * * * *"\ncatch_up_spread: 1s\n');
        await undisturbed(world);
        // Slots are counted from the first life on.
        daemon = world.start('daemon');
        await until(() => count(world, planned) === devices.length);
        await ended(daemon, 'SIGTERM');
        later(hourMs);
        daemon = world.start('daemon');
        const lifeMs = await timed(() => until(() => served(world) === devices.length));
        await ended(daemon, 'SIGTERM');
        for (let life = 1; life <= 100; life++) {
          for (const name of devices) if (random() < 0.7) world.change(name);
          later((0.3 + 3 * random()) * hourMs);
          daemon = world.start('daemon');
          if (life % 10 !== 0) {
            await sleep((0.2 + 0.9 * random()) * lifeMs);
            if (random() < 0.2) await killGit(daemon);
            await ended(daemon, 'SIGKILL');
            continue;
          }
          await atRest(world);
          await ended(daemon, 'SIGTERM');
          await undisturbed(world);
          expect(await world.contradictions(true), `seed ${seed}, life ${life}`).toEqual([]);
        }
        await verified(world);
        console.log(
          `seed ${seed}: the daemon was killed 90 times; ${served(world)} readings of the schedule; ${slots(world)}`,
        );
      } finally {
        daemon?.kill('SIGKILL');
        await world.stop();
      }
    }, 1_800_000);
  });
});

async function undisturbed(world: World): Promise<void> {
  const { code, stderr } = await world.workspace.backup();
  expect(code, stderr).toBe(0);
  for (const { name, changes } of world.devices) expect(await world.stored(name), name).toBe(changes);
}

async function verified(world: World): Promise<void> {
  const { code, stdout, stderr } = await world.workspace.run(['verify']);
  expect(code, `seed ${seed}\n${stdout}${stderr}`).toBe(0);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const fromMs = Date.now();
  await work();
  return Date.now() - fromMs;
}

/** Kills the next git process that this one starts; false where none comes before it ends. */
async function killGit({ pid = 0, exitCode }: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 2_000 && exitCode === null && existsSync(`/proc/${pid}`); tries++) {
    for (const child of childrenOf(pid)) {
      if (!named(child).startsWith('git')) continue;
      try {
        process.kill(child, 'SIGKILL');
        return true;
      } catch {
        // It was faster.
      }
    }
    await sleep(1);
  }
  return false;
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function named(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1');
  } catch {
    return '';
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exit = once(child, 'exit');
  if (child.kill(signal)) await exit;
}

/** Waits until no run is in progress and no slot is open, for as long as it may take to begin the next one. */
async function atRest(world: World): Promise<void> {
  let still = 0;
  await until(() => {
    still = count(world, busy) === 0 ? still + 1 : 0;
    return still > 20;
  });
}

/** Not `expect.poll`: that does not know its test where several run at once. */
async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`seed ${seed}: the daemon did not come to this`);
    await sleep(200);
  }
}

const hourMs = 3_600_000;
const planned = 'SELECT count(*) AS n FROM device WHERE plan IS NOT NULL';
const busy = `SELECT (SELECT count(*) FROM slot WHERE state IS NULL) + (SELECT count(*) FROM run WHERE state = 'running') AS n`;

/** Good readings that the schedule asked for. A slot that was missed stays so after the run that catches up. */
function served(world: World): number {
  return count(
    world,
    `SELECT count(*) AS n FROM run WHERE trigger <> 'manual' AND state IN ('changed', 'unchanged')`,
  );
}

function count(world: World, query: string): number {
  using ledger = new DatabaseSync(join(world.workspace.state, 'ledger.db'), { readOnly: true });
  return Number(ledger.prepare(query).get()?.n);
}

function slots(world: World): string {
  using ledger = new DatabaseSync(join(world.workspace.state, 'ledger.db'), { readOnly: true });
  const rows = ledger
    .prepare('SELECT state, sum(count) AS n FROM slot GROUP BY state ORDER BY state')
    .all() as { state: string; n: number }[];
  return `slots: ${rows.map(({ state, n }) => `${n} ${state}`).join(', ')}`;
}

/** Numbers in [0, 1), the same for the same seed. */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
