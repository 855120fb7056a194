import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fleet, inventoryOf } from '../fleet/fleet.ts';
import { account } from '../fleet/options.ts';
import { cpuOf, peakBytesOf } from '../measure/process.ts';
import { type RunningDaemon, runCommand, startDaemon } from '../scale/program.ts';
import { makeWorkplace, quietSlot, type Workplace } from '../scale/workplace.ts';

/** What one backup of every device took. */
export interface Backups {
  readonly wallMs: number;
  /** User and system, of the daemon and of the git programs that it started. */
  readonly cpuMs: number;
  /** How many runs ended in which way: `unchanged`, `changed`, `failed: connect.refused`. */
  readonly outcomes: { readonly [outcome: string]: number };
}

/** The real daemon over a fleet: its own state directory, repository, ledger, sealed copies. */
export interface Subject extends AsyncDisposable {
  readonly place: Workplace;
  readonly daemon: RunningDaemon;
  /** Asks for a backup of every device, as a person does, and waits for the last one. */
  backUp(): Promise<Backups>;
  /** The most memory that it ever held. */
  peakBytes(): number;
}

/** @throws Error where the daemon does not become ready. */
export async function startSubject(fleet: Fleet, workers: number): Promise<Subject> {
  const place = await workplaceOf(fleet, workers);
  const daemon = await startDaemon(place).catch((error: unknown) => {
    place[Symbol.dispose]();
    throw error;
  });
  const cpuMs = (): number => {
    const { ownMs, childrenMs } = cpuOf(daemon.pid);
    return ownMs + childrenMs;
  };
  return {
    place,
    daemon,
    async backUp() {
      const before = cpuMs();
      const { stdout, wallMs } = await runCommand(place, ['backup', '--json']);
      return { wallMs, cpuMs: cpuMs() - before, outcomes: outcomesIn(stdout) };
    },
    peakBytes: () => peakBytesOf(daemon.pid),
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      place[Symbol.dispose]();
    },
  };
}

/** A configuration of this fleet; without a `schedule` nothing falls due by itself. */
export async function workplaceOf(
  fleet: Fleet,
  workers: number,
  schedule = quietSlot(Date.now()).schedule,
): Promise<Workplace> {
  const place = await makeWorkplace(1, 1, schedule);
  appendFileSync(place.config, `workers: ${workers}\nlog: { level: warn }\n`);
  writeFileSync(join(place.dir, 'password'), `${account.password}\n`, { mode: 0o600 });
  writeFileSync(join(place.dir, 'devices.yaml'), inventoryOf(fleet));
  const devices = fleet.devices.map(({ hostname }) => ({ name: hostname, group: 'default' }));
  return { ...place, devices, [Symbol.dispose]: () => place[Symbol.dispose]() };
}

/** A line of `backup --json`. */
interface Ended {
  readonly outcome?: string;
  readonly error?: { readonly code: string } | null;
}

function outcomesIn(json: string): { readonly [outcome: string]: number } {
  const counts: { [outcome: string]: number } = {};
  for (const line of json.split('\n')) {
    if (line === '') continue;
    const { outcome, error } = JSON.parse(line) as Ended;
    if (outcome === undefined) continue;
    const told = error == null ? outcome : `${outcome}: ${error.code}`;
    counts[told] = (counts[told] ?? 0) + 1;
  }
  return counts;
}

/** @throws Error unless every device ended in this way: a figure of failures says nothing. */
export function all(outcome: 'changed' | 'unchanged', backups: Backups, devices: number): Backups {
  if (backups.outcomes[outcome] === devices) return backups;
  throw new Error(`not every device was ${outcome}: ${JSON.stringify(backups.outcomes)}`);
}
