import { chosen, perMinute, quantile } from './common.ts';
import { badFrom, heatmap, lines, type Section, stat } from './model.ts';

/** How long it takes. */
export const time: Section = {
  title: 'Time',
  panels: [
    heatmap({
      title: 'Duration of a run',
      description: 'From connect to durable commit. A second band is a group of slow devices.',
      unit: 's',
      width: 8,
      expr: `sum by (le) (increase(roundsman_backup_duration_seconds_bucket{${chosen}}[$__rate_interval]))`,
    }),
    lines({
      title: 'Duration by stage',
      description: '95 % of the runs spend at most this long in each stage.',
      unit: 's',
      width: 8,
      queries: [
        { expr: quantile(0.95, ', stage', 'roundsman_backup_stage_duration_seconds'), legend: '{{stage}}' },
      ],
    }),
    lines({
      title: 'Start delay',
      description: 'From the planned start to the real one. Grows when there are too few workers.',
      unit: 's',
      width: 8,
      queries: [
        { expr: quantile(0.5, '', 'roundsman_scheduler_start_delay_seconds'), legend: 'half' },
        { expr: quantile(0.95, '', 'roundsman_scheduler_start_delay_seconds'), legend: '95 %' },
      ],
    }),
  ],
};

/** Whether the collector is large enough. */
export const capacity: Section = {
  title: 'Capacity',
  panels: [
    lines({
      title: 'Workers',
      description: 'Sessions open now, beside what is configured.',
      unit: 'short',
      width: 6,
      queries: [
        { expr: `sum by (instance) (roundsman_workers_busy{${chosen}})`, legend: 'busy {{instance}}' },
        { expr: `sum by (instance) (roundsman_workers{${chosen}})`, legend: 'configured {{instance}}' },
      ],
    }),
    lines({
      title: 'Queue',
      description: 'Backups that are due and wait for a worker.',
      unit: 'short',
      width: 6,
      queries: [
        { expr: `sum by (instance) (roundsman_scheduler_queue_length{${chosen}})`, legend: '{{instance}}' },
      ],
    }),
    lines({
      title: 'Longest wait',
      description: 'How long the oldest waiting slot has waited.',
      unit: 's',
      width: 4,
      queries: [
        {
          expr: `time() - (roundsman_scheduler_oldest_queued_timestamp_seconds{${chosen}} > 0)`,
          legend: '{{instance}}',
        },
      ],
    }),
    lines({
      title: 'Event loop lag',
      description: '99 % of the turns of the event loop are at most this late. Over 0.1 s deserves a look.',
      unit: 's',
      width: 4,
      queries: [{ expr: `nodejs_eventloop_lag_p99_seconds{${chosen}}`, legend: '{{instance}}' }],
    }),
    lines({
      title: 'Memory',
      description: 'Resident memory of the process.',
      unit: 'bytes',
      width: 4,
      queries: [{ expr: `process_resident_memory_bytes{${chosen}}`, legend: '{{instance}}' }],
    }),
  ],
};

/** Where it goes to. */
export const storage: Section = {
  title: 'Storage',
  panels: [
    lines({
      title: 'Time of a commit',
      description: 'Until a commit is durable: half and 95 % of them.',
      unit: 's',
      width: 4,
      queries: [
        { expr: quantile(0.5, '', 'roundsman_git_commit_duration_seconds'), legend: 'half' },
        { expr: quantile(0.95, '', 'roundsman_git_commit_duration_seconds'), legend: '95 %' },
      ],
    }),
    lines({
      title: 'Commits and failures',
      description: 'Commits made durable in a minute, and those that failed, by reason.',
      unit: 'cpm',
      width: 4,
      queries: [
        {
          expr: perMinute('instance', `roundsman_git_commits_total{${chosen}}`),
          legend: 'commits {{instance}}',
        },
        {
          expr: `${perMinute('reason', `roundsman_git_commit_failures_total{${chosen}}`)} > 0`,
          legend: 'failed: {{reason}}',
        },
      ],
    }),
    lines({
      title: 'Spool',
      description: 'Configurations that were read and are not in the repository yet. Empty is normal.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `sum by (instance) (roundsman_spool_entries{${chosen}})`, legend: '{{instance}}' }],
    }),
    lines({
      title: 'Not pushed',
      description:
        'Commits that a remote does not have yet. Above zero for minutes is normal, for hours it is not.',
      unit: 'short',
      width: 4,
      queries: [
        {
          expr: `sum by (instance, remote) (roundsman_git_unpushed_commits{${chosen}})`,
          legend: '{{remote}} {{instance}}',
        },
      ],
    }),
    lines({
      title: 'Size of the state directory',
      description: 'What grows, by part.',
      unit: 'bytes',
      width: 4,
      queries: [{ expr: `sum by (part) (roundsman_state_dir_size_bytes{${chosen}})`, legend: '{{part}}' }],
      stacked: true,
    }),
    lines({
      title: 'Free space',
      description: 'Left on the file system of the state directory.',
      unit: 'bytes',
      width: 4,
      queries: [{ expr: `roundsman_state_dir_free_bytes{${chosen}}`, legend: '{{instance}}' }],
    }),
  ],
};

