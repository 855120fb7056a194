import { describe } from '../../core/catalogue.ts';
import { quotable } from '../../core/display.ts';
import { counted, duration, instant } from '../../core/units.ts';
import type { DeviceFacts } from '../../ledger/ledger.ts';
import type { ArchiveStatus, DeviceState, DeviceStatus } from '../../ledger/status.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonFailure, jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import { selectKnown } from '../select.ts';
import { remoteLines } from '../terminal/remotes.ts';
import type { Style } from '../terminal/style.ts';
import { table } from '../terminal/table.ts';

const styles: Record<DeviceState, Style> = {
  disabled: 'faint',
  never: 'doubtful',
  quarantined: 'doubtful',
  missed: 'bad',
  failing: 'bad',
  late: 'doubtful',
  ok: 'good',
};

const columns = [
  { title: 'DEVICE' },
  { title: 'GROUP', dropped: 3 },
  { title: 'STATE', min: 6 },
  { title: 'RESTORABLE', min: 4, dropped: 4 },
  { title: 'LAST SUCCESS', min: 20 },
  { title: 'AGE', min: 8, dropped: 2 },
  { title: 'NEXT RUN', min: 20, dropped: 1 },
];

/** The first to go: what it says of one device, `status NAME` says in full. */
const noteColumn = { title: 'NOTE', min: 16, dropped: 0 };

export function status(cli: Cli): void {
  cli
    .command('status', 'Where every device stands; exits with 3 when one is not ok.', [
      'roundsman status',
      'roundsman status fw1 --json',
    ])
    .argument('[names...]', 'devices, retired ones too; default: all of the inventory')
    .action((names: string[], options: Common) =>
      cli.run(options, async ({ services, world, json, document, print, paint, width }) => {
        const all = await services.status(selectKnown(await services.fleet(), names));
        const wrong = all.filter(({ state }) => state !== 'ok' && state !== 'disabled');
        const exitCode = wrong.length === 0 ? exitCodes.ok : exitCodes.devices;
        if (json) {
          document(all.map(statusJson));
          return exitCode;
        }
        const nowMs = world.clock.nowMs();
        const rows = all.map((one) => [
          one.device,
          one.group,
          { text: one.state, style: styles[one.state] },
          one.restorable ?? '-',
          one.lastSuccessMs === null ? '-' : instant(one.lastSuccessMs),
          one.lastSuccessMs === null ? '-' : duration(nowMs - one.lastSuccessMs),
          one.nextRunMs === null ? '-' : instant(one.nextRunMs),
        ]);
        const notes = all.map(noteOf);
        const noted = notes.some((note) => note !== '');
        const shown = noted ? [...columns, noteColumn] : columns;
        print(
          ...table(
            shown,
            rows.map((row, index) => [...row, notes[index] ?? '']),
            width,
            paint,
          ),
        );
        const [one] = all;
        if (names.length === 1 && one !== undefined) print('', ...detailsOf(one));
        const remarks = wrong.flatMap((one) => problem(one));
        const verdict = wrong.length === 0 ? 'all ok' : `${wrong.length} not ok`;
        print(
          '',
          ...remarks,
          ...(remarks.length > 0 ? [''] : []),
          `${counted(all.length, 'device')}, ${verdict}`,
          ...(names.length === 0 ? (await services.remotes()).flatMap(remoteLines) : []),
        );
        return exitCode;
      }),
    );
}

function problem({
  device,
  state,
  failure,
  runId,
  consecutiveFailures,
  restorableBecause,
}: DeviceStatus): string[] {
  if (failure === null)
    return state === 'never' ? [`${device}: never backed up`, `  → run \`roundsman backup ${device}\``] : [];
  const { message, todo } = describe(failure, { device, ...(runId === null ? {} : { runId }) });
  const times = consecutiveFailures > 1 ? ` (${consecutiveFailures} times in a row)` : '';
  const ground = restorableBecause === null ? [] : [`  the last good copy: ${quotable(restorableBecause)}`];
  return [`${device}: ${message}${times}`, `  → ${todo}`, ...ground];
}

/** What deserves a look although the backup is good. */
function noteOf({ facts, restorable, restorableBecause, archives }: DeviceStatus): string {
  const because = restorableBecause === null ? '' : `: ${quotable(restorableBecause)}`;
  const failed = archives.filter(({ failure }) => failure !== null).map(({ name }) => name);
  return [
    ...(facts?.unsaved === true ? ['unsaved changes'] : []),
    ...(failed.length > 0 ? [`no ${failed.join(', ')}`] : []),
    ...(restorable === 'partial' || restorable === 'no' ? [`${restorable}${because}`] : []),
  ].join('; ');
}

/** One line for each thing that is known of a device. */
function detailsOf({ facts, restorable, restorableBecause, archives }: DeviceStatus): string[] {
  const because = restorableBecause === null ? '' : `: ${quotable(restorableBecause, 500)}`;
  const unsaved = { true: 'unsaved changes', false: 'saved' }[String(facts?.unsaved ?? '')];
  const lines: readonly (readonly [string, string | null | undefined])[] = [
    ['hostname', facts?.hostname],
    ['model', facts?.model],
    ['version', facts?.version],
    ['serial', facts?.serial],
    ['partners', facts?.partners.join(', ') || null],
    ['HA', facts?.ha],
    ['sync', facts?.sync],
    ['configuration', unsaved],
    ['restorable', restorable === null ? null : `${restorable}${because}`],
    ...archives.map((archive) => [`archive ${archive.name}`, archiveLine(archive)] as const),
  ];
  const known = lines.flatMap(([key, value]) => (value == null ? [] : [[key, value] as const]));
  const widest = Math.max(0, ...known.map(([key]) => key.length));
  return known.map(([key, value]) => `  ${key.padEnd(widest)}  ${quotable(value, 600)}`);
}

function archiveLine({ lastSuccessMs, lastAttemptMs, failure }: ArchiveStatus): string {
  const stored = lastSuccessMs === null ? 'none stored' : `last stored ${instant(lastSuccessMs)}`;
  if (failure === null || lastAttemptMs === null) return stored;
  const { message, todo } = describe(failure);
  return `${stored}; failed ${instant(lastAttemptMs)}: ${message}; ${todo}`;
}

/** `standby` is part of what `ha` says. */
function factsJson({ hostname, version, model, serial, partners, ha, sync, unsaved }: DeviceFacts): object {
  return { hostname, version, model, serial, partner_serials: partners, ha, sync, unsaved };
}

/** One entry of `status --json`. */
export function statusJson(one: DeviceStatus): object {
  return {
    device: one.device,
    platform: one.platform,
    group: one.group,
    state: one.state,
    restorable: one.restorable,
    restorable_because: one.restorableBecause,
    facts: one.facts === null ? null : factsJson(one.facts),
    archives: one.archives.map(({ name, lastSuccessMs, lastAttemptMs, failure }) => ({
      name,
      last_success: jsonInstant(lastSuccessMs),
      last_attempt: jsonInstant(lastAttemptMs),
      error: jsonFailure(failure, { device: one.device, runId: null }),
    })),
    last_success: jsonInstant(one.lastSuccessMs),
    last_attempt: jsonInstant(one.lastAttemptMs),
    next_run: jsonInstant(one.nextRunMs),
    due: jsonInstant(one.dueMs),
    consecutive_failures: one.consecutiveFailures,
    error: jsonFailure(one.failure, { device: one.device, runId: one.runId }),
  };
}
