import type { DaemonSignals, Services } from '../cli/services.ts';
import { openHttp } from '../http/server.ts';
import { createMetrics } from '../metrics/render.ts';
import { createCalendar } from '../scheduler/calendar.ts';
import { startClockwork } from '../scheduler/clockwork.ts';
import type { LoginGate } from '../scheduler/login-gate.ts';
import { createScheduler } from '../scheduler/loop.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { type OwnedContext, socketPath } from './context.ts';
import { createHealth } from './health.ts';
import { removeOldTranscripts } from './housekeeping.ts';
import { metricsSource } from './metrics-source.ts';
import { createNotifier } from './notify.ts';
import { createReload } from './reload.ts';
import { newRunId } from './run-id.ts';
import { createRunner } from './runner.ts';
import { schedulerSink } from './scheduler-sink.ts';
import { reachAll, release } from './services/backup.ts';
import { tightSchedules } from './services/check.ts';
import { status } from './services/history.ts';
import { surviveUnexpected } from './survive.ts';
import { buildInfo } from './version.ts';

/** How long runs in progress may go on after the first signal; systemd waits 90 s before it kills. */
const stopGraceMs = 75_000;

/**
 * The service: starts in the order lock, settings, ledger, recovery, repository, inventory, listeners,
 * ready, slots; ends when `signals.stop` is aborted and every run has ended. Throws what any step of the
 * start throws; everything that was started is stopped in reverse order.
 */
export async function runDaemon(
  context: OwnedContext,
  services: Services,
  signals: DaemonSignals,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { clock } = context;
  // From the first moment: a SIGHUP that nobody takes ends the process.
  let onHangup: (() => void) | null = null;
  let hungUp = false;
  signals.onReload(() => {
    hungUp = onHangup === null;
    onHangup?.();
  });
  const log = await context.log();
  const state = await context.changing();
  const { settings, drivers } = await context.configuration();
  await using started = new AsyncDisposableStack();
  const notifier = createNotifier(env, (problem) => log.warn('systemd was not told', { problem }));
  const health = started.use(createHealth({ clock, stateDir: settings.stateDir }));

  const calendar = createCalendar();
  const views = metricsSource(context, state, calendar);
  const metrics = createMetrics({
    source: views,
    platforms: [...drivers.keys()],
    deviceDetail: 'full',
    build: buildInfo(),
  });
  metrics.seed(state.ledger.slots.totals());
  log.countedBy(metrics);
  context.staleLocksTo((count) => metrics.staleLocksRemoved(count));
  const runner = await createRunner(context, state, metrics);
  const scheduler = createScheduler({
    clock,
    ledger: state.ledger,
    calendar,
    runner: runner.run,
    sink: schedulerSink(log, metrics),
    newRunId: () => newRunId(clock.nowMs()),
    workers: settings.workers,
    devices: (await context.configuration()).devices,
  });
  views.watch(scheduler, runner.gate);

  const reload = createReload({ context, state, scheduler, views, log });
  // Why it is not ready although nothing is wrong with it; null between start and stop.
  let phase: string | null = 'the daemon is starting';
  started.use(
    await openHttp({
      listen: settings.http.listen,
      socket: socketPath(settings, env),
      sources: {
        metrics,
        readiness: () => {
          const { problems } = health.report();
          const reasons = phase === null ? problems : [...problems, phase];
          return { ready: reasons.length === 0, reasons };
        },
        reload,
        pause: async () => scheduler.pause(),
        resume: async () => scheduler.resume(),
        services: daemonServices(context, services, scheduler, runner.gate),
        unexpected: (error) => log.unexpected('a request failed', error),
      },
    }),
  );

  const pass = (): void => {
    scheduler.tick();
    health.heartbeat();
  };
  await health.probe();
  await views.measure();
  // Told to stop before it began: nothing is started that would have to be ended.
  if (signals.stop.aborted) return;
  started.use(surviveUnexpected(log, clock));
  pass();
  started.use(
    startClockwork({
      clock,
      tick: pass,
      measure: () => views.measure(),
      housekeeping: () => removeOldTranscripts(context),
    }),
  );
  if (notifier.watchdogIntervalMs !== null) {
    const watchdog = setInterval(() => {
      if (health.report().healthy) notifier.watchdog();
    }, notifier.watchdogIntervalMs / 2);
    started.defer(() => clearInterval(watchdog));
  }
  // What is wrong with it is in the log; the configuration in use stays.
  onHangup = () => void reload(false).catch(() => {});
  if (hungUp) onHangup();
  signals.onAbort(() => scheduler.abort());
  const { devices } = await context.configuration();
  log.info('daemon started', { devices: devices.length, workers: settings.workers });
  phase = null;
  for (const { message } of await tightSchedules(context))
    log.warn('the schedule is too tight', { problem: message });
  notifier.ready(`keeping the schedule of ${devices.length} devices`);

  await aborted(signals.stop);
  phase = 'the daemon is stopping';
  notifier.stopping();
  log.info('daemon stopping', { running: scheduler.state().running.length });
  const grace = clock.after(stopGraceMs, () => scheduler.abort());
  await scheduler.drain();
  grace.cancel();
  log.info('daemon stopped', {});
}

/** The commands that read a device go through the queue: never a second session to a device. */
function daemonServices(
  context: OwnedContext,
  services: Services,
  scheduler: Scheduler,
  gate: LoginGate,
): Services {
  return {
    ...services,
    reach: (names, watch) => reachAll(context, names, watch, gate),
    release: (credential) => release(context, credential, gate),
    status: (names) => status(context, names, (device) => scheduler.present(device)),
    backup: (names, { onEvent, signal }) =>
      scheduler.runNow(names, {
        trigger: 'manual',
        signal,
        onStarted: (device) => onEvent({ type: 'started', device }),
        onProgress: (device, receivedBytes) => onEvent({ type: 'progress', device, receivedBytes }),
        onEnded: (ended) => onEvent({ type: 'ended', ended }),
      }),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
