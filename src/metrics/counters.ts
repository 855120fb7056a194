import { Counter, Histogram, type Registry } from 'prom-client';
import type { Failure } from '../core/errors.ts';
import type { Totals } from '../ledger/slots.ts';
import { knownLabels, type Platforms } from './combinations.ts';
import { type definitions, everyMetric, type NameOf } from './definitions.ts';
import { type CommitFailureReason, isOutputCheck } from './labels.ts';
import type { MetricsSink } from './sink.ts';

/** What only grows: counters and histograms, in memory, fed by the sink. */
export interface Counters extends MetricsSink {
  /**
   * Adds what happened before this process began. A counter that restarts at 0 hides exactly what a
   * downtime missed. Once, with totals read before the first of what is also told to the sink.
   */
  seed(totals: Totals): void;
}

/** Registers every counter and histogram of the definitions, each known combination of labels at 0. */
export function createCounters(registry: Registry, platforms: Platforms): Counters {
  const counters = new Map<string, Counter>();
  const histograms = new Map<string, Histogram>();
  for (const [name, definition] of everyMetric()) {
    if (definition.type === 'gauge') continue;
    const { help, labels, buckets } = definition;
    const common = { name, help, labelNames: Object.keys(labels), registers: [registry] };
    const known = knownLabels(definition, platforms);
    if (definition.type === 'counter') {
      const counter = new Counter(common);
      for (const combination of known) counter.inc(combination, 0);
      counters.set(name, counter);
    } else {
      const histogram = new Histogram({ ...common, buckets: [...(buckets ?? [])] });
      for (const combination of known) histogram.zero(combination);
      histograms.set(name, histogram);
    }
  }

  function add<Name extends NameOf<'counter'>>(name: Name, labels: Labels<Name>, count = 1): void {
    // A counter that is given less than nothing throws, and no measure is worth a backup.
    if (count > 0) counters.get(name)?.inc(labels, count);
  }

  function observe<Name extends NameOf<'histogram'>>(name: Name, labels: Labels<Name>, ms: number): void {
    // A wall clock that went back gives negative spans.
    histograms.get(name)?.observe(labels, Math.max(0, ms) / 1_000);
  }

  return {
    seed: ({ runs, failures, missed }) => {
      for (const { count, ...labels } of runs) add('roundsman_backup_runs_total', labels, count);
      for (const { count, ...labels } of failures) add('roundsman_backup_run_failures_total', labels, count);
      for (const { count, ...labels } of missed) add('roundsman_backup_missed_total', labels, count);
    },
    runStarted: (delayMs) => observe('roundsman_scheduler_start_delay_seconds', {}, delayMs),
    attemptStarted: (platform) => add('roundsman_backup_attempts_total', { platform }),
    attemptEnded: ({ platform, failure, receivedBytes }) => {
      add('roundsman_backup_bytes_total', { platform }, receivedBytes);
      if (failure === null) return;
      add('roundsman_backup_attempt_failures_total', { platform, reason: failure.code });
      if (isOutputCheck(failure.code)) {
        add('roundsman_backup_rejected_outputs_total', { platform, check: failure.code });
      }
    },
    runEnded: ({ platform, trigger, settled, startedAtMs, endedAtMs, archives }) => {
      add('roundsman_backup_runs_total', { platform, trigger });
      observe('roundsman_backup_duration_seconds', { platform }, endedAtMs - startedAtMs);
      for (const { name, failure } of archives) {
        if (failure === null) continue;
        const labels = { platform, archive: name, reason: failure.code };
        add('roundsman_archive_failures_total', labels);
      }
      if (settled.outcome === 'changed') {
        const isOurs = settled.underNewRules === true;
        add(isOurs ? 'roundsman_backup_rereads_total' : 'roundsman_backup_changes_total', { platform });
      }
      if (settled.outcome === 'failed') {
        const reason = settled.failure.code;
        add('roundsman_backup_run_failures_total', { platform, reason });
        if (reason.startsWith('record.')) add('roundsman_audit_write_failures_total', {});
      }
      if (settled.outcome === 'quarantined') {
        const reason = settled.failure.code;
        add('roundsman_backup_quarantined_total', { platform, reason });
        // The attempt took this reading; only the comparison with the last good copy refused it.
        if (isOutputCheck(reason)) {
          add('roundsman_backup_rejected_outputs_total', { platform, check: reason });
        }
      }
    },
    slotsMissed: (cause, slots) => add('roundsman_backup_missed_total', { cause }, slots),
    stage: (stage, durationMs) => observe('roundsman_backup_stage_duration_seconds', { stage }, durationMs),
    committed: (commits, durationMs) => {
      add('roundsman_git_commits_total', {}, commits);
      for (let n = 0; n < commits; n += 1) observe('roundsman_git_commit_duration_seconds', {}, durationMs);
    },
    commitFailed: (failure) =>
      add('roundsman_git_commit_failures_total', { reason: commitFailureReason(failure) }),
    staleLocksRemoved: (count) => add('roundsman_git_stale_locks_removed_total', {}, count),
    clockJumped: () => add('roundsman_scheduler_clock_jumps_total', {}),
    auditWriteFailed: () => add('roundsman_audit_write_failures_total', {}),
    syslogMessage: (transport, result) => add('roundsman_syslog_messages_total', { transport, result }),
    syslogDropped: (datagrams) => add('roundsman_syslog_dropped_total', {}, datagrams),
    syslogRefused: (transport) => add('roundsman_syslog_connections_refused_total', { transport }),
    changeEvent: (platform, result) => add('roundsman_change_events_total', { platform, result }),
    httpRefused: (endpoint) => add('roundsman_http_auth_failures_total', { endpoint }),
    logged: (level) => add('roundsman_log_records_total', { level }),
    logDropped: (sink) => add('roundsman_log_dropped_total', { sink }),
  };
}

/** The labels of one metric: exactly those of its definition. */
type Labels<Name extends keyof typeof definitions> = Readonly<
  Record<keyof (typeof definitions)[Name]['labels'], string>
>;

/** Which of the few words a failure of the store is. What git itself says is told apart by its own messages. */
export function commitFailureReason(failure: Failure): CommitFailureReason {
  if (failure.code === 'store.disk-full') return 'no_space';
  if (failure.code === 'store.locked') return 'lock';
  if (failure.code !== 'store.git-failed') return 'other';
  const { stderr } = failure.detail;
  if (/no space left|disk quota exceeded/i.test(stderr)) return 'no_space';
  if (/unable to create '.*\.lock'|cannot lock ref/i.test(stderr)) return 'lock';
  if (/corrupt|bad object|bad tree|invalid sha1 pointer|missing blob|unable to read/i.test(stderr)) {
    return 'corrupt';
  }
  if (/timed out|timeout/i.test(stderr)) return 'timeout';
  if (/\bhook\b/i.test(stderr)) return 'hook';
  return 'other';
}
