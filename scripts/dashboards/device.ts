import { chosen, collectorVariables } from './common.ts';
import { badFrom, dashboard, lines, type Section, stat, stateTimeline, table } from './model.ts';

const one = `{${chosen}, device="$device"}`;

/** An instant of the past or the future, as Grafana wants it: milliseconds; nothing where it never was. */
function at(name: string): string {
  return `1000 * (${name}${one} > 0)`;
}

const now: Section = {
  title: 'Now',
  panels: [
    stat({
      title: 'Last success',
      description: 'When the newest good copy was made durable.',
      unit: 'dateTimeFromNow',
      width: 4,
      queries: [{ expr: at('roundsman_device_last_success_timestamp_seconds'), legend: 'last success' }],
      none: 'never',
    }),
    stat({
      title: 'Due',
      description: 'A good backup is expected by then. In the past: overdue.',
      unit: 'dateTimeFromNow',
      width: 4,
      queries: [{ expr: at('roundsman_device_backup_due_timestamp_seconds'), legend: 'due' }],
      none: 'disabled',
    }),
    stat({
      title: 'Next run',
      description: 'The next planned start.',
      unit: 'dateTimeFromNow',
      width: 4,
      queries: [{ expr: at('roundsman_device_next_run_timestamp_seconds'), legend: 'next run' }],
      none: 'disabled',
    }),
    stat({
      title: 'Failures in a row',
      description: 'Failed or missed runs since the last success.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `roundsman_device_consecutive_failures${one}`, legend: 'failures' }],
      thresholds: badFrom(1),
    }),
    stat({
      title: 'Last change',
      description: 'When a changed configuration was last committed.',
      unit: 'dateTimeFromNow',
      width: 4,
      queries: [{ expr: at('roundsman_device_last_change_timestamp_seconds'), legend: 'last change' }],
      none: 'never',
    }),
    stat({
      title: 'Restorable',
      description: 'Whether the last good copy is enough to rebuild the device from.',
      unit: 'short',
      width: 4,
      queries: [{ expr: `roundsman_device_restorable${one}`, legend: 'restorable' }],
      thresholds: [
        ['red', null],
        ['orange', 0.5],
        ['green', 1],
      ],
      words: { '0': 'no', '0.5': 'partial', '1': 'yes' },
    }),
    table({
      title: 'Facts',
      description: 'What the inventory says, and why the last attempt failed where it did.',
      unit: 'short',
      width: 24,
      queries: [
        { expr: `max by (instance, device, group, platform) (roundsman_device_info${one})` },
        { expr: `max by (instance, device) (roundsman_device_expected_interval_seconds${one})` },
        { expr: `max by (instance, device) (roundsman_device_enabled${one})` },
        { expr: `max by (instance, device, reason) (roundsman_device_last_failure_info${one})` },
        {
          expr: `1000 * max by (instance, device) (roundsman_device_last_attempt_timestamp_seconds${one} > 0)`,
        },
      ],
      columns: [
        { field: 'device', title: 'Device' },
        { field: 'group', title: 'Group' },
        { field: 'platform', title: 'Platform' },
        { field: 'Value #B', title: 'Interval', unit: 's' },
        { field: 'Value #C', title: 'Enabled', unit: 'bool_yes_no' },
        { field: 'Value #E', title: 'Last attempt', unit: 'dateTimeAsIso' },
        { field: 'reason', title: 'Last failure' },
        { field: 'instance', title: 'Collector' },
      ],
      sortBy: 'Device',
      none: '-',
    }),
  ],
};

const history: Section = {
  title: 'History',
  panels: [
    stateTimeline({
      title: 'State',
      description: 'The state that the device was in. A gap is a collector that did not answer.',
      unit: 'short',
      width: 24,
      query: { expr: `sum by (state) (roundsman_device_state${one}) == 1`, legend: '{{state}}' },
      colours: {
        ok: 'green',
        late: 'yellow',
        failing: 'red',
        missed: 'dark-red',
        quarantined: 'purple',
        never: 'orange',
        disabled: 'gray',
      },
    }),
    lines({
      title: 'Size of the configuration',
      description: 'Of the stored copy. A step down that nobody made deserves a look.',
      unit: 'bytes',
      width: 8,
      queries: [{ expr: `roundsman_device_config_size_bytes${one}`, legend: 'size' }],
    }),
    lines({
      title: 'Duration',
      description: 'Of the last attempt.',
      unit: 's',
      width: 8,
      queries: [{ expr: `roundsman_device_last_duration_seconds${one}`, legend: 'duration' }],
    }),
    lines({
      title: 'Outcome of the last attempt',
      description: '1 while the last attempt was good, beside the failures in a row.',
      unit: 'short',
      width: 8,
      queries: [
        { expr: `roundsman_device_last_attempt_successful${one}`, legend: 'good' },
        { expr: `roundsman_device_consecutive_failures${one}`, legend: 'failures in a row' },
      ],
    }),
  ],
};

/** One device. */
export const device = dashboard({
  uid: 'roundsman-device',
  title: 'Roundsman / Device',
  description: 'One device: what it is like now, and how it came to that.',
  back: '7d',
  variables: [
    ...collectorVariables,
    {
      name: 'device',
      label: 'Device',
      query: 'label_values(roundsman_device_info{job=~"$job", instance=~"$instance"}, device)',
      many: false,
    },
  ],
  sections: [now, history],
});
