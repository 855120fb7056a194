/**
 * `npm run soak`: days of a fleet in minutes, and whether anything grew by them. Exit code 1 where something did, or
 * where the ledger does not hold what it promises.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { account, standard } from '../fleet/options.ts';
import type { Trouble } from '../fleet/protocol.ts';
import { makeWorkplace, type Workplace } from '../scale/workplace.ts';
import { lookThrough } from './invariant.ts';
import { SoakInventory } from './inventory.ts';
import { SoakDaemon } from './process.ts';
import { redate, type Sample, sampleOf } from './sample.ts';
import { trendsOf } from './trend.ts';

const { values } = parseArgs({
  options: { days: { type: 'string', default: '24' }, devices: { type: 'string', default: '1000' } },
});
const days = Number(values.days);
const count = Number(values.devices);

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const minuteMs = 60_000;
/** Midnight before the first slot: long ago, so that no file of the soak carries a date of these days by itself. */
const start = Date.UTC(2024, 2, 1);
const workers = 64;
/** Of all devices, each day; one at least. */
const troubles: { readonly [trouble in Trouble]: number } = {
  down: 0.01,
  rejects: 0.002,
  cut: 0.01,
  slow: 0.02,
};
const changesADay = 0.02;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/**
 * When the daemon is stopped and started again, and when it is killed in the middle of a round. The last life is long:
 * there it is seen whether anything grows.
 */
function interruptionOn(day: number): 'stop' | 'kill' | null {
  if (days < 20) return day === 1 ? 'stop' : day === 2 ? 'kill' : null;
  if (day === 7 || day === 14) return 'kill';
  return day % 3 === 0 && day <= days / 2 ? 'stop' : null;
}

/** Who is in trouble today; the same numbers for the same day. */
function troublesOf(day: number, numbers: readonly number[]): ReadonlyMap<number, Trouble> {
  const found = new Map<number, Trouble>();
  let at = day * 37;
  for (const [trouble, share] of Object.entries(troubles) as [Trouble, number][])
    for (let left = Math.max(1, Math.round(share * numbers.length)); left > 0; left--) {
      at += 7;
      found.set(numbers[at % numbers.length] ?? 0, trouble);
    }
  return found;
}

function isRunning(place: Workplace): boolean {
  const rows = new DatabaseSync(place.ledger, { readOnly: true });
  try {
    return Number(rows.prepare("SELECT count(*) AS n FROM run WHERE state = 'running'").get()?.n) > 0;
  } finally {
    rows.close();
  }
}

async function soak(fleet: Fleet, place: Workplace): Promise<boolean> {
  const inventory = new SoakInventory(count, standard.platforms);
  const write = (): void =>
    writeFileSync(join(place.dir, 'devices.yaml'), inventory.yaml(fleet.port, fleet.fingerprint));
  appendFileSync(
    place.config,
    `workers: ${workers}\nsplay: 0s\nretry_later: 2h\ncatch_up_spread: 1m\ntranscripts: failed\nretention: { sealed: 6d, transcripts: 2d }\n`,
  );
  writeFileSync(join(place.dir, 'password'), `${account.password}\n`, { mode: 0o600 });
  write();
  let daemon = await SoakDaemon.start(place, start + 10 * minuteMs);
  let bornOn = 1;
  const samples: Sample[] = [];
  try {
    for (let day = 1; day <= days; day++) {
      const midnight = start + (day - 1) * dayMs;
      const began = performance.now();
      if (day > 1) {
        inventory.edit(midnight);
        await fleet.change(changesADay);
        write();
        await daemon.reload();
      }
      const today = day > 1 ? troublesOf(day, inventory.numbers) : new Map<number, Trouble>();
      await fleet.trouble(today);
      await daemon.until(midnight + 2 * hourMs - minuteMs);
      const interruption = interruptionOn(day);
      if (interruption === 'kill') {
        await daemon.killIn(midnight + 2 * hourMs, () => isRunning(place));
        daemon = await SoakDaemon.start(place, midnight + 2 * hourMs + 10 * minuteMs);
        bornOn = day;
      }
      await daemon.until(midnight + 4 * hourMs + 17 * minuteMs);
      redate(place.state, midnight + 4 * hourMs);
      await daemon.housekeeping();
      await daemon.scrape();
      await daemon.until(midnight + 5 * hourMs);
      // A password stays wrong for the day, whatever else is well again.
      await fleet.trouble(new Map([...today].filter(([, trouble]) => trouble === 'rejects')));
      await daemon.until(midnight + 13 * hourMs);
      await daemon.scrape();
      if (interruption === 'stop') {
        await daemon.stop();
        daemon = await SoakDaemon.start(place, midnight + 13 * hourMs + 20 * minuteMs);
        bornOn = day;
      }
      await daemon.until(midnight + 23 * hourMs + 50 * minuteMs);
      const sample = sampleOf(day, day - bornOn + 1, daemon.pid, await daemon.held(), place);
      samples.push(sample);
      say(
        `day ${day}: ${((performance.now() - began) / 1000).toFixed(1)} s${interruption === null ? '' : `, ${interruption}`}`,
      );
      await daemon.until(midnight + dayMs);
    }
    await daemon.stop();
  } catch (error) {
    daemon.kill();
    throw error;
  }
  tell(samples);
  const trends = trendsOf(samples);
  if (trends.length === 0) say('too few days in one life to tell whether anything grows');
  for (const { of, perDay, growth, allowed, grows } of trends)
    say(
      `${of}: ${perDay.toFixed(3)} a day, ${growth.toFixed(2)} over the second half of the last life, ${allowed.toFixed(2)} allowed${grows ? ': GROWS' : ''}`,
    );
  const { outcomes, broken } = await lookThrough(place, inventory.steady, start, start + days * dayMs - 1);
  say(
    `slots: ${Object.entries(outcomes)
      .map(([outcome, n]) => `${outcome} ${n}`)
      .join(', ')}`,
  );
  for (const sentence of broken) say(`BROKEN: ${sentence}`);
  const holds = broken.length === 0 && !trends.some(({ grows }) => grows);
  say(holds ? 'the soak passed' : 'the soak failed');
  return holds;
}

/** As a table for docs/performance.md. */
function tell(samples: readonly Sample[]): void {
  const columns = Object.keys(samples[0] ?? {}) as (keyof Sample)[];
  say(`| ${columns.join(' | ')} |\n|${columns.map(() => '--:').join('|')}|`);
  for (const sample of samples) say(`| ${columns.map((column) => sample[column]).join(' | ')} |`);
}

// So many more as come in the days.
const most = count + days * Math.ceil(count / 200 + 1);
await using fleet = await startFleet({ devices: most, sizeBytes: 4_000 });
using place = await makeWorkplace(1, 1, '0 2 * * *');
process.exitCode = (await soak(fleet, place)) ? 0 : 1;
