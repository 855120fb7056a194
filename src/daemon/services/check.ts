import type { Checked, Sizing } from '../../cli/services.ts';
import { InvalidConfiguration, OperationError, type Problem } from '../../core/errors.ts';
import { duration } from '../../core/units.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { createCalendar } from '../../scheduler/calendar.ts';
import { startWithinMs } from '../../scheduler/due.ts';
import { readTls, UnreadableFile } from '../http-access.ts';
import { groupNumber } from '../readers.ts';
import { checkSecrets } from './check-secrets.ts';
import type { Configuration, Context } from './context.ts';
import { diskUse } from './disk.ts';

/** What a run of an ordinary device takes, until there are figures of this installation. */
const assumedRunMs = 10_000;

/** Runs that the mean is taken over. */
const sample = 1_000;

/** Validates (by loading), tries every secret that a backup needs, and sizes. Throws InvalidConfiguration. */
export async function check(context: Context): Promise<Checked> {
  const configuration = await context.configuration();
  const secrets = await checkSecrets(context, configuration);
  const http = await checkTls(context, configuration);
  await checkReaders(configuration);
  const size = await sizing(context, configuration);
  const { ledger } = await context.state();
  return {
    configFile: configuration.file,
    inventoryFile: configuration.settings.inventory,
    warnings: [...configuration.warnings, ...secrets, ...http, ...tooTight(configuration, size.runMs)],
    sizing: { ...size, disk: diskUse(configuration, ledger, context.clock.nowMs()) },
  };
}

/**
 * Whether the daemon could speak TLS. What this user cannot read is a warning: it may be there for the service alone.
 * Throws InvalidConfiguration where certificate and key do not belong together.
 */
async function checkTls(context: Context, { file, settings }: Configuration): Promise<readonly Problem[]> {
  try {
    await readTls(settings.http, context, {});
    return [];
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    const { message } = error;
    const problem = { file, path: 'http.web_config_file', line: null, message, nearest: null };
    if (!(error instanceof UnreadableFile)) throw new InvalidConfiguration([problem]);
    return [{ ...problem, message: `${message}, which is right where only the service may read it` }];
  }
}

/** Throws InvalidConfiguration where there is no such group: then nothing starts. */
async function checkReaders({ file, settings }: Configuration): Promise<void> {
  const { readersGroup } = settings.git;
  if (readersGroup === null) return;
  await groupNumber(readersGroup).catch((error: unknown) => {
    if (!(error instanceof OperationError)) throw error;
    const { message, todo } = error;
    throw new InvalidConfiguration([
      { file, path: 'git.readers_group', line: null, message: `${message}; ${todo}`, nearest: null },
    ]);
  });
}

/** What a daemon says at its start: schedules on which not every device can begin in time. */
export async function tightSchedules(context: Context): Promise<readonly Problem[]> {
  const configuration = await context.configuration();
  const { ledger } = await context.state();
  return tooTight(configuration, meanRunMs(ledger) ?? assumedRunMs);
}

/** One for each schedule whose devices, one after the other on all workers, need longer than they may wait. */
function tooTight({ file, settings, devices }: Configuration, runMs: number): readonly Problem[] {
  const calendar = createCalendar();
  const together = Map.groupBy(
    devices.filter((device) => device.enabled),
    ({ plan }) => `${plan.schedule} (${plan.timezone})`,
  );
  return [...together].flatMap(([schedule, due]) => {
    const needMs = (due.length * runMs) / settings.workers;
    const mayWaitMs = Math.min(...due.map(({ plan }) => startWithinMs(calendar, plan)));
    if (needMs <= mayWaitMs) return [];
    const message = `${due.length} devices are due together at ${schedule}: with ${settings.workers} workers a round takes ${duration(needMs)}, and a device may wait ${duration(mayWaitMs)}; raise workers or start_within, or spread the schedules`;
    return [{ file, path: 'workers', line: null, message, nearest: null }];
  });
}

/** For one round over all enabled devices. */
async function sizing(context: Context, configuration: Configuration): Promise<Omit<Sizing, 'disk'>> {
  const devices = configuration.devices.filter((device) => device.enabled).length;
  const { ledger } = await context.state();
  const measuredMs = meanRunMs(ledger);
  const runMs = measuredMs ?? assumedRunMs;
  const sessions = Math.min(configuration.settings.workers, Math.max(devices, 1));
  return {
    devices,
    sessions,
    runMs: Math.round(runMs),
    windowMs: Math.round((devices * runMs) / sessions),
    measured: measuredMs !== null,
  };
}

/** Of the newest good runs; null where there are none. */
function meanRunMs(ledger: Ledger): number | null {
  const good = ledger.runs({
    deviceIds: null,
    states: ['changed', 'unchanged'],
    sinceMs: null,
    untilMs: null,
    limit: sample,
  });
  const spans = good.flatMap((run) => (run.endedAtMs === null ? [] : [run.endedAtMs - run.startedAtMs]));
  return spans.length > 0 ? mean(spans) : null;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
