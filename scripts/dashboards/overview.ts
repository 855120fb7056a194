import { capacity, storage, time, trust } from './collector.ts';
import { chosen, collectorVariables, knownDue, perMinute } from './common.ts';
import { badFrom, dashboard, lines, type Section, stat, table } from './model.ts';

const perDevice = 'on (job, instance, device)';
const overdue = `time() > ${knownDue}`;
const enabled = `roundsman_device_enabled{${chosen}} == 1`;
const missed = `roundsman_backup_missed_total{${chosen}}`;

const now: Section = {
  title: 'Now',
  panels: [
    stat({
      title: 'Overdue',
      description:
        'Devices without a good backup in time. Stays up while the collector is down; anything but 0 needs somebody.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `count(${overdue}) or vector(0)`, legend: 'overdue' }],
      thresholds: badFrom(1),
    }),
    stat({
      title: 'Backed up in 24 h',
      description: 'Enabled devices with a good backup in the last 24 hours, beside all that are enabled.',
      unit: 'short',
      width: 4,
      queries: [
        {
          expr: `count((time() - roundsman_device_last_success_timestamp_seconds{${chosen}} < 86400) and ${perDevice} (${enabled})) or vector(0)`,
          legend: 'backed up',
        },
        { expr: `count(${enabled}) or vector(0)`, legend: 'expected' },
      ],
    }),
    stat({
      title: 'Missed in 24 h',
      description:
        'Scheduled backups that were not even started, also those of a downtime of ours within the last week.',
      unit: 'short',
      width: 4,
      queries: [
        {
          expr: `sum(${missed} - last_over_time(${missed}[7d] offset 24h)) or sum(increase(${missed}[24h]))`,
          legend: 'missed',
        },
      ],
      thresholds: badFrom(1, 'orange'),
    }),
    stat({
      title: 'Collector',
      description: 'Whether each collector answers its scrape.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `min by (instance) (up{${chosen}})`, legend: '{{instance}}' }],
      thresholds: [
        ['red', null],
        ['green', 1],
      ],
      words: { '0': 'down', '1': 'up' },
    }),
    stat({
      title: 'Oldest success',
      description: 'Age of the oldest newest backup among enabled devices that have one.',
      unit: 's',
      width: 4,
      queries: [
        {
          expr: `max(time() - (roundsman_device_last_success_timestamp_seconds{${chosen}} > 0) and ${perDevice} (${enabled}))`,
          legend: 'age',
        },
      ],
      none: 'none yet',
    }),
    stat({
      title: 'Audit chain',
      description: 'Records in the audit chain. It only ever grows; this server is the witness outside.',
      unit: 'short',
      width: 4,
      queries: [
        { expr: `sum by (instance) (roundsman_audit_chain_length{${chosen}})`, legend: '{{instance}}' },
      ],
    }),
  ],
};

