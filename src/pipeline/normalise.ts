import type { Driver, VolatileRule } from '../drivers/driver.ts';
import { linesOf, nextMatch, textOf, withFlags } from './lines.ts';
import { linesOfBlocks, outermost } from './sections.ts';

const volatileToken = '<volatile>';

/** What normalising needs to know of a driver. */
type VolatileRules = Pick<Driver, 'volatile' | 'outline'>;

/**
 * `text` without what differs between two captures of a device that nobody changed, by the driver's
 * `volatile` rules; those for members of an HA group only with `inHa`. Every line ends in a line feed, without the CR
 * before it that a file may have and a terminal's answer has not. A span that never closes stays: dropping it would hide
 * the rest of the configuration. So does what the outline does not know as a block.
 */
export function normalise(platform: VolatileRules, text: string, inHa = false): string {
  const driver = {
    outline: platform.outline,
    volatile: platform.volatile.filter((rule) => inHa || rule.inHa !== true),
  };
  // Masks first: what a mask makes of a line decides whether it is dropped, now and the next time alike.
  let lines = linesOf(text);
  if (text.includes('\r')) lines = lines.map(withoutReturns);
  for (const rule of driver.volatile) if (rule.act === 'mask') lines = maskLines(driver, lines, rule);
  for (const rule of driver.volatile) {
    if (rule.act !== 'drop' || isForBlocks(rule)) continue;
    lines = without(lines, markDropped(lines, rule, null));
  }
  return textOf(dropByOutline(driver, lines));
}

function withoutReturns(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === '\r') end--;
  return end === line.length ? line : line.slice(0, end);
}

/** Whether a rule to drop lines is for a part of the configuration. */
function isForBlocks({ inSection, within }: VolatileRule): boolean {
  return inSection !== undefined || within !== undefined;
}

function maskLines(driver: VolatileRules, lines: readonly string[], rule: VolatileRule): string[] {
  const pattern = withFlags(rule.line, 'd');
  const inside =
    rule.inSection === undefined ? null : linesOfBlocks(rule.inSection, lines, driver.outline(textOf(lines)));
  return lines.map((line, index) => {
    if (inside !== null && inside[index] !== 1) return line;
    const range = pattern.exec(line)?.indices?.groups?.volatile;
    if (range === undefined) return line;
    const [start, end] = range;
    const known = line.indexOf(volatileToken);
    if (known !== -1 && start < known + volatileToken.length && end > known) return line;
    return line.slice(0, start) + volatileToken + line.slice(end);
  });
}

/** 1 by line for what the rule drops; `inside` (1 by line) limits where it may begin. */
function markDropped(lines: readonly string[], rule: VolatileRule, inside: Uint8Array | null): Uint8Array {
  const begins = withFlags(rule.line, '');
  const marks = new Uint8Array(lines.length);
  let ends: Int32Array | null = null;
  for (let index = 0; index < lines.length; index++) {
    if ((inside !== null && inside[index] !== 1) || !begins.test(lines[index] ?? '')) continue;
    let last = index;
    if (rule.until !== undefined) {
      ends ??= nextMatch(lines, rule.until);
      last = ends[index + 1] ?? -1;
      if (last === -1) continue;
    }
    marks.fill(1, index, last + 1);
    index = last;
  }
  return marks;
}

/** Rules for a part of the configuration all look at the same outline: it is drawn once, and only for them. */
function dropByOutline(driver: VolatileRules, lines: string[]): string[] {
  const rules = driver.volatile.filter((rule) => {
    if (rule.act === 'mask' || (rule.act === 'drop' && !isForBlocks(rule))) return false;
    const begins = withFlags(rule.line, '');
    return lines.some((line) => begins.test(line));
  });
  if (rules.length === 0) return lines;
  const blocks = driver.outline(textOf(lines));
  const dropped = new Uint8Array(lines.length);
  for (const rule of rules) {
    const inside = rule.within?.(textOf(lines)) ?? blocks;
    const marks =
      rule.act === 'drop-block'
        ? linesOfBlocks(rule.line, lines, outermost(blocks))
        : markDropped(lines, rule, linesOfBlocks(rule.inSection ?? /^/, lines, inside));
    for (const [index, mark] of marks.entries()) if (mark === 1) dropped[index] = 1;
  }
  return without(lines, dropped);
}

function without(lines: string[], dropped: Uint8Array): string[] {
  if (!dropped.includes(1)) return lines;
  return lines.filter((_line, index) => dropped[index] !== 1);
}
