import { describe } from '../../core/catalogue.ts';
import { quotable } from '../../core/display.ts';
import { counted, duration, instant } from '../../core/units.ts';
import type { DeviceState, DeviceStatus } from '../../ledger/status.ts';
import { type Common, exitCodes } from '../context.ts';
import { jsonFailure, jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import { select } from '../select.ts';
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

export function status(cli: Cli): void {
  cli
    .command('status', 'Where every device stands; exits with 3 when one is not ok.', [
      'roundsman status',
      'roundsman status fw1 --json',
    ])
    .argument('[names...]', 'devices of the inventory; default: all')
    .action((names: string[], options: Common) =>
      cli.run(options, async ({ services, world, json, document, print, paint, width }) => {
        const devices = select(await services.fleet(), { names });
        const all = await services.status(devices.map(({ name }) => name));
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
        print(...table(columns, rows, width, paint));
        const remarks = wrong.flatMap((one) => problem(one));
        const verdict = wrong.length === 0 ? 'all ok' : `${wrong.length} not ok`;
        print(
          '',
          ...remarks,
          ...(remarks.length > 0 ? [''] : []),
          `${counted(all.length, 'device')}, ${verdict}`,
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

function statusJson(one: DeviceStatus): object {
  return {
    device: one.device,
    platform: one.platform,
    group: one.group,
    state: one.state,
    restorable: one.restorable,
    last_success: jsonInstant(one.lastSuccessMs),
    last_attempt: jsonInstant(one.lastAttemptMs),
    next_run: jsonInstant(one.nextRunMs),
    due: jsonInstant(one.dueMs),
    consecutive_failures: one.consecutiveFailures,
    error: jsonFailure(one.failure, { device: one.device, runId: one.runId }),
  };
}
