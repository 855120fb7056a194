import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Failure } from '../../src/core/errors.ts';
import type { RunEnded, Settled } from '../../src/core/run.ts';
import { createLog, type Log, type LogSettings } from '../../src/daemon/log.ts';

interface Written {
  readonly log: Log;
  readonly text: () => string;
  readonly lines: () => string[];
}

function logTo(settings: Partial<LogSettings> = {}, silent = false, clock = systemClock): Written {
  let text = '';
  const to = new Writable({
    decodeStrings: false,
    write(piece: string, _encoding, done) {
      text += piece;
      done();
    },
  });
  const log = createLog({ level: 'info', format: 'json', ...settings }, clock, silent, {}, to);
  return { log, text: () => text, lines: () => text.split('\n').slice(0, -1) };
}

function run(settled: Settled, over: Partial<RunEnded> = {}): RunEnded {
  return {
    runId: 'run-1',
    device: 'fw1',
    group: 'hq',
    platform: 'cisco_asa',
    trigger: 'schedule',
    startedAtMs: 1_000,
    endedAtMs: 3_500,
    settled,
    restorable: 'yes',
    restorableBecause: null,
    artefacts: [],
    unsaved: null,
    archives: [],
    stack: null,
    ...over,
  };
}

const changed: Settled = { outcome: 'changed', commit: 'c1', addedLines: 2, removedLines: 1, changed: [] };
const unchanged: Settled = { outcome: 'unchanged', commit: 'c1' };
const timeout: Failure = { code: 'connect.timeout', detail: { host: '192.0.2.1', port: 22, afterMs: 1_000 } };
const shrunk: Failure = {
  code: 'verify.shrunk',
  detail: { artefact: 'running-config', previousLines: 100, lines: 3, lostSections: [] },
};
const slot = {
  device: 'fw1',
  platform: 'cisco_asa',
  group: 'hq',
  cause: 'collector_down',
  slotMs: Date.UTC(2026, 2, 1, 2),
  count: 1,
  deadlineMs: Date.UTC(2026, 2, 1, 3, 35),
};

