import { createLogger, format, transports } from 'winston';
import { describe } from '../core/catalogue.ts';
import { harmless } from '../core/display.ts';
import type { RunEnded } from '../core/run.ts';

/** One line per event, on stderr. Messages are static; what varies stands in fields. */
export interface Log {
  /** `backup changed`, `backup unchanged`, or `backup failure`, which no other line contains. */
  runEnded(ended: RunEnded): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** What `log:` in the settings says. */
export interface LogSettings {
  readonly level: string;
  readonly format: 'json' | 'plain';
}

/** `silent`: nothing is written, because a progress display owns the terminal. */
export function createLog(settings: LogSettings, silent: boolean): Log {
  const logger = createLogger({
    level: settings.level,
    silent,
    format: settings.format === 'json' ? jsonLine : plainLine,
    transports: [new transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })],
  });
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
      if (settled.outcome === 'changed') {
        const { commit, addedLines, removedLines } = settled;
        const { restorable } = ended;
        logger.info('backup changed', {
          ...fields,
          commit,
          added: addedLines,
          removed: removedLines,
          restorable,
        });
      } else if (settled.outcome === 'unchanged') {
        logger.info('backup unchanged', { ...fields, commit: settled.commit, restorable: ended.restorable });
      } else {
        const stack = ended.stack === null ? {} : { stack: ended.stack };
        const where = { device: ended.device, runId: ended.runId };
        const { code, stage, owner, message, todo } = describe(settled.failure, where);
        logger.error('backup failure', { ...fields, code, stage, owner, error: message, todo, ...stack });
      }
    },
    warn(message, fields) {
      logger.warn(message, fields);
    },
  };
}

const jsonLine = format.printf(({ level, message, ...fields }) =>
  JSON.stringify({ time: new Date().toISOString(), level, message, ...clean(fields) }),
);

const plainLine = format.printf(({ level, message, ...fields }) => {
  const rest = Object.entries(clean(fields)).map(([key, value]) => `${key}=${quoted(value)}`);
  return [new Date().toISOString(), level, String(message), ...rest].join(' ');
});

/** No byte of a device can end the line or start another one. */
function clean(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, typeof value === 'string' ? harmless(value) : value]),
  );
}

function quoted(value: unknown): string {
  const text = String(value);
  return /^[\w.:/+@-]+$/.test(text) ? text : JSON.stringify(text);
}
