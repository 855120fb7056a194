import { type Definition, everyMetric, type LabelValues } from '../src/metrics/definitions.ts';

/** docs/metrics.md: every metric, in the order of the definitions. */
export function metricsPage(): string {
  const all = everyMetric();
  const sections: readonly (readonly [title: string, prefix: RegExp])[] = [
    ['This build', /^roundsman_build_/],
    ['Inventory and credentials', /^roundsman_(inventory|ssh|credentials)_/],
    ['Scheduler and workers', /^roundsman_(scheduler|workers)/],
    ['Backups', /^roundsman_backup_/],
    ['Changes told by syslog', /^roundsman_(change|syslog)_/],
    ['Devices', /^roundsman_device_/],
    ['Archives', /^roundsman_archive_/],
    ['Storage', /^roundsman_(git|spool|state_dir)_/],
    ['HTTP', /^roundsman_http_/],
    ['Audit chain and log', /^roundsman_(audit|log)_/],
  ];
  const tables = sections.map(([title, prefix]) => {
    const rows = all.filter(([name]) => prefix.test(name)).map(([name, definition]) => row(name, definition));
    return `## ${title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  return [head, ...tables, labelLists(), tail].join('\n');
}

function row(name: string, { type, labels, help, buckets, perDevice }: Definition): string {
  const notes = [
    help.endsWith('.') ? help : `${help}.`,
    buckets === undefined ? '' : `Buckets up to ${buckets.at(-1)} s.`,
    perDevice === 'full' ? 'Not with `device_detail: minimal`.' : '',
  ];
  return `| \`${name}\` | ${type} | ${Object.keys(labels).join(', ')} | ${notes.filter((note) => note !== '').join(' ')} |`;
}

/** Each closed list once; `reason` has more than one. */
function labelLists(): string {
  const lists = new Map<string, { readonly values: LabelValues; readonly of: string[] }>();
  for (const [name, { labels }] of everyMetric()) {
    for (const [label, values] of Object.entries(labels)) {
      const key = `${label} ${String(values)}`;
      const list = lists.get(key) ?? { values, of: [] };
      list.of.push(name);
      lists.set(key, list);
    }
  }
  const rows = [...lists].flatMap(([key, { values, of }]) => {
    if (typeof values === 'string') return [];
    const where = of.length > 2 ? '' : ` of ${of.map((name) => `\`${name}\``).join(', ')}`;
    const said =
      values.length > 20
        ? 'the codes of [errors.md](errors.md)'
        : values.map((value) => `\`${value}\``).join(' ');
    return [`| \`${key.split(' ')[0]}\`${where} | ${said} |`];
  });
  return `## Label values\n\n\`platform\` is the id of a driver. The other closed lists:\n\n| label | values |\n|---|---|\n${rows.join('\n')}\n`;
}

const head = `# Metrics

<!-- Written by \`npm run docs\` from src/metrics/definitions.ts. -->

Scrape \`/metrics\`, text format 0.0.4. Names and label values are kept: dashboards and alerts hold on to them.

- Series of a device carry \`device\` alone; facts about it are labels of \`roundsman_device_info\`, for joins:
  \`… * on (job, instance, device) group_left (platform, group) roundsman_device_info\`.
- Counters begin at 0 for every combination of known label values, so that \`increase()\` sees the first event.
- Counters of runs, failures and missed slots continue over restarts, from totals in the ledger. After a downtime that is
  longer than the window of \`increase()\` compare with the last known value instead; \`ConfigBackupRunsMissed\` in
  config/prometheus/roundsman.rules.yml shows how.
- Gauges of devices come from the ledger: a restart changes none of them. A device that left the inventory is gone at the
  next scrape.
- \`metrics.device_detail: minimal\` leaves 6 of some 20 series per device: those that the alert rules read; and two
  of three for each archive.
- Metrics of the process (\`process_…\`, \`nodejs_…\`) are those of prom-client.
`;

const tail = `## Alerts and dashboards

Rules, their tests and examples for Prometheus and Alertmanager: config/prometheus/. Dashboards and how to provision them:
config/grafana/. What to do when an alert fires: [runbooks/](runbooks/).
`;