/** Whether it can be believed. */
export const trust: Section = {
  title: 'Trust',
  panels: [
    stat({
      title: 'Host keys not pinned',
      description: 'Enabled devices whose SSH host key nobody has confirmed yet.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `sum(roundsman_inventory_unpinned_host_keys{${chosen}})`, legend: 'devices' }],
      thresholds: badFrom(1, 'orange'),
    }),
    stat({
      title: 'Weak algorithms',
      description: 'Devices that are allowed a legacy SSH algorithm, by algorithm.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (algorithm) (roundsman_ssh_weak_algorithms_devices{${chosen}}) > 0`,
          legend: '{{algorithm}}',
        },
      ],
      thresholds: badFrom(1, 'orange'),
      none: 'none',
    }),
    stat({
      title: 'Credentials held back',
      description: 'Credentials that devices rejected: nothing is sent with them until somebody acts.',
      unit: 'short',
      width: 4,
      queries: [
        {
          expr: `sum by (credential) (roundsman_credentials_held_back{${chosen}}) > 0`,
          legend: '{{credential}}',
        },
      ],
      thresholds: badFrom(1),
      none: 'none',
    }),
    stat({
      title: 'Secrets',
      description: 'Whether every referenced secret could be read, and the newest inventory was accepted.',
      unit: 'short',
      width: 8,
      queries: [
        { expr: `min(roundsman_credentials_last_load_successful{${chosen}})`, legend: 'secrets' },
        { expr: `min(roundsman_inventory_last_reload_successful{${chosen}})`, legend: 'inventory' },
      ],
      thresholds: [
        ['red', null],
        ['green', 1],
      ],
      words: { '0': 'refused', '1': 'good' },
    }),
    lines({
      title: 'Logins and host keys refused',
      description: 'Rejected logins can lock an account; a changed host key can be somebody in between.',
      unit: 'cpm',
      width: 8,
      queries: [
        {
          expr: perMinute(
            'reason',
            `roundsman_backup_attempt_failures_total{${chosen}, reason=~"login[.].+|credentials[.].+|connect[.]host-key-.+"}`,
          ),
          legend: '{{reason}}',
        },
      ],
    }),
    lines({
      title: 'Audit chain',
      description: 'Length of the chain, and records that could not be written. A step down is an alarm.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (instance) (roundsman_audit_chain_length{${chosen}})`,
          legend: 'records {{instance}}',
        },
        {
          expr: `sum by (instance) (roundsman_audit_write_failures_total{${chosen}})`,
          legend: 'not written {{instance}}',
        },
      ],
    }),
    lines({
      title: 'Log',
      description: 'Log records in a minute by level, and those that were dropped.',
      unit: 'cpm',
      width: 8,
      queries: [
        { expr: perMinute('level', `roundsman_log_records_total{${chosen}}`), legend: '{{level}}' },
        { expr: perMinute('sink', `roundsman_log_dropped_total{${chosen}}`), legend: 'dropped: {{sink}}' },
      ],
    }),
  ],
};
