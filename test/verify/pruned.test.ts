import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson, chainHash } from '../../src/ledger/audit.ts';
import { forget, history, type State } from './support.ts';

const day = 86_400_000;
let state: State;
/** Of readings that found nothing changed, oldest first. */
let unchanged: string[];

beforeEach(async () => {
  state = await history();
  unchanged = [];
  for (let index = 0; index < 3; index++) {
    state.nowMs += day;
    const { runId } = await state.read({ name: 'fw1', texts: { 'running-config': 'hostname fw1\nday 3\n' } });
    unchanged.push(runId);
  }
  state.nowMs += 60 * day;
});

afterEach(() => state[Symbol.dispose]());
afterAll(forget);

function prune(beforeMs = state.nowMs - 40 * day): number {
  let runs = 0;
  for (let from: number | null = null; ; ) {
    const step = state.ledger.retention.prune({ beforeMs, nowMs: state.nowMs, exceptRuns: new Set(), from });
    runs += step.runs;
    if (step.next === null) return runs;
    from = step.next;
  }
}

/** A record that follows the newest one, as somebody would append it who has the program. */
function append(said: Readonly<Record<string, unknown>>): void {
  const [newest] = state.rows<{ n: number; hash: Uint8Array }>(
    'SELECT n, hash FROM chain ORDER BY n DESC LIMIT 1',
  );
  const record = canonicalJson(said);
  const hash = Buffer.from(chainHash(newest?.hash ?? new Uint8Array(), record)).toString('hex');
  state.sql(`INSERT INTO chain (n, record, hash) VALUES (${(newest?.n ?? 0) + 1}, '${record}', x'${hash}')`);
}

describe('rows that retention removed', () => {
  it('are explained by the record of their removal: all is clean', async () => {
    expect(prune()).toBe(2);
    expect(state.rows(`SELECT id FROM run WHERE id IN ('${unchanged[0]}', '${unchanged[1]}')`)).toEqual([]);
    expect(await state.found()).toEqual([]);
  });

  it('one that was removed besides is named, old or new', async () => {
    prune();
    state.sql(`DELETE FROM run WHERE id = '${unchanged[2]}'`);
    expect(await state.found()).toContain(`row.gone run ${unchanged[2]}`);
  });

  it('one that was put back is named', async () => {
    const [row] = state.rows<Record<string, unknown>>(`SELECT * FROM run WHERE id = '${unchanged[0]}'`);
    prune();
    const values = Object.values(row ?? {}).map((value) =>
      value === null ? 'NULL' : typeof value === 'number' ? value : `'${String(value)}'`,
    );
    state.sql(`INSERT INTO run VALUES (${values.join(', ')})`);
    expect(await state.found()).toEqual([`row.changed run ${unchanged[0]}`]);
  });

  it('a record that somebody appended explains nothing of the last month, and nothing that it claims of the future', async () => {
    state.nowMs -= 55 * day;
    const rows = state.rows<{ n: number }>(
      `SELECT n FROM chain WHERE category = 'run' AND record ->> '$.run' = '${unchanged[1]}'`,
    );
    const n = rows[0]?.n ?? 0;
    state.sql(`DELETE FROM run WHERE id = '${unchanged[1]}'`);
    for (const beforeMs of [state.nowMs, state.nowMs + 90 * day])
      append({
        ...{ category: 'pruned', at_ms: beforeMs + 40 * day, before_ms: beforeMs, first: n, last: n },
        ...{ next: n + 1, gone: '8', runs: 1, slots: 0 },
      });
    expect(await state.found()).toContain(`row.gone run ${unchanged[1]}`);
  });

  it('are not taken for lost by what is computed again from the commits', async () => {
    prune();
    const told = await state.rebuild();
    expect(told).toEqual({ readings: 0, moves: 0, retirements: 0, refused: 0 });
    expect(await state.found()).toEqual([]);
  });
});
