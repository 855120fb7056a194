import type { LabelVariable } from './model.ts';

/** Picks the collectors that are chosen at the top of the dashboard. */
export const chosen = 'job=~"$job", instance=~"$instance"';

/** Due times that outlive a dead collector; a recording rule of config/prometheus. */
export const knownDue = `job_instance_device:roundsman_device_backup_due_timestamp_seconds:known{${chosen}}`;

export const collectorVariables: readonly LabelVariable[] = [
  { name: 'job', label: 'Job', query: 'label_values(roundsman_build_info, job)', many: false },
  {
    name: 'instance',
    label: 'Collector',
    query: 'label_values(roundsman_build_info{job=~"$job"}, instance)',
    many: true,
  },
];

/** Events in a minute: rates of a nightly job in events per second are unreadably small. */
export function perMinute(by: string, selector: string): string {
  return `60 * sum by (${by}) (rate(${selector}[$__rate_interval]))`;
}

/** A quantile of a histogram; `by` names further labels to keep, with a comma in front. */
export function quantile(q: number, by: string, name: string): string {
  return `histogram_quantile(${q}, sum by (le${by}) (rate(${name}_bucket{${chosen}}[$__rate_interval])))`;
}