describe('the log', () => {
  it('has one line for each success, change, failure, quarantine and missed slot', () => {
    const { log, lines } = logTo();
    log.runEnded(run(changed));
    log.runEnded(run(unchanged));
    log.runEnded(run({ outcome: 'failed', failure: timeout }));
    log.runEnded(run({ outcome: 'quarantined', failure: shrunk }));
    log.slotMissed(slot);
    const records = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records.map(({ level, message, outcome }) => [level, message, outcome])).toEqual([
      ['info', 'backup changed', 'changed'],
      ['info', 'backup unchanged', 'unchanged'],
      ['error', 'backup failure', 'failed'],
      ['error', 'backup failure', 'quarantined'],
      ['error', 'backup failure', 'missed'],
    ]);
    expect(records[0]).toMatchObject({
      device: 'fw1',
      commit: 'c1',
      added: 2,
      removed: 1,
      duration_ms: 2_500,
    });
    expect(records[2]).toMatchObject({ code: 'connect.timeout', stage: 'connect', owner: 'network' });
    expect(records[4]).toMatchObject({ cause: 'collector_down', slot: '2026-03-01T02:00:00.000Z' });
  });

  it('does not call a text changed that was read under new rules', () => {
    const { log, lines } = logTo();
    log.runEnded(run({ ...changed, underNewRules: true }));
    expect(lines()[0]).toContain('"message":"backup re-read"');
  });

  it('says of a success what it is worth, and that the device has unsaved changes', () => {
    const { log, lines } = logTo();
    log.runEnded(run(unchanged, { unsaved: true, restorable: 'partial' }));
    log.runEnded(run(changed, { unsaved: false }));
    const [unsaved, saved] = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(unsaved).toMatchObject({ unsaved: true, restorable: 'partial' });
    expect(saved).not.toHaveProperty('unsaved');
    expect(saved).toMatchObject({ restorable: 'yes' });
  });

  it('has a line of its own for each archive, a failure where it is none of the run', () => {
    const { log, lines } = logTo();
    const detail = { archive: 'ucs', step: 'make', reply: 'no space' } as const;
    log.runEnded(
      run(unchanged, {
        archives: [
          { name: 'scf', bytes: 10, failure: null },
          { name: 'ucs', bytes: null, failure: { code: 'collect.archive-failed', detail } },
        ],
      }),
    );
    const records = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records.map(({ level, message, archive }) => [level, message, archive])).toEqual([
      ['info', 'backup unchanged', undefined],
      ['info', 'archive stored', 'scf'],
      ['error', 'backup failure', 'ucs'],
    ]);
    expect(records[2]).toMatchObject({
      ...{ event: 'archive failed', code: 'collect.archive-failed', device: 'fw1', run_id: 'run-1' },
      todo: expect.any(String),
    });
  });

  it('says the same in plain lines', () => {
    const { log, lines } = logTo({ format: 'plain' });
    log.runEnded(run({ outcome: 'failed', failure: timeout }));
    log.slotMissed(slot);
    const [failed, missed] = lines();
    expect(failed).toMatch(/^\S+ error backup failure device=fw1 platform=cisco_asa .*code=connect\.timeout/);
    expect(missed).toMatch(
      / error backup failure device=fw1 .* outcome=missed slot=2026-03-01T02:00:00\.000Z/,
    );
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = logTo({ level: 'error' });
    log.info('daemon started', {});
    log.warn('the clock jumped', {});
    log.runEnded(run(changed));
    log.slotMissed(slot);
    expect(lines()).toHaveLength(1);
  });

  it('writes nothing while somebody else owns the terminal', () => {
    const { log, text } = logTo({}, true);
    log.slotMissed(slot);
    log.warn('anything', {});
    expect(text()).toBe('');
  });

  it('holds the stack of a bug in the line of its run, and in one line of its own elsewhere', () => {
    const { log, lines } = logTo();
    const bug = new TypeError('x is not a function');
    const failure: Failure = { code: 'bug.unexpected', detail: { thrown: String(bug) } };
    log.runEnded(run({ outcome: 'failed', failure }, { stack: bug.stack ?? null }));
    log.unexpected('unexpected exception', bug);
    const records = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records).toHaveLength(2);
    for (const { stack } of records) expect(stack).toContain('log.test.ts');
    expect(records[1]).toMatchObject({ level: 'error', code: 'bug.unexpected' });
  });

  it('counts each record that it writes, and each that nobody took', async () => {
    const broken = new Writable({ write: (_piece, _encoding, done) => done(new Error('ENOSPC')) });
    broken.on('error', () => {});
    const told: string[] = [];
    const log = createLog({ level: 'info', format: 'json' }, systemClock, false, {}, broken);
    log.countedBy({
      logged: (level) => told.push(level),
      logDropped: (sink) => told.push(`dropped ${sink}`),
    });
    log.info('one', {});
    log.warn('two', {});
    await expect.poll(() => told).toEqual(['info', 'warn', 'dropped console', 'dropped console']);
  });
});

/* ── What devices call themselves ─────────────────────────────────────────────────────────── */

const pieces = [
  '\n',
  '\r\n',
  '\u2028',
  '\u0085',
  '\x1b[2J',
  '"',
  '\\',
  'backup failure',
  'BACKUP FAILURE',
  'Backup Failure ',
  'backup ',
  'backup',
  ' failure',
  '{"level":"error","message":"backup failure"}',
  '\n{"time":"x","level":"error","message":"backup failure"}\n',
  ' outcome=missed ',
  '<0>',
  '\u202e',
  '\x00',
  '\xe9',
];
const hostile = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary' }),
);
/** Seven of them, for every field that a run has and every detail of its failure. */
const words = fc.array(hostile, { minLength: 7, maxLength: 7 });
const formats = fc.constantFrom('json', 'plain' as const);

