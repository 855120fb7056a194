import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { OperationError } from '../core/errors.ts';
import type { KnownDevice } from '../ledger/ledger.ts';
import type { MetricsSink } from '../metrics/sink.ts';
import type { Scheduler, SchedulerSink } from '../scheduler/scheduler.ts';
import { openSyslog, type Syslog, type SyslogSink } from '../syslog/syslog.ts';
import type { TlsFiles } from '../syslog/tcp.ts';
import type { Log } from './log.ts';
import type { Context, State } from './services/context.ts';
import type { SyslogSettings } from './settings.ts';

/** What change triggers are made from. */
interface Hands {
  readonly context: Context;
  readonly state: State;
  readonly scheduler: Scheduler;
  readonly log: Log;
  readonly metrics: MetricsSink;
}

/**
 * Listens where the settings say, and backs up what changed. Throws OperationError where an address cannot be had
 * or the certificate cannot be used, and what reading its key throws.
 */
export async function openChangeTriggers(hands: Hands): Promise<Syslog> {
  const { context, state, scheduler, log, metrics } = hands;
  const { settings, devices, drivers } = await context.configuration();
  const { udp, tcp, tls } = settings.syslog;
  return openSyslog({
    clock: context.clock,
    udp,
    tcp,
    tls: tls === null ? null : { at: tls.at, ...(await tlsFiles(tls, context)) },
    timing: settings.syslog,
    devices,
    drivers,
    known: (names) => knownOf(state, names),
    resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    localAddresses: () =>
      Object.values(networkInterfaces()).flatMap((addresses) =>
        (addresses ?? []).map(({ address }) => address),
      ),
    async start(device, signal) {
      try {
        await scheduler.runNow([device], { trigger: 'change', signal });
      } catch (thrown) {
        // It left the inventory at this moment.
        if (!(thrown instanceof RangeError)) throw thrown;
      }
    },
    sink: sinkOf(log, metrics),
  });
}

/** By name. One question for a whole fleet. */
function knownOf({ ledger }: State, names: readonly string[]): ReadonlyMap<string, KnownDevice> {
  const [name] = names;
  if (names.length > 1) return new Map(ledger.devices().map((device) => [device.name, device]));
  const one = name === undefined ? null : ledger.device(name);
  return new Map(one === null ? [] : [[name ?? '', one]]);
}

/** Tells `syslog` of every run, so that what a session of ours causes starts no other one. */
export function withChanges(
  sink: SchedulerSink,
  syslog: () => Pick<Syslog, 'runStarted' | 'runEnded'> | null,
): SchedulerSink {
  return {
    ...sink,
    runStarted(job, delayMs) {
      syslog()?.runStarted(job.device.name, job.trigger);
      sink.runStarted(job, delayMs);
    },
    runEnded(ended) {
      const { outcome } = ended.settled;
      syslog()?.runEnded(ended.device, outcome === 'changed' || outcome === 'unchanged');
      sink.runEnded(ended);
    },
  };
}

function sinkOf(log: Log, metrics: MetricsSink): SyslogSink {
  return {
    message: (transport, result) => metrics.syslogMessage(transport, result),
    change: (platform, result) => metrics.changeEvent(platform, result),
    dropped: (datagrams) => metrics.syslogDropped(datagrams),
    refused: (transport) => metrics.syslogRefused(transport),
    started: (device, origin) =>
      log.info('a change was told, a backup follows', {
        device,
        by: origin?.by ?? null,
        from: origin?.from ?? null,
      }),
    limited: (device, limit, waitMs) =>
      log.warn('too many backups after changes, the next one waits', {
        device,
        limit: `syslog.${limit}`,
        wait_ms: Math.round(waitMs),
      }),
    strangers: (messages, senders) =>
      log.warn('syslog messages from senders that are no device', { messages, senders: senders.join(', ') }),
    trouble: (transport, error) =>
      log.warn('a syslog listener met an error', { transport, error: error.message }),
  };
}

async function tlsFiles(tls: NonNullable<SyslogSettings['tls']>, context: Context): Promise<TlsFiles> {
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file, 'latin1');
    } catch (cause) {
      const { message } = cause as Error;
      throw new OperationError(
        `syslog over tls cannot read its certificate: ${message}`,
        'name PEM files that the service can read in `syslog.tls`',
        { cause },
      );
    }
  };
  return {
    certificate: await read(tls.certificate),
    key: await context.readSecret(tls.key),
    clientCa: tls.clientCa === null ? null : await read(tls.clientCa),
  };
}
