import type { Checked, Sizing } from '../../cli/services.ts';
import { checkSecrets } from './check-secrets.ts';
import type { Configuration, Context } from './context.ts';

/** What a run of an ordinary device takes and weighs, until there are figures of this installation. */
const assumed = { runMs: 10_000, bytes: 100_000 };

/** Runs that the mean is taken over. */
const sample = 1_000;

/** What one stored version weighs, in git and sealed together, against its plain text: text compresses about five to one, twice. */
const storedShare = 0.4;

/** Validates (by loading), tries every secret that a backup needs, and sizes. Throws InvalidConfiguration. */
export async function check(context: Context): Promise<Checked> {
  const configuration = await context.configuration();
  const secrets = await checkSecrets(context, configuration);
  return {
    configFile: configuration.file,
    inventoryFile: configuration.settings.inventory,
    warnings: [...configuration.warnings, ...secrets],
    sizing: await sizing(context, configuration),
  };
}

/** For one round over all enabled devices, and a year in which each device changes once a day. */
async function sizing(context: Context, configuration: Configuration): Promise<Sizing> {
  const devices = configuration.devices.filter((device) => device.enabled).length;
  const { ledger } = await context.state();
  const good = ledger.runs({
    deviceIds: null,
    states: ['changed', 'unchanged'],
    sinceMs: null,
    untilMs: null,
    limit: sample,
  });
  const spans = good.flatMap((run) => (run.endedAtMs === null ? [] : [run.endedAtMs - run.startedAtMs]));
  const measured = spans.length > 0;
  const runMs = measured ? spans.reduce((sum, span) => sum + span, 0) / spans.length : assumed.runMs;
  const sessions = Math.min(configuration.settings.workers, Math.max(devices, 1));
  return {
    devices,
    sessions,
    runMs: Math.round(runMs),
    windowMs: Math.round((devices * runMs) / sessions),
    bytesAYear: Math.round(devices * 365 * assumed.bytes * storedShare),
    measured,
  };
}