const absence: Section = {
  title: 'Absence',
  panels: [
    table({
      title: 'Overdue devices',
      description: 'Who is overdue, for how long and why. Click a device for its history.',
      unit: 'short',
      width: 24,
      queries: [
        { expr: `max by (instance, device) (time() - ${knownDue} > 0)` },
        {
          expr: `max by (instance, device, group, platform) (roundsman_device_info{${chosen}} and ${perDevice} (${overdue}))`,
        },
        { expr: `1000 * max by (instance, device) (${knownDue} < time())` },
        {
          expr: `1000 * max by (instance, device) ((roundsman_device_last_success_timestamp_seconds{${chosen}} > 0) and ${perDevice} (${overdue}))`,
        },
        {
          expr: `max by (instance, device, reason) (roundsman_device_last_failure_info{${chosen}} and ${perDevice} (${overdue}))`,
        },
      ],
      columns: [
        {
          field: 'device',
          title: 'Device',
          link: {
            title: 'History of this device',
            // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills these in
            url: '/d/roundsman-device?var-device=${__data.fields.Device}&${datasource:queryparam}&${job:queryparam}',
          },
        },
        { field: 'group', title: 'Group' },
        { field: 'platform', title: 'Platform' },
        { field: 'Value #A', title: 'Overdue for', unit: 's' },
        { field: 'Value #C', title: 'Due', unit: 'dateTimeAsIso' },
        { field: 'Value #D', title: 'Last success', unit: 'dateTimeAsIso' },
        { field: 'reason', title: 'Reason' },
        { field: 'instance', title: 'Collector' },
      ],
      sortBy: 'Overdue for',
      none: '-',
    }),
    table({
      title: 'Never backed up',
      description: 'Enabled devices of which there is no good backup at all: nothing to restore them from.',
      unit: 'short',
      width: 12,
      queries: [
        {
          expr: `max by (instance, device, group, platform) (roundsman_device_info{${chosen}} and ${perDevice} (roundsman_device_last_success_timestamp_seconds{${chosen}} == 0) and ${perDevice} (${enabled}))`,
        },
      ],
      columns: [
        { field: 'device', title: 'Device' },
        { field: 'group', title: 'Group' },
        { field: 'platform', title: 'Platform' },
        { field: 'instance', title: 'Collector' },
      ],
      sortBy: 'Device',
      none: '-',
    }),
    lines({
      title: 'Missed by cause',
      description:
        'Scheduled backups that were not started, total by cause. A step is an event; a flat line is good.',
      unit: 'short',
      width: 12,
      queries: [{ expr: `sum by (cause) (${missed})`, legend: '{{cause}}' }],
    }),
  ],
};

const outcomes: Section = {
  title: 'Outcomes',
  panels: [
    lines({
      title: 'Sessions',
      description: 'Device sessions and runs in a minute. Many more sessions than runs: retries.',
      unit: 'cpm',
      width: 12,
      queries: [
        {
          expr: perMinute('platform', `roundsman_backup_attempts_total{${chosen}}`),
          legend: 'sessions {{platform}}',
        },
        {
          expr: perMinute('trigger', `roundsman_backup_runs_total{${chosen}}`),
          legend: 'runs by {{trigger}}',
        },
      ],
    }),
    lines({
      title: 'Failures by reason',
      description: 'Sessions that failed, by error code. One code for many devices has one cause.',
      unit: 'cpm',
      width: 12,
      queries: [
        {
          expr: `${perMinute('reason', `roundsman_backup_attempt_failures_total{${chosen}}`)} > 0`,
          legend: '{{reason}}',
        },
      ],
    }),
    lines({
      title: 'Failed and quarantined runs',
      description: 'Runs that ended without a new good copy after all retries.',
      unit: 'cpm',
      width: 8,
      queries: [
        {
          expr: perMinute('platform', `roundsman_backup_run_failures_total{${chosen}}`),
          legend: 'failed {{platform}}',
        },
        {
          expr: perMinute('platform', `roundsman_backup_quarantined_total{${chosen}}`),
          legend: 'quarantined {{platform}}',
        },
      ],
    }),
    lines({
      title: 'Changes in a day',
      description: 'Runs of the last 24 hours that found a changed configuration.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (platform) (increase(roundsman_backup_changes_total{${chosen}}[1d]))`,
          legend: '{{platform}}',
        },
      ],
    }),
    lines({
      title: 'Refused outputs',
      description: 'Texts that were not believed, by the check that refused them.',
      unit: 'cpm',
      width: 8,
      queries: [
        {
          expr: `${perMinute('check', `roundsman_backup_rejected_outputs_total{${chosen}}`)} > 0`,
          legend: '{{check}}',
        },
      ],
    }),
  ],
};

/** All collectors and devices on one page; what is not there comes first. */
export const overview = dashboard({
  uid: 'roundsman-overview',
  title: 'Roundsman / Overview',
  description:
    'Whether configuration backups happen: absence first, then outcomes, time, capacity, storage, trust.',
  back: '24h',
  variables: collectorVariables,
  sections: [now, absence, outcomes, time, capacity, storage, trust],
});
