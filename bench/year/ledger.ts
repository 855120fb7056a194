import { hash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { canonicalJson } from '../../src/ledger/audit.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { makePast, pastRunId } from '../scale/past.ts';
import type { Workplace } from '../scale/workplace.ts';

const dayMs = 86_400_000;
const graceMs = 5_400_000;
const textBytes = 400;

/**
 * A ledger in which each device was due once a day for so many days: the first reading of each made a commit, and was
 * written by the product itself. What follows are copies of these rows and records with other instants, written past
 * the ledger, because its own way takes hours for millions; `verify` proves them. Of a thousand slots 985 are
 * unchanged, ten failed and five missed. Nothing is sealed.
 */
export async function makeYear(
  place: Workplace,
  days: number,
  lastSlotMs: number,
  say: (line: string) => void,
): Promise<void> {
  const firstSlotMs = lastSlotMs - (days - 1) * dayMs;
  say(`the first day: ${place.devices.length} commits`);
  await makePast(
    place,
    place.devices.map((device, index) => ({
      ...{ device, runId: pastRunId(index, firstSlotMs), slotMs: firstSlotMs, edit: 0 },
      atMs: firstSlotMs + 3_000 + spread(index, place.devices.length),
    })),
    textBytes,
  );
  const database = new DatabaseSync(place.ledger);
  try {
    database.exec(
      `PRAGMA journal_mode = DELETE; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;
       PRAGMA ignore_check_constraints = ON; PRAGMA cache_size = -1500000; PRAGMA locking_mode = EXCLUSIVE`,
    );
    const past = new Past(database);
    const restore = withoutHelpers(database);
    for (let day = 1; day < days; day++) {
      database.exec('BEGIN');
      past.day(firstSlotMs + day * dayMs);
      database.exec('COMMIT');
      if (day % 50 === 0) say(`day ${day} of ${days}`);
    }
    say('slots and indexes');
    past.standings();
    restore();
  } finally {
    database.close();
  }
  // As the product has it.
  openLedger(place.ledger)[Symbol.dispose]();
}

/** Readings of one night, over half an hour. */
function spread(index: number, count: number): number {
  return Math.floor((index / count) * 1_800_000);
}

/** Indexes and triggers make each row cost ten; the indexes are made at once afterwards. */
function withoutHelpers(database: DatabaseSync): () => void {
  const helpers = database
    .prepare(
      `SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL
       AND NOT (type = 'index' AND tbl_name = 'device')`,
    )
    .all() as { type: string; name: string; sql: string }[];
  for (const { type, name } of helpers) database.exec(`DROP ${type} ${name}`);
  return () => {
    for (const { sql } of helpers) database.exec(sql);
  };
}

interface Template {
  readonly id: string;
  readonly commit: string;
  readonly rules: string;
  readonly maskKey: string;
  readonly artefacts: string;
  /** Canonical JSON of a reading that found nothing changed. */
  readonly reading: string;
}

class Past {
  readonly #templates: readonly Template[];
  readonly #run;
  readonly #slot;
  readonly #chain;
  readonly #total = new Map<string, number>();
  #n: number;
  #runN: number;
  #hash: Buffer;
  #index = 0;
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    const readings = new Map(
      database
        .prepare(`SELECT record FROM chain WHERE category = 'run'`)
        .all()
        .map(({ record }) => JSON.parse(String(record)))
        .map(({ run, reading }) => [run, reading]),
    );
    this.#templates = database
      .prepare(
        `SELECT device.id, run.id AS run, run.commit_id, run.rules, run.mask_key, run.artefacts
         FROM device JOIN run ON run.id = device.good_run ORDER BY device.id`,
      )
      .all()
      .map((row) => {
        const reading = readings.get(row.run);
        for (const artefact of reading.artefacts) artefact.changed = false;
        return {
          ...{ id: String(row.id), commit: String(row.commit_id), rules: String(row.rules) },
          ...{ maskKey: String(row.mask_key), artefacts: String(row.artefacts) },
          reading: canonicalJson(reading),
        };
      });
    const newest = database.prepare('SELECT n, hash FROM chain ORDER BY n DESC LIMIT 1').get();
    this.#n = Number(newest?.n);
    this.#hash = Buffer.from(newest?.hash as Uint8Array);
    this.#runN = Number(database.prepare('SELECT max(n) AS n FROM run').get()?.n);
    this.#index = this.#runN;
    this.#run = database.prepare(
      `INSERT INTO run (n, id, device, trigger, slot_ms, started_at_ms, ended_at_ms, state, commit_id, restorable,
         error_code, error_detail, rules, mask_key, artefacts) VALUES (?, ?, ?, 'schedule', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    // Sorted by device at the end: ten thousand places to write at are slow.
    database.exec(
      `CREATE TABLE bench_slot (device TEXT, due_at_ms INTEGER, last_ms INTEGER, deadline_ms INTEGER, state TEXT,
         cause TEXT, run_id TEXT, detected_at_ms INTEGER)`,
    );
    this.#slot = database.prepare(
      `INSERT INTO bench_slot (device, due_at_ms, last_ms, deadline_ms, state, cause, run_id, detected_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#chain = database.prepare('INSERT INTO chain (n, record, hash) VALUES (?, ?, ?)');
  }

  day(slotMs: number): void {
    const count = this.#templates.length;
    for (const [index, template] of this.#templates.entries()) {
      const kind = (this.#index + Math.floor(slotMs / dayMs) * 37) % 1_000;
      const runId = pastRunId(this.#index++, slotMs);
      const startedMs = slotMs + spread(index, count);
      if (kind < 5) this.#missed(template, slotMs);
      else this.#read(template, runId, slotMs, startedMs, kind < 15);
    }
  }

  #missed({ id }: Template, slotMs: number): void {
    const deadlineMs = slotMs + graceMs;
    this.#slot.run(id, slotMs, slotMs, deadlineMs, 'missed', 'overload', null, deadlineMs + 1_000);
    this.#count('missed overload ');
    this.#slotRecord(id, slotMs, deadlineMs, 'missed', 'overload', null, deadlineMs + 1_000);
  }

  #read(template: Template, runId: string, slotMs: number, startedMs: number, failed: boolean): void {
    const { id, commit, rules, maskKey, artefacts, reading } = template;
    const endedMs = startedMs + 3_000;
    const state = failed ? 'failed' : 'unchanged';
    const detail = '{"afterMs":15000,"host":"127.0.0.1","port":22}';
    this.#runN += 1;
    if (failed)
      this.#run.run(
        ...[this.#runN, runId, id, slotMs, startedMs, endedMs, state, null, null],
        ...['connect.timeout', detail, null, null, null],
      );
    else
      this.#run.run(
        ...[this.#runN, runId, id, slotMs, startedMs, endedMs, state, commit, 'yes'],
        ...[null, null, rules, maskKey, artefacts],
      );
    this.#count('run cisco_asa schedule');
    if (failed) this.#count('failure cisco_asa connect.timeout');
    this.#append(
      `{"at_ms":${endedMs},"category":"run","commit":${failed ? 'null' : `"${commit}"`},"device":"${id}",` +
        `"ended_at_ms":${endedMs},"error":${failed ? `{"code":"connect.timeout","detail":${detail}}` : 'null'},` +
        `"reading":${failed ? 'null' : reading},"restorable":${failed ? 'null' : '"yes"'},"restorable_because":null,` +
        `"run":"${runId}","slot_ms":${slotMs},"started_at_ms":${startedMs},"state":"${state}","trigger":"schedule"}`,
    );
    const cause = failed ? 'connect.timeout' : null;
    this.#slot.run(id, slotMs, slotMs, slotMs + graceMs, state, cause, runId, endedMs);
    this.#slotRecord(id, slotMs, slotMs + graceMs, state, cause, runId, endedMs);
  }

  #slotRecord(
    id: string,
    slotMs: number,
    deadlineMs: number,
    state: string,
    cause: string | null,
    runId: string | null,
    atMs: number,
  ): void {
    const word = (value: string | null): string => (value === null ? 'null' : `"${value}"`);
    this.#append(
      `{"at_ms":${atMs},"category":"slot","cause":${word(cause)},"count":1,"deadline_ms":${deadlineMs},"device":"${id}",` +
        `"last_ms":${slotMs},"run":${word(runId)},"slot_ms":${slotMs},"state":"${state}"}`,
    );
  }

  #append(record: string): void {
    const text = Buffer.from(record, 'utf8');
    this.#hash = hash('sha256', Buffer.concat([this.#hash, text]), 'buffer');
    this.#n += 1;
    this.#chain.run(this.#n, record, this.#hash);
  }

  #count(key: string): void {
    this.#total.set(key, (this.#total.get(key) ?? 0) + 1);
  }

  /** Where each device stands, from its rows. */
  standings(): void {
    this.#database.exec(
      `INSERT INTO slot (device, due_at_ms, last_ms, deadline_ms, state, cause, run_id, detected_at_ms)
         SELECT * FROM bench_slot ORDER BY device, due_at_ms;
       DROP TABLE bench_slot;
       CREATE INDEX bench_run ON run (device, n)`,
    );
    const of = (what: string, which: string): string =>
      `(SELECT ${what} FROM run WHERE device = device_id ${which} ORDER BY n DESC LIMIT 1)`;
    this.#database.exec(
      `UPDATE device SET (good_run, last_run, last_success_ms, last_attempt_ms) =
         (SELECT ${of('id', `AND state = 'unchanged'`)}, ${of('id', '')}, ${of('ended_at_ms', `AND state = 'unchanged'`)},
            ${of('started_at_ms', '')} FROM (SELECT device.id AS device_id))
       WHERE EXISTS (SELECT 1 FROM run WHERE run.device = device.id AND state = 'unchanged');
       UPDATE device SET consecutive_failures =
         (SELECT count(*) FROM slot WHERE device = id AND state IN ('failed', 'missed') AND due_at_ms > last_success_ms);
       DROP INDEX bench_run`,
    );
    const add = this.#database.prepare(
      'INSERT INTO total (kind, what, how, count) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count',
    );
    for (const [key, count] of this.#total) add.run(...(key.split(' ') as [string, string, string]), count);
  }
}
