import type { Facts } from '../core/device.ts';
import { clip, decodeBytes, harmless } from '../core/display.ts';
import type { Capture, Driver, FactName, FactRule } from '../drivers/driver.ts';
import { linesOf, withFlags } from './lines.ts';

type Captures = ReadonlyMap<string, Capture>;

/** Facts go into trailers, tables and labels. */
export const longestFact = 120;
/** More serial numbers than a cluster has members: what a device may claim is bounded. */
export const mostSerials = 64;

/** What the device tells of itself, harmless to show. Rules are asked in order; the first match wins. */
export function factsOf(driver: Driver, captures: Captures): Facts {
  const first = (fact: FactName): string | null => {
    for (const rule of driver.facts) {
      if (rule.fact !== fact) continue;
      const value = valuesOf(rule, captures, 1)[0];
      if (value !== undefined) return value;
    }
    return null;
  };
  return {
    hostname: first('hostname'),
    version: first('version'),
    model: first('model'),
    serial: first('serial'),
    changedBy: first('changed-by'),
    changedAt: first('changed-at'),
  };
}

/** Every serial number that the device named, its own first; at most 64. */
export function serialsOf(driver: Driver, captures: Captures): readonly string[] {
  const rules = driver.facts.filter((rule) => rule.fact === 'serial');
  const serials = new Set(rules.flatMap((rule) => valuesOf(rule, captures, mostSerials)));
  return [...serials].slice(0, mostSerials);
}

function valuesOf(rule: FactRule, captures: Captures, limit: number): string[] {
  const capture = captures.get(rule.from);
  if (capture === undefined) return [];
  const pattern = withFlags(rule.line, '');
  const values: string[] = [];
  for (const line of linesOf(capture.text)) {
    const raw = pattern.exec(line)?.groups?.value;
    if (raw === undefined) continue;
    const value = clip(harmless(decodeBytes(raw).trim()), longestFact);
    if (value !== '') values.push(value);
    if (values.length >= limit) break;
  }
  return values;
}
