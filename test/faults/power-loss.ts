import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { LoopDisk } from '../support/mount.ts';
import type { BackupLine } from '../support/workspace.ts';
import { World } from './world.ts';

const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.net'];

/** The kernel writes a file 30 s after it changed, and its journal every 5 s: between these, names outrun contents. */
const betweenMs = 7_000;

/** The method sees what did not reach the disk: a plain `git commit` is lost, at once and later. */
export async function plainCommitIsLost(): Promise<void> {
  using at = new LoopDisk();
  using later = new LoopDisk();
  for (const { dir } of [at, later]) commitPlainly(dir);
  at.cutPower();
  await sleep(betweenMs);
  later.cutPower();
  for (const { dir } of [at, later]) expect(isWhole(join(dir, 'plain')), dir).toBe(false);
}

/** The power goes the moment after a device was reported. */
export async function acknowledgedIsThere(cuts: number): Promise<void> {
  await onDisk(async (world, disk) => {
    for (let cut = 1; cut <= cuts; cut++) {
      for (const { name } of world.devices) world.change(name);
      const acknowledged = await cutWhenAcknowledged(world, disk, 1 + (cut % world.devices.length));
      await present(world, acknowledged);
      await goesOn(world);
    }
  });
}

/** The power goes when a part of what git wrote has reached the disk, and a part has not. */
export async function wholeLater(cuts: number): Promise<void> {
  await onDisk(async (world, disk) => {
    for (let cut = 1; cut <= cuts; cut++) {
      for (const { name } of world.devices) world.change(name);
      const { lines } = await world.workspace.backup();
      await sleep(betweenMs);
      disk.cutPower();
      await present(world, [...lines.values()]);
      await goesOn(world);
    }
  });
}

/** The power goes while an operator repacks the repository. */
export async function wholeAfterRepack(cuts: number): Promise<void> {
  using disk = new LoopDisk();
  const dir = join(disk.dir, 'configs.git');
  const path = artefactPath('default', 'fw1', 'running-config');
  const made: string[] = [];
  for (let cut = 0; cut < cuts; cut++) {
    const repository = await openRepository({ dir });
    const wanted = Array.from({ length: 12 }, (_, n) => ({
      subject: () => `fw1: cut ${cut}, commit ${n}`,
      body: '',
      trailers: [['Run-Id', `run-${cut}-${n}`]] as const,
      atMs: Date.UTC(2026, 0, 1) + made.length * 1000,
      files: [{ path, text: `hostname fw1\n! ${cut} ${n}\n${'access-list\n'.repeat(500)}` }],
      remove: [],
    }));
    made.push(
      ...(await Promise.all(wanted.map((one) => repository.commit(one)))).map(({ commit }) => commit),
    );
    // As an operator would; the settings that make it flush stand in the repository.
    const gc = spawn('git', ['-C', dir, 'gc', '--quiet', '--prune=now'], {
      stdio: 'ignore',
      detached: true,
    });
    const ended = once(gc, 'exit');
    await sleep(((cut * 37) % 100) + 5);
    const { pid = 0 } = gc;
    signalGroup(pid, 'SIGSTOP');
    disk.cutPower();
    signalGroup(pid, 'SIGKILL');
    await ended;
    // The collector too begins anew after a power cut: what is left is older than its process.
    for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }))
      if (name.endsWith('.lock')) utimesSync(join(dir, name), 0, 0);
    const told = git(dir, 'fsck', '--full', '--strict', '--no-dangling');
    expect(told, `cut ${cut}`).toBe('');
    expect(git(dir, 'rev-list', '--reverse', 'main').trim().split('\n'), `cut ${cut}`).toEqual(made);
  }
}

/** The program on three devices, its state on a disk of its own. */
async function onDisk(work: (world: World, disk: LoopDisk) => Promise<void>): Promise<void> {
  const world = new World();
  mkdirSync(world.workspace.state, { mode: 0o700 });
  const disk = new LoopDisk(world.workspace.state);
  try {
    await world.begin(['fw1', 'fw2', 'fw3']);
    await work(world, disk);
  } finally {
    disk[Symbol.dispose]();
    await world.stop();
  }
}

/** Runs `backup` until so many devices are reported, cuts the power there, and returns what it had reported. */
async function cutWhenAcknowledged(
  world: World,
  disk: LoopDisk,
  count: number,
): Promise<readonly BackupLine[]> {
  const child = world.start('backup', '--json');
  const ended = once(child, 'exit');
  let said = '';
  const lines = () => said.split('\n').slice(0, -1);
  for await (const piece of child.stdout.setEncoding('utf8')) {
    said += piece;
    if (lines().length >= count) break;
  }
  child.kill('SIGSTOP');
  disk.cutPower();
  child.kill('SIGKILL');
  await ended;
  return lines().map((line) => JSON.parse(line) as BackupLine);
}

/** Each was acknowledged as a success, and is there. */
async function present(world: World, lines: readonly BackupLine[]): Promise<void> {
  const { workspace } = world;
  expect(lines.length).toBeGreaterThan(0);
  expect(await workspace.git('fsck', '--full', '--strict', '--no-dangling')).toBe('');
  using ledger = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
  for (const { device, run_id, outcome, commit } of lines) {
    expect(outcome).toBe('changed');
    const changes = world.devices.find(({ name }) => name === device)?.changes;
    expect(await world.stored(device, commit ?? ''), `${device} in ${commit}`).toBe(changes);
    await workspace.git('merge-base', '--is-ancestor', commit ?? '', 'main');
    expect(ledger.prepare('SELECT state, commit_id FROM run WHERE id = ?').get(run_id), run_id).toEqual({
      state: 'changed',
      commit_id: commit,
    });
    for (const { digest } of ledger.prepare('SELECT digest FROM sealed WHERE run_id = ?').all(run_id))
      expect(
        existsSync(join(workspace.state, 'artefacts', String(digest).slice(0, 2), `${digest}.age`)),
        String(digest),
      ).toBe(true);
  }
  expect(await world.contradictions(false)).toEqual([]);
}

/** The next backup succeeds, and then nothing contradicts anything. */
async function goesOn(world: World): Promise<void> {
  const { code, stderr } = await world.workspace.backup();
  expect(code, stderr).toBe(0);
  expect(await world.contradictions(true)).toEqual([]);
  for (const { name, changes } of world.devices) expect(await world.stored(name), name).toBe(changes);
}

function commitPlainly(disk: string): void {
  const dir = join(disk, 'plain');
  execFileSync('git', ['init', '--quiet', dir]);
  writeFileSync(join(dir, 'fw1.cfg'), 'hostname fw1\n');
  git(dir, 'add', 'fw1.cfg');
  git(dir, ...who, 'commit', '--quiet', '-m', 'fw1: changed');
}

function isWhole(dir: string): boolean {
  try {
    git(dir, 'fsck', '--full', '--strict');
    return git(dir, 'show', 'HEAD:fw1.cfg') === 'hostname fw1\n';
  } catch {
    return false;
  }
}

/** What it prints, on both ways; throws where it fails. */
function git(dir: string, ...args: readonly string[]): string {
  return execFileSync('git', ['-C', dir, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** git and what it started. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It was faster.
  }
}
