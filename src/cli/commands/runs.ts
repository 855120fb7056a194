import { describe } from '../../core/catalogue.ts';
import { counted, duration, instant } from '../../core/units.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonFailure, jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import { checkNames } from '../select.ts';
import type { RunEntry } from '../services.ts';
import type { Style } from '../terminal/style.ts';
import { table } from '../terminal/table.ts';
import { parseTime } from '../time.ts';

interface Options extends Common {
  readonly failed?: boolean;
  readonly ok?: boolean;
  readonly missed?: boolean;
  readonly since?: string;
  readonly until?: string;
}

const styles: Record<RunEntry['state'], Style> = {
  running: 'place',
  changed: 'good',
  unchanged: 'faint',
  failed: 'bad',
  quarantined: 'doubtful',
  missed: 'bad',
  skipped: 'faint',
};

const columns = [
  { title: 'STARTED', min: 20 },
  { title: 'DEVICE' },
  { title: 'STATE', min: 6 },
  { title: 'TOOK', min: 6, dropped: 3 },
  { title: 'RUN', min: 64 },
  { title: 'TRIGGER', dropped: 2 },
  { title: 'COMMIT', min: 10, dropped: 1 },
  { title: 'WHAT', min: 12, dropped: 4 },
];

export function runs(cli: Cli): void {
  cli
    .command('runs', 'What was due and what happened, newest first.', [
      'roundsman runs',
      'roundsman runs fw1 --failed --since 7d',
      'roundsman runs --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --json',
    ])
    .argument('[names...]', 'devices; default: all')
    .option('--failed', 'only failed and quarantined ones')
    .option('--ok', 'only changed and unchanged ones')
    .option('--missed', 'only slots that no run served')
    .option('--since <time>', 'an RFC 3339 instant, or how long ago: 90s, 15m, 1h, 2d')
    .option('--until <time>', 'the same')
    .action((names: string[], options: Options) =>
      cli.run(options, async ({ services, world, json, document, print, paint, width }) => {
        const nowMs = world.clock.nowMs();
        const { since, until } = options;
        const sinceMs = since === undefined ? null : parseTime('--since', since, nowMs);
        const untilMs = until === undefined ? null : parseTime('--until', until, nowMs);
        if (names.length > 0) {
          const fleet = await services.fleet();
          checkNames(names, [...fleet.devices.map(({ name }) => name), ...fleet.gone]);
        }
        const entries = await services.runs({
          devices: names.length === 0 ? null : names,
          states: statesOf(options),
          sinceMs,
          untilMs,
        });
        if (json) {
          document(entries.map(runJson));
          return exitCodes.ok;
        }
        if (entries.length === 0) {
          print('no runs');
          return exitCodes.ok;
        }
        const rows = entries.map((entry) => [
          startOf(entry),
          entry.device,
          { text: entry.state, style: styles[entry.state] },
          entry.startedAtMs === null || entry.endedAtMs === null
            ? '-'
            : duration(entry.endedAtMs - entry.startedAtMs),
          entry.runId ?? '-',
          entry.trigger ?? '-',
          entry.commit?.slice(0, 10) ?? '-',
          whatOf(entry),
        ]);
        print(...table(columns, rows, width, paint));
        return exitCodes.ok;
      }),
    );
}

/** Several of them together list what any of them lists. */
function statesOf({ failed, ok, missed }: Options): RunEntry['state'][] | null {
  const states: RunEntry['state'][] = [
    ...(failed === true ? (['failed', 'quarantined'] as const) : []),
    ...(ok === true ? (['changed', 'unchanged'] as const) : []),
    ...(missed === true ? (['missed'] as const) : []),
  ];
  return states.length === 0 ? null : states;
}

function startOf({ startedAtMs, slotMs }: RunEntry): string {
  const ms = startedAtMs ?? slotMs;
  return ms === null ? '-' : instant(ms);
}

function whatOf(entry: RunEntry): string {
  const accepted = entry.acceptedAtMs === null ? '' : `accepted ${instant(entry.acceptedAtMs)}; `;
  if (entry.failure !== null) return `${accepted}${describe(entry.failure).message}`;
  const { slots = 1 } = entry;
  const more = slots > 1 ? ` (${counted(slots, 'slot')} from here on)` : '';
  return `${entry.cause ?? ''}${more}`;
}

/** One entry of `runs --json`. */
export function runJson(entry: RunEntry): object {
  const { runId, device, startedAtMs, endedAtMs } = entry;
  return {
    run_id: runId,
    device,
    slot: jsonInstant(entry.slotMs),
    trigger: entry.trigger,
    state: entry.state,
    cause: entry.cause,
    error: jsonFailure(entry.failure, { device, runId }),
    started_at: jsonInstant(startedAtMs),
    ended_at: jsonInstant(endedAtMs),
    duration_ms: startedAtMs === null || endedAtMs === null ? null : endedAtMs - startedAtMs,
    commit: entry.commit,
    restorable: entry.restorable,
    count: entry.slots ?? 1,
  };
}