function eventsOf(log: Log, [a, b, c, d, e, f, g]: readonly string[]): void {
  const named = { device: a ?? '', group: b ?? '', platform: c ?? '', runId: d ?? '' };
  const prompt: Failure = {
    code: 'login.prompt-unrecognised',
    detail: { lastLine: e ?? '', expected: [f ?? ''] },
  };
  log.runEnded(
    run({ outcome: 'changed', commit: g ?? '', addedLines: 1, removedLines: 0, changed: [] }, named),
  );
  log.runEnded(run(unchanged, named));
  log.runEnded(run({ outcome: 'failed', failure: prompt }, { ...named, stack: e ?? null }));
  log.runEnded(run({ outcome: 'quarantined', failure: shrunk }, named));
  log.slotMissed({ ...slot, device: a ?? '', group: b ?? '', platform: c ?? '', cause: f ?? '' });
  log.info('slot skipped', { device: a, nested: { text: b, list: [c, { deep: d }] } });
  log.warn('configuration refused, the one before stays in use', { problems: [e, f].join('; ') });
  log.unexpected('unexpected exception', new Error(g));
}

/** Which of the events above are failures. */
const failures = [false, false, true, true, true, false, false, false];

describe('whatever a device calls itself', () => {
  it('there is exactly one line for each event, and only those of failures contain the phrase', () => {
    fc.assert(
      fc.property(words, formats, (texts, form) => {
        const { log, text, lines } = logTo({ format: form as 'json' | 'plain' });
        eventsOf(log, texts);
        expect(lines()).toHaveLength(failures.length);
        expect(lines().map((line) => /backup failure/i.test(line))).toEqual(failures);
        // Nothing that ends a line or moves a cursor, in anybody's reading of it.
        expect(text().replaceAll('\n', '')).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202e]/);
      }),
    );
  });

  it('each line parses back to the one event that it is', () => {
    fc.assert(
      fc.property(words, (texts) => {
        const { log, lines } = logTo();
        eventsOf(log, texts);
        const records = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
        expect(records.map(({ message }) => message === 'backup failure')).toEqual(failures);
        expect(records.map(({ outcome }) => outcome ?? null)).toEqual([
          ...['changed', 'unchanged', 'failed', 'quarantined', 'missed'],
          ...[null, null, null],
        ]);
        // Looked for in the parsed fields too: what reads the log may write it anew.
        for (const [index, record] of records.entries())
          if (failures[index] !== true)
            expect(JSON.stringify(Object.values(record))).not.toMatch(/backup failure/i);
      }),
    );
  });
});

it.each(['json', 'plain'] as const)('the time of a line (%s) is that of the clock it was given', (format) => {
  const { log, text } = logTo({ format }, false, {
    ...systemClock,
    nowMs: () => Date.UTC(2026, 0, 2, 3, 4, 5),
  });
  log.info('fine', {});
  expect(text()).toContain('2026-01-02T03:04:05.000Z');
});

describe('under systemd', () => {
  const source = new URL('../../src/daemon/log.ts', import.meta.url).href;
  const script = `
    const { createLog } = await import(${JSON.stringify(source)});
    const log = createLog({ level: 'info', format: 'plain' }, { nowMs: () => Date.now() }, false, process.env);
    log.info('fine', {}); log.warn('odd', {}); log.unexpected('bad', new Error('x'));`;

  function stderrWith(journalStream: (file: number) => string): string[] {
    const dir = mkdtempSync(join(tmpdir(), 'roundsman-log-'));
    const path = join(dir, 'stderr');
    const file = openSync(path, 'w');
    try {
      const said = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
        env: { PATH: process.env.PATH, JOURNAL_STREAM: journalStream(file) },
        stdio: ['ignore', 'ignore', file],
      });
      expect(said.status).toBe(0);
      return readFileSync(path, 'utf8').trimEnd().split('\n');
    } finally {
      closeSync(file);
      rmSync(dir, { recursive: true });
    }
  }

  it('each line begins with its level where standard error is the journal', () => {
    const lines = stderrWith((file) => `${fstatSync(file).dev}:${fstatSync(file).ino}`);
    expect(lines.map((line) => line.slice(0, 3))).toEqual(['<6>', '<4>', '<3>']);
  });

  it('and with none where only the variable was inherited', () => {
    const lines = stderrWith(() => '8:1234567');
    for (const line of lines) expect(line).toMatch(/^\d{4}-/);
  });
});
