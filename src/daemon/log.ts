import { fstatSync } from 'node:fs';
import { Writable } from 'node:stream';
import { createLogger, format, transports } from 'winston';
import { describe } from '../core/catalogue.ts';
import type { Clock } from '../core/clock.ts';
import { harmless } from '../core/display.ts';
import { failureOf } from '../core/errors.ts';
import type { EndedArchive, RunEnded } from '../core/run.ts';

/** One line per event, on stderr. Messages are static; what varies stands in fields. */
export interface Log {
  /**
   * `backup changed`, `backup unchanged`, or `backup failure`, which no other line contains; and a line for each archive
   * that was due: `archive stored`, or `backup failure` with `event: archive failed`.
   */
  runEnded(ended: RunEnded): void;
  /** A slot that passed without a run: `backup failure` too, because nothing was backed up. */
  slotMissed(slot: MissedSlot): void;
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
  /** What nobody expected, with its stack where it has one. */
  unexpected(message: string, thrown: unknown): void;
  /** From now on each record is counted. */
  countedBy(counter: RecordCounter): void;
}

/** Told of each record. */
export interface RecordCounter {
  logged(level: Level): void;
  /** Standard error did not take a record: its reader is gone, or its disk is full. */
  logDropped(sink: 'console'): void;
}

type Level = 'error' | 'warn' | 'info' | 'debug';
type Fields = Readonly<Record<string, unknown>>;

/** What is told of a slot that ended `missed`. */
export interface MissedSlot {
  readonly device: string;
  readonly platform: string;
  readonly group: string;
  readonly cause: string;
  readonly slotMs: number;
  /** Over 1 where one row stands for many slots. */
  readonly count: number;
  readonly deadlineMs: number;
}

/** What `log:` in the settings says. */
export interface LogSettings {
  readonly level: string;
  readonly format: 'json' | 'plain';
}

/**
 * `silent`: nothing is written, because a progress display owns the terminal. Where `to` is the journal
 * ($JOURNAL_STREAM names its device and inode, and a child inherits that name with another stderr), each
 * line begins with its level, as sd-daemon(3) has it.
 */
export function createLog(
  settings: LogSettings,
  clock: Pick<Clock, 'nowMs'>,
  silent: boolean,
  env: Readonly<Record<string, string | undefined>>,
  to: Writable & { readonly fd?: number } = process.stderr,
): Log {
  let counter: RecordCounter | null = null;
  const stream = new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      to.write(line, (error) => {
        if (error) counter?.logDropped('console');
      });
      done();
    },
  });
  const logger = createLogger({
    level: settings.level,
    silent,
    format: format.combine(
      settings.format === 'json' ? jsonLine : plainLine,
      ...(isJournal(to.fd, env.JOURNAL_STREAM) ? [journalPrefix] : []),
    ),
    transports: [new transports.Stream({ stream, eol: '\n' })],
  });
  const write = (level: Level, message: string, fields: Fields): void => {
    if (silent || !logger.isLevelEnabled(level)) return;
    counter?.logged(level);
    logger.log(level, message, { time: new Date(clock.nowMs()).toISOString(), fields });
  };
  const archiveEnded = (
    { device, platform, group, runId }: RunEnded,
    { name, bytes, failure }: EndedArchive,
  ): void => {
    const fields = { device, platform, group, run_id: runId, archive: name };
    if (failure === null) {
      write('info', 'archive stored', { ...fields, bytes });
      return;
    }
    const { code, stage, owner, message, todo } = describe(failure, { device, runId });
    const what = { event: 'archive failed', code, stage, owner, error: message, todo };
    write('error', 'backup failure', { ...fields, ...what });
  };
  return {
    runEnded(ended) {
      const { settled } = ended;
      const fields = {
        device: ended.device,
        platform: ended.platform,
        group: ended.group,
        run_id: ended.runId,
        trigger: ended.trigger,
        outcome: settled.outcome,
        duration_ms: ended.endedAtMs - ended.startedAtMs,
      };
      const worth = { restorable: ended.restorable, ...(ended.unsaved === true ? { unsaved: true } : {}) };
      if (settled.outcome === 'changed') {
        const { commit, addedLines, removedLines } = settled;
        const counts = { added: addedLines, removed: removedLines };
        const message = settled.underNewRules === true ? 'backup re-read' : 'backup changed';
        write('info', message, { ...fields, commit, ...counts, ...worth });
      } else if (settled.outcome === 'unchanged') {
        write('info', 'backup unchanged', {
          ...fields,
          commit: settled.commit,
          ...worth,
        });
      } else {
        const stack = ended.stack === null ? {} : { stack: ended.stack };
        const where = { device: ended.device, runId: ended.runId };
        const { code, stage, owner, message, todo } = describe(settled.failure, where);
        write('error', 'backup failure', { ...fields, code, stage, owner, error: message, todo, ...stack });
      }
      for (const archive of ended.archives) archiveEnded(ended, archive);
    },
    slotMissed({ slotMs, deadlineMs, ...slot }) {
      const instants = { slot: new Date(slotMs).toISOString(), deadline: new Date(deadlineMs).toISOString() };
      write('error', 'backup failure', { ...slot, outcome: 'missed', ...instants });
    },
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    unexpected(message, thrown) {
      const { code, message: error } = describe(failureOf(thrown));
      const stack = thrown instanceof Error ? { stack: thrown.stack } : {};
      write('error', message, { code, error, ...stack });
    },
    countedBy(by) {
      counter = by;
    },
  };
}

const jsonLine = format.printf(({ time, level, message, fields }) =>
  JSON.stringify({ time, level, message, ...clean(fields as Fields) }),
);

const plainLine = format.printf(({ time, level, message, fields }) => {
  const rest = Object.entries(clean(fields as Fields)).map(([key, value]) => `${key}=${quoted(value)}`);
  return [time, level, String(message), ...rest].join(' ');
});

/** `<3>` to `<7>` in front of the finished line. */
const journalPrefix = format((info) => {
  const priority = { error: 3, warn: 4, info: 6, debug: 7 }[info.level] ?? 6;
  info[MESSAGE] = `<${priority}>${String(info[MESSAGE])}`;
  return info;
})();

/** Where winston keeps the finished line (triple-beam's MESSAGE). */
const MESSAGE = Symbol.for('message');

function isJournal(fd: number | undefined, named: string | undefined): boolean {
  if (fd === undefined || named === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return named === `${dev}:${ino}`;
}

function clean(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, cleaned(value)]));
}

/** No byte of a device can end the line, start another one, or make it one of a failure. */
function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return harmless(value).replace(failurePhrase, '$1\\x20$2');
  if (Array.isArray(value)) return value.map(cleaned);
  return typeof value === 'object' && value !== null ? clean(value as Fields) : value;
}

const failurePhrase = /(backup) (failure)/gi;

function quoted(value: unknown): string {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /^[\w.:/+@-]+$/.test(text) ? text : JSON.stringify(text);
}
