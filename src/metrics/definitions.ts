import {
  changeEventResults,
  commitFailureReasons,
  errorCodes,
  httpEndpoints,
  logLevels,
  logSinks,
  missedCauses,
  outputChecks,
  pushFailureReasons,
  quarantineCodes,
  stateParts,
  states,
  syslogResults,
  syslogTransports,
  timedStages,
  triggers,
} from './labels.ts';

/**
 * Every metric, once. What is rendered, the page docs/metrics.md, the alert rules and the dashboards are
 * checked against this table.
 */

/**
 * The values that a label can have: a closed list; `platforms`: the ids of the drivers, a list that is
 * closed once the program has started; `archives`: those of the driver that `platform` names; or whatever the
 * inventory and this build say (`open`).
 */
export type LabelValues = readonly string[] | 'platforms' | 'archives' | 'open';

/** One metric. */
export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** In the order in which they are written. */
  readonly labels: Readonly<Record<string, LabelValues>>;
  readonly help: string;
  /** Upper bounds in seconds; histograms only. */
  readonly buckets?: readonly number[];
  /** `minimal`: there is one series per device even with `metrics.device_detail: minimal`; `full`: not then. */
  readonly perDevice?: 'minimal' | 'full';
}

const none = {} as const;
const platform = { platform: 'platforms' } as const;
const device = { device: 'open' } as const;
const remote = { remote: 'open' } as const;

