import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { dashboardFiles } from '../../scripts/dashboards/dashboards.ts';
import { createMetrics } from '../../src/metrics/render.ts';
import { describeWith } from '../support/system.ts';
import { declared, device, options } from './fleet.ts';
import { recorded, root, textOf, unknownNames } from './promql.ts';

interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: unknown;
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: unknown;
  }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
}

interface DashboardJson {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly PanelJson[];
  readonly templating: {
    readonly list: readonly { name: string; type: string; definition?: string; datasource?: unknown }[];
  };
}

const files = dashboardFiles();
const dashboards = files.map(([file, text]) => [file, JSON.parse(text) as DashboardJson] as const);
const panels = dashboards.flatMap(([file, { panels: all }]) =>
  all.filter(({ type }) => type !== 'row').map((panel) => ({ ...panel, name: `${file}: ${panel.title}` })),
);
const expressions = [
  ...panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr)),
  ...dashboards.flatMap(([, { templating }]) =>
    templating.list.flatMap(({ definition }) => definition?.match(/^label_values\((.+), \w+\)$/)?.[1] ?? []),
  ),
];
const source = { type: 'prometheus', uid: '$datasource' };

/** With what Grafana would put in place of its variables. */
function substituted(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '2m')
    .replaceAll('$job', 'roundsman')
    .replaceAll('$instance', '.+')
    .replaceAll('$device', 'fw1');
}

describe('dashboards', () => {
  it.each(files)('%s is what scripts/write-dashboards.ts writes', (file, text) => {
    expect(textOf(file)).toBe(text);
  });

  it('are all there are, each under its fixed uid', () => {
    expect(readdirSync(`${root}config/grafana/dashboards`).sort()).toEqual([
      'roundsman-device.json',
      'roundsman-overview.json',
    ]);
    for (const [file, { uid, schemaVersion }] of dashboards) {
      expect(file).toBe(`config/grafana/dashboards/${uid}.json`);
      expect(schemaVersion).toBe(42);
    }
  });

  it.each(dashboards)('%s has one data source variable, and job and instance', (_, { templating }) => {
    expect(templating.list.filter(({ type }) => type === 'datasource').map(({ name }) => name)).toEqual([
      'datasource',
    ]);
    expect(templating.list.map(({ name }) => name)).toEqual(expect.arrayContaining(['job', 'instance']));
    for (const { type, datasource } of templating.list) {
      if (type === 'query') expect(datasource).toEqual(source);
    }
  });

  it.each(panels)('$name has a title, a description, a unit and that data source', (panel) => {
    expect(panel.title).not.toBe('');
    expect(panel.description ?? '').toMatch(/^[A-Z1-9].+\.$/);
    expect(panel.fieldConfig?.defaults.unit ?? '').not.toBe('');
    expect([panel.datasource, ...(panel.targets ?? []).map(({ datasource }) => datasource)]).toEqual(
      Array((panel.targets?.length ?? 0) + 1).fill(source),
    );
    expect(panel.targets?.length).toBeGreaterThan(0);
  });

  it.each(dashboards)(
    '%s has panels that do not overlap and leave the grid nowhere',
    (_, { panels: all }) => {
      const cells = new Set<string>();
      for (const { title, gridPos } of all) {
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            expect(cells.has(`${x},${y}`), title).toBe(false);
            cells.add(`${x},${y}`);
          }
        }
      }
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    },
  );

  it('ask only for metrics that exist', async () => {
    expect(expressions.flatMap(unknownNames)).toEqual([]);
    const text = await createMetrics(options(() => [device('fw1')])).render();
    const known = new Set([...declared(text), 'up']);
    for (const name of expressions.join(' ').match(/\b(?:nodejs|process)_\w+|\bup(?=\{)/g) ?? []) {
      expect(known.has(name), name).toBe(true);
    }
  });

  it('choose collectors in every selector, and rates by the interval of the scrape', () => {
    for (const expr of panels.flatMap(({ targets }) => (targets ?? []).map((target) => target.expr))) {
      const selectors = expr.match(/\b(?:\w+:)?(?:roundsman|nodejs|process)_\w+(?::\w+)?|\bup(?=\{)/g) ?? [];
      const choosing = expr.match(/\{job=~"\$job", instance=~"\$instance"/g) ?? [];
      expect(choosing.length, expr).toBe(selectors.length);
      for (const [, range] of expr.matchAll(/rate\(\w+\{[^{}]*\}\[([^\]]+)\]/g))
        expect(range).toBe('$__rate_interval');
    }
  });
});

describe('provisioning', () => {
  it('is YAML that names one data source and where the dashboards lie', () => {
    const sources = load(textOf('config/grafana/provisioning/datasources/prometheus.yml')) as {
      apiVersion: number;
      datasources: { type: string; isDefault: boolean }[];
    };
    expect(sources.apiVersion).toBe(1);
    expect(sources.datasources.map(({ type, isDefault }) => [type, isDefault])).toEqual([
      ['prometheus', true],
    ]);
    const providers = load(textOf('config/grafana/provisioning/dashboards/roundsman.yml')) as {
      apiVersion: number;
      providers: { type: string; options: { path: string } }[];
    };
    expect(providers.apiVersion).toBe(1);
    expect(providers.providers.map(({ type, options: { path } }) => [type, path])).toEqual([
      ['file', '/var/lib/grafana/dashboards'],
    ]);
  });
});

describeWith('promtool', 'every query of the dashboards', (promtool) => {
  function check(queries: readonly string[]) {
    const dir = mkdtempSync(join(tmpdir(), 'roundsman-promql-'));
    try {
      const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr: substituted(expr) }));
      // JSON is YAML.
      writeFileSync(join(dir, 'queries.yml'), JSON.stringify({ groups: [{ name: 'queries', rules }] }));
      return spawnSync(promtool, ['check', 'rules', join(dir, 'queries.yml')], { encoding: 'utf8' });
    } finally {
      rmSync(dir, { recursive: true });
    }
  }

  it('is PromQL', () => {
    expect(recorded.length).toBeGreaterThan(0);
    const { status, stdout, stderr } = check(expressions);
    expect([status, stdout + stderr]).toEqual([
      0,
      expect.stringContaining(`${expressions.length} rules found`),
    ]);
  });

  it('would not pass as text', () => {
    expect(check(['sum by (x (up)']).status).not.toBe(0);
  });
});
