import type { Driver, VolatileRule } from '../drivers/driver.ts';
import { linesOf, nextMatch, textOf, withFlags } from './lines.ts';

const volatileToken = '<volatile>';

/**
 * `text` without what differs between two captures of a device that nobody changed, by the driver's
 * `volatile` rules. Every line ends in a line feed. A span that never closes stays: dropping it would
 * hide the rest of the configuration.
 */
export function normalise(driver: Driver, text: string): string {
  // Masks first: what a mask makes of a line decides whether it is dropped, now and the next time alike.
  let lines = linesOf(text);
  for (const rule of driver.volatile) if (rule.act === 'mask') lines = maskLines(lines, rule);
  for (const rule of driver.volatile) if (rule.act === 'drop') lines = dropLines(lines, rule);
  return textOf(lines);
}

function maskLines(lines: readonly string[], rule: VolatileRule): string[] {
  const pattern = withFlags(rule.line, 'd');
  return lines.map((line) => {
    const range = pattern.exec(line)?.indices?.groups?.volatile;
    if (range === undefined) return line;
    const [start, end] = range;
    const known = line.indexOf(volatileToken);
    if (known !== -1 && start < known + volatileToken.length && end > known) return line;
    return line.slice(0, start) + volatileToken + line.slice(end);
  });
}

function dropLines(lines: readonly string[], rule: VolatileRule): string[] {
  const { until } = rule;
  const begins = withFlags(rule.line, '');
  if (until === undefined) return lines.filter((line) => !begins.test(line));
  const kept: string[] = [];
  let ends: Int32Array | null = null;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (begins.test(line)) {
      ends ??= nextMatch(lines, until);
      const last = ends[index + 1] ?? -1;
      if (last !== -1) {
        index = last;
        continue;
      }
    }
    kept.push(line);
  }
  return kept;
}