export const definitions = {
  roundsman_build_info: {
    type: 'gauge',
    labels: { version: 'open', revision: 'open', node_version: 'open' },
    help: 'Always 1; build metadata (join with on(instance) group_left).',
  },

  roundsman_inventory_devices: {
    type: 'gauge',
    labels: platform,
    help: 'Devices in the loaded inventory that are enabled for backup.',
  },
  roundsman_inventory_devices_disabled: {
    type: 'gauge',
    labels: platform,
    help: 'Devices in the inventory with backup disabled on purpose.',
  },
  roundsman_inventory_last_reload_successful: {
    type: 'gauge',
    labels: none,
    help: '1 if the last inventory load was accepted, 0 if it was rejected and the old one is still in use.',
  },
  roundsman_inventory_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the last accepted inventory load.',
  },
  roundsman_inventory_unpinned_host_keys: {
    type: 'gauge',
    labels: none,
    help: 'Enabled devices that have no pinned SSH host key yet.',
  },
  roundsman_ssh_weak_algorithms_devices: {
    type: 'gauge',
    labels: { algorithm: 'open' },
    help: 'Devices whose inventory entry allows this legacy algorithm.',
  },
  roundsman_credentials_last_load_successful: {
    type: 'gauge',
    labels: none,
    help: '1 if every referenced secret could be read at the last load.',
  },
  roundsman_credentials_held_back: {
    type: 'gauge',
    labels: { credential: 'open' },
    help: '1 while logins with this credential are held back.',
  },

  roundsman_scheduler_last_tick_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the last scheduler pass (heartbeat).',
  },
  roundsman_scheduler_queue_length: {
    type: 'gauge',
    labels: none,
    help: 'Runs due and waiting for a worker.',
  },
  roundsman_scheduler_oldest_queued_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the scheduled slot that has waited longest, 0 if none.',
  },
  roundsman_scheduler_start_delay_seconds: {
    type: 'histogram',
    labels: none,
    help: 'Delay between the slot plus splay and the actual start.',
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600],
  },
  roundsman_scheduler_clock_jumps_total: {
    type: 'counter',
    labels: none,
    help: 'Wall clock jumps seen against the monotonic clock.',
  },
  roundsman_workers: {
    type: 'gauge',
    labels: none,
    help: 'Configured number of concurrent device sessions.',
  },
  roundsman_workers_busy: { type: 'gauge', labels: none, help: 'Device sessions open now.' },

  roundsman_backup_attempts_total: {
    type: 'counter',
    labels: platform,
    help: 'Device sessions started (retries included).',
  },
  roundsman_backup_attempt_failures_total: {
    type: 'counter',
    labels: { ...platform, reason: errorCodes },
    help: 'Attempts that failed, by reason from the closed list.',
  },
  roundsman_backup_runs_total: {
    type: 'counter',
    labels: { ...platform, trigger: triggers },
    help: 'Runs finished, whatever the outcome; continues over restarts.',
  },
  roundsman_backup_run_failures_total: {
    type: 'counter',
    labels: { ...platform, reason: errorCodes },
    help: 'Runs that ended in failure after all retries; continues over restarts.',
  },
  roundsman_backup_quarantined_total: {
    type: 'counter',
    labels: { ...platform, reason: quarantineCodes },
    help: 'Runs held back until a person accepts them.',
  },
  roundsman_backup_missed_total: {
    type: 'counter',
    labels: { cause: missedCauses },
    help: 'Scheduled slots for which no run was started inside the start deadline; continues over restarts.',
  },
  roundsman_backup_duration_seconds: {
    type: 'histogram',
    labels: platform,
    help: 'Whole run, connect to durable commit.',
    buckets: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800],
  },
  roundsman_backup_stage_duration_seconds: {
    type: 'histogram',
    labels: { stage: timedStages },
    help: 'Stages of the catalogue, and queue.',
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800],
  },
  roundsman_backup_changes_total: {
    type: 'counter',
    labels: platform,
    help: 'Runs whose normalized config differed from the stored one.',
  },
  roundsman_backup_rereads_total: {
    type: 'counter',
    labels: platform,
    help: 'Runs whose text differed because rules of a driver or the fingerprint key did, not the device.',
  },
  roundsman_backup_bytes_total: {
    type: 'counter',
    labels: platform,
    help: 'Bytes of configuration received.',
  },
  roundsman_backup_rejected_outputs_total: {
    type: 'counter',
    labels: { ...platform, check: outputChecks },
    help: 'Outputs refused by a completeness check; check is the code of the refusal.',
  },

  roundsman_change_events_total: {
    type: 'counter',
    labels: { ...platform, result: changeEventResults },
    help: 'Syslog messages that tell of a change, by what became of them (began or joined a wait, own session, disabled device); and waits that started a backup or were limited.',
  },
  roundsman_change_limited_devices: {
    type: 'gauge',
    labels: none,
    help: 'Devices that changed and whose backup waits because a limit of change backups is reached.',
  },
  roundsman_syslog_messages_total: {
    type: 'counter',
    labels: { transport: syslogTransports, result: syslogResults },
    help: 'Syslog messages received: of a change, of something other, from an unknown sender, or shed unread in a flood.',
  },
  roundsman_syslog_dropped_total: {
    type: 'counter',
    labels: none,
    help: 'Datagrams that the kernel dropped because they came faster than they were read.',
  },
  roundsman_syslog_connections_refused_total: {
    type: 'counter',
    labels: { transport: syslogTransports },
    help: 'Syslog connections refused or cut: too many, too long a message, half of one and no more, no TLS.',
  },

  roundsman_device_info: {
    type: 'gauge',
    labels: { ...device, platform: 'platforms', group: 'open' },
    help: 'Always 1; inventory facts for joins.',
    perDevice: 'minimal',
  },
  roundsman_device_enabled: {
    type: 'gauge',
    labels: device,
    help: '1 if scheduled, 0 if disabled in the inventory.',
    perDevice: 'minimal',
  },
  roundsman_device_last_attempt_timestamp_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Unix time the last attempt ended, 0 if never.',
    perDevice: 'full',
  },
  roundsman_device_last_attempt_successful: {
    type: 'gauge',
    labels: device,
    help: '1 if the last attempt succeeded, 0 if not or never.',
    perDevice: 'full',
  },
  roundsman_device_last_success_timestamp_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Unix time of the last durable success, 0 if never (survives restarts).',
    perDevice: 'minimal',
  },
  roundsman_device_last_change_timestamp_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Unix time of the last committed change, 0 if never.',
    perDevice: 'full',
  },
  roundsman_device_next_run_timestamp_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Unix time of the next planned start; absent while the device is disabled.',
    perDevice: 'full',
  },
  roundsman_device_backup_due_timestamp_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Deadline of the oldest slot without a later success, else of the next one; only a verified success moves it forward. Absent while the device is disabled.',
    perDevice: 'minimal',
  },
  roundsman_device_expected_interval_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Longest gap between two consecutive slots of the schedule; absent while the device is disabled.',
    perDevice: 'full',
  },
  roundsman_device_consecutive_failures: {
    type: 'gauge',
    labels: device,
    help: 'Failed or missed runs since the last success.',
    perDevice: 'minimal',
  },
  roundsman_device_config_size_bytes: {
    type: 'gauge',
    labels: device,
    help: 'Size of the stored configuration, 0 if there is none.',
    perDevice: 'full',
  },
  roundsman_device_last_duration_seconds: {
    type: 'gauge',
    labels: device,
    help: 'Duration of the last attempt; absent before the first.',
    perDevice: 'full',
  },
  roundsman_device_state: {
    type: 'gauge',
    labels: { ...device, state: states },
    help: '1 for the state that the device is in, 0 for the others (with device_detail minimal: quarantined alone).',
    perDevice: 'minimal',
  },
  roundsman_device_restorable: {
    type: 'gauge',
    labels: device,
    help: '1 yes, 0.5 partial, 0 no or no good copy yet.',
    perDevice: 'full',
  },
  roundsman_device_unsaved_changes: {
    type: 'gauge',
    labels: device,
    help: '1 while the running configuration differed from the saved one at the last good reading, else 0; absent where the device does not say.',
    perDevice: 'full',
  },
  roundsman_device_last_failure_info: {
    type: 'gauge',
    labels: { ...device, reason: errorCodes },
    help: 'Always 1 while the last attempt is a failure; absent otherwise.',
    perDevice: 'full',
  },

  roundsman_archive_failures_total: {
    type: 'counter',
    labels: { ...platform, archive: 'archives', reason: errorCodes },
    help: 'Archives (files that a device makes, such as a UCS) that were due and are not stored; the text has a life of its own.',
  },
  roundsman_archive_last_success_timestamp_seconds: {
    type: 'gauge',
    labels: { ...device, archive: 'open' },
    help: 'Unix time of the last archive that was stored, 0 if never.',
    perDevice: 'full',
  },
  roundsman_archive_last_attempt_successful: {
    type: 'gauge',
    labels: { ...device, archive: 'open' },
    help: '1 if the last archive that was asked for is stored, 0 if not; absent before the first.',
    perDevice: 'minimal',
  },
  roundsman_archive_due_timestamp_seconds: {
    type: 'gauge',
    labels: { ...device, archive: 'open' },
    help: 'Unix time at which the next archive is overdue: an instant of its schedule after the last good one, and the time for a run that fetches it. Absent before the first good one and while the device is disabled.',
    perDevice: 'minimal',
  },

  roundsman_git_commits_total: { type: 'counter', labels: none, help: 'Commits made durable.' },
  roundsman_git_commit_failures_total: {
    type: 'counter',
    labels: { reason: commitFailureReasons },
    help: 'Commits that failed.',
  },
  roundsman_git_commit_duration_seconds: {
    type: 'histogram',
    labels: none,
    help: 'Time to make one commit durable.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  roundsman_git_last_commit_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the last durable commit, 0 if never.',
  },
  roundsman_git_last_fsck_success_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the last clean git fsck, 0 if never (survives restarts).',
  },
  roundsman_git_fsck_errors: { type: 'gauge', labels: none, help: 'Errors found by the last git fsck.' },
  roundsman_git_stale_locks_removed_total: {
    type: 'counter',
    labels: none,
    help: 'Stale git lock files removed at recovery.',
  },
  roundsman_git_last_push_success_timestamp_seconds: {
    type: 'gauge',
    labels: remote,
    help: 'Unix time of the last successful push, 0 if never (survives restarts).',
  },
  roundsman_git_unpushed_commits: {
    type: 'gauge',
    labels: remote,
    help: 'Local commits not yet on the remote.',
  },
  roundsman_git_last_push_failure_info: {
    type: 'gauge',
    labels: { ...remote, reason: pushFailureReasons },
    help: 'Always 1 while the last push is a failure; absent otherwise.',
  },
  roundsman_spool_entries: {
    type: 'gauge',
    labels: none,
    help: 'Fetched configurations on disk that are not committed yet.',
  },
  roundsman_spool_oldest_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Unix time of the oldest of them, 0 if none.',
  },
  roundsman_state_dir_free_bytes: {
    type: 'gauge',
    labels: none,
    help: 'Free space where state_dir lies; absent while that cannot be told.',
  },
  roundsman_state_dir_size_bytes: {
    type: 'gauge',
    labels: { part: stateParts },
    help: 'Size of configs.git, artefacts, ledger, spool.',
  },

  roundsman_audit_chain_length: {
    type: 'gauge',
    labels: none,
    help: 'Records in the audit chain; only ever grows.',
  },
  roundsman_audit_write_failures_total: {
    type: 'counter',
    labels: none,
    help: 'Audit records that could not be made durable.',
  },
  roundsman_http_auth_failures_total: {
    type: 'counter',
    labels: { endpoint: httpEndpoints },
    help: 'Requests over TCP refused for wrong or insufficient credentials, by what the endpoint demands.',
  },
  roundsman_log_records_total: {
    type: 'counter',
    labels: { level: logLevels },
    help: 'Log records produced.',
  },
  roundsman_log_dropped_total: {
    type: 'counter',
    labels: { sink: logSinks },
    help: 'Log records a sink could not take.',
  },
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof definitions;

/** The names of one type, such as every counter. */
export type NameOf<Type extends Definition['type']> = {
  [Name in MetricName]: (typeof definitions)[Name]['type'] extends Type ? Name : never;
}[MetricName];

/** Names and definitions, in the order of the table. */
export function everyMetric(): readonly (readonly [name: MetricName, definition: Definition])[] {
  return Object.entries(definitions) as [MetricName, Definition][];
}
