import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import { type Definition, definitions } from '../../src/metrics/definitions.ts';

/** What a Prometheus rule file holds, as far as the tests look at it. */
export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A case of `promtool test rules`. */
export interface RuleCase {
  readonly name: string;
  readonly alert_rule_test: readonly {
    readonly alertname: string;
    readonly exp_alerts: readonly unknown[];
  }[];
}

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const prometheusDir = `${root}config/prometheus`;

export function textOf(file: string): string {
  return readFileSync(`${root}${file}`, 'utf8');
}

export const rules = (
  load(textOf('config/prometheus/roundsman.rules.yml')) as { groups: { rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules);

export const recorded: readonly string[] = rules.flatMap(({ record }) => record ?? []);
export const alerts = rules.flatMap((rule) =>
  rule.alert === undefined ? [] : [{ ...rule, alert: rule.alert }],
);

export const cases = (load(textOf('config/prometheus/roundsman.tests.yml')) as { tests: readonly RuleCase[] })
  .tests;

const series: ReadonlySet<string> = new Set(
  Object.entries<Definition>(definitions).flatMap(([name, { type }]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);

/** Names of ours in `text` that no metric and no recording rule has. */
export function unknownNames(text: string): readonly string[] {
  const names = text.match(/\b[a-z_]*:?roundsman_[a-z_]+(?::[a-z_]+)?\b/g) ?? [];
  return names.filter((name) => !series.has(name) && !recorded.includes(name));
}
