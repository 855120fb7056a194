import { join } from 'node:path';
import type { DaemonSignals, Services } from '../cli/services.ts';
import { type HttpServer, openHttp } from '../http/server.ts';
import { createMetrics } from '../metrics/render.ts';
import { createCalendar } from '../scheduler/calendar.ts';
import { startClockwork } from '../scheduler/clockwork.ts';
import type { LoginGate } from '../scheduler/login-gate.ts';
import { createScheduler } from '../scheduler/loop.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { Syslog } from '../syslog/syslog.ts';
import { chainAnchor } from './anchor.ts';
import { archiveNames } from './archives.ts';
import { openChangeTriggers, withChanges } from './change-triggers.ts';
import type { OwnedContext } from './context.ts';
import { createHealth } from './health.ts';
import { housekeeping } from './housekeeping.ts';
import { accessOf, readTls } from './http-access.ts';
import { createApi } from './http-api.ts';
import { createRefusals } from './http-refusals.ts';
import type { HttpSettings } from './http-settings.ts';
import { inspectInTime } from './inspection.ts';
import { watchLedger } from './ledger-watch.ts';
import { createLives, createTurns, type Turns } from './lives.ts';
import { metricsSource } from './metrics-source.ts';
import { createNotifier } from './notify.ts';
import { createReload } from './reload.ts';
import { openReplication } from './replication.ts';
import { newRunId } from './run-id.ts';
import { createRunner } from './runner.ts';
import { schedulerSink } from './scheduler-sink.ts';
import { reachAll, release } from './services/backup.ts';
import { tightSchedules } from './services/check.ts';
import { accept, status } from './services/history.ts';
import { offeredKeys } from './services/host-keys.ts';
import type { Visiting } from './services/visiting.ts';
import { socketPath } from './socket.ts';
import { surviveUnexpected } from './survive.ts';
import { buildInfo } from './version.ts';
import { createWaiting, type Waiting } from './waiting.ts';

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
    platforms: new Map([...drivers].map(([id, driver]) => [id, archiveNames(driver)])),
    deviceDetail: 'full',
    build: buildInfo(),
  });
  metrics.seed(state.ledger.slots.totals());
  log.countedBy(metrics);
  context.staleLocksTo((count) => metrics.staleLocksRemoved(count));
  const replication = started.use(openReplication({ ...context, stateDir: settings.stateDir, log }));
  context.commitsTo({
    committed(commits, durationMs) {
      metrics.committed(commits, durationMs);
      replication.committed();
    },
    commitFailed: (failure) => metrics.commitFailed(failure),
  });
  const runner = await createRunner(context, state, metrics);
  let syslog: Syslog | null = null;
  let waiting: Waiting | null = null;
  const sink = schedulerSink(log, metrics);
  const scheduler = createScheduler({
    clock,
    ledger: state.ledger,
    calendar,
    runner: async (job) => {
      await waiting?.before(job.device.name);
      const change = syslog?.originOf(job.device.name) ?? null;
      return runner.run(change === null ? job : { ...job, change });
    },
    sink: withChanges(
      {
        ...sink,
        runEnded(ended) {
          sink.runEnded(ended);
          waiting?.ended(ended);
        },
      },
      () => syslog,
    ),
    newRunId: () => newRunId(clock.nowMs()),
    workers: settings.workers,
    devices: (await context.configuration()).devices,
  });
  waiting = createWaiting({ context, state, scheduler, sink, log });
  views.watch(scheduler, runner.gate, () => syslog?.limited() ?? 0);
  views.watchRemotes(() => replication.status());

  const changes = started.use(await openChangeTriggers({ context, state, scheduler, log, metrics }));
  syslog = changes;
  const inTurn = createTurns();
  const lives = createLives({ context, state, scheduler, syslog: changes, log, inTurn });
  let http: HttpServer | null = null;
  const web = async (settings: HttpSettings): Promise<() => void> => {
    const tls = await readTls(settings, context, env);
    return () => http?.configure(accessOf(settings), tls);
  };
  const hands = { context, state, scheduler, views, syslog: changes, replication, lives, web, inTurn, log };
  const reload = createReload(hands);
  // Why it is not ready although nothing is wrong with it; null between start and stop.
  let phase: string | null = 'the daemon is starting';
  const said = (what: string, by: string): void => log.info(what, { by });
  const served = (told: (by: string | undefined) => string): Services =>
    daemonServices(context, services, scheduler, runner.gate, inTurn, told);
  http = started.use(
    await openHttp({
      listen: settings.http.listen,
      socket: socketPath(settings, env),
      tls: await readTls(settings.http, context, env),
      access: accessOf(settings.http),
      sources: {
        metrics,
        readiness: () => {
          const { problems } = health.report();
          const reasons = phase === null ? problems : [...problems, phase];
          return { ready: reasons.length === 0, reasons };
        },
        reload: (confirmed, by) => {
          said('a reload was asked for', by);
          return reload(confirmed);
        },
        pause: async (by) => {
          said('starts are paused', by);
          scheduler.pause();
        },
        resume: async (by) => {
          said('starts are resumed', by);
          scheduler.resume();
        },
        services: served(bySocket),
        api: createApi({
          services: served((by) => by ?? 'somebody'),
          clock,
          log,
          masked: async () => (await context.configuration()).settings.secrets.inGit === 'masked',
        }),
        refused: createRefusals(clock, metrics, log),
        unexpected: (error) => log.unexpected('a request failed', error),
      },
    }),
  );

  const pass = (): void => {
    scheduler.tick();
    lives.tick();
    waiting?.tick();
    health.heartbeat();
  };
  await health.probe();
  await views.measure();
  // Told to stop before it began: nothing is started that would have to be ended.
  if (signals.stop.aborted) return;
  started.use(surviveUnexpected(log, clock));
  replication.configure(settings.git.remotes);
  await lives.settle(await context.configuration());
  pass();
  const anchor = chainAnchor(state.ledger, log, clock);
  const ledgerWatch = started.use(watchLedger(join(settings.stateDir, 'ledger.db'), log, clock));
  started.use(
    startClockwork({
      clock,
      tick: pass,
      measure: async () => {
        anchor.tellInTime();
        ledgerWatch.inTime();
        await views.measure();
      },
      housekeeping: async () => {
        await housekeeping(context, signals.stop);
        await inspectInTime(context, state);
      },
    }),
  );
  if (notifier.watchdogIntervalMs !== null) {
    const watchdog = setInterval(() => {
      if (!health.report().hangs) notifier.watchdog();
    }, notifier.watchdogIntervalMs / 2);
    started.defer(() => clearInterval(watchdog));
  }
  // What is wrong with it is in the log; the configuration in use stays.
  onHangup = () => void reload(false).catch(() => {});
  if (hungUp) onHangup();
  signals.onAbort(() => scheduler.abort());
  const { devices } = await context.configuration();
  log.info('daemon started', { devices: devices.length, workers: settings.workers });
  anchor.tell();
  phase = null;
  // The first time here, not in the night: from then on its age is told.
  const inspection = inspectInTime(context, state);
  for (const { message } of await tightSchedules(context))
    log.warn('the schedule is too tight', { problem: message });
  notifier.ready(`keeping the schedule of ${devices.length} devices`);

  ledgerWatch.inTime();
  const damage = await Promise.race([aborted(signals.stop).then(() => null), ledgerWatch.damage]);
  // Nothing that it is told from now on can be trusted to stay; the next start reads it in full and says what to do.
  if (damage !== null) throw damage;
  phase = 'the daemon is stopping';
  notifier.stopping();
  log.info('daemon stopping', { running: scheduler.state().running.length });
  // What changes from here on, the next start reads.
  await changes[Symbol.asyncDispose]();
  const grace = clock.after(stopGraceMs, () => scheduler.abort());
  await scheduler.drain();
  grace.cancel();
  await waiting.stop();
  await inspection;
  anchor.tell();
  log.info('daemon stopped', {});
}

/**
 * The commands that read a device go through the queue: never a second session to a device. `told` says for the
 * record who asks.
 */
function daemonServices(
  context: OwnedContext,
  services: Services,
  scheduler: Scheduler,
  gate: LoginGate,
  inTurn: Turns,
  told: (by: string | undefined) => string,
): Services {
  const visit: Visiting = (name, signal, work) => scheduler.visit(name, signal, work);
  return {
    ...services,
    reach: (names, watch) => reachAll(context, names, watch, gate, visit),
    release: (credential, by) => release(context, credential, gate, told(by)),
    // Not while files move: both would write the same ones.
    accept: (device, runId, by) => inTurn(() => accept(context, device, runId, told(by))),
    offeredKeys: (devices, signal) => offeredKeys(context, devices, signal, gate, visit),
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

/** The socket does not prove who is at its other end: it is said whose word it is. */
function bySocket(by: string | undefined): string {
  return `${by ?? 'somebody'} via socket`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
