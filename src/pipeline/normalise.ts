import type { Driver, VolatileRule } from '../drivers/driver.ts';
import { anyOf, linesOf, nextMatch, textOf, withFlags } from './lines.ts';
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
  const { masks, isMasked, drops, ofBlocks, beginsBlock } = compiledRules(platform.volatile, inHa);
  // Masks first: what a mask makes of a line decides whether it is dropped, now and the next time alike.
  let lines = linesOf(text);
  if (text.includes('\r')) lines = lines.map(withoutReturns);
  if (lines.some(isMasked)) for (const rule of masks) lines = maskLines(platform, lines, rule);
  for (const drop of drops) {
    lines =
      typeof drop === 'function'
        ? lines.filter((line) => !drop(line))
        : without(lines, markDropped(lines, drop, null));
  }
  return textOf(lines.some(beginsBlock) ? dropByOutline(platform, lines, ofBlocks) : lines);
}

/** The rules of a driver, ready to be asked: most match nothing in a text, which takes one question for all of them. */
interface CompiledRules {
  readonly masks: readonly VolatileRule[];
  /** Whether a mask matches a line. */
  readonly isMasked: (line: string) => boolean;
  /** What is dropped wherever it stands, in order: lines that match, or spans by their rule. */
  readonly drops: readonly (((line: string) => boolean) | VolatileRule)[];
  /** What is dropped in a part of the configuration, or is one. */
  readonly ofBlocks: readonly VolatileRule[];
  /** Whether one of these matches a line. */
  readonly beginsBlock: (line: string) => boolean;
}

const compiled = new WeakMap<readonly VolatileRule[], Map<boolean, CompiledRules>>();

function compiledRules(volatile: readonly VolatileRule[], inHa: boolean): CompiledRules {
  const known = compiled.get(volatile) ?? new Map<boolean, CompiledRules>();
  compiled.set(volatile, known);
  const made = known.get(inHa) ?? compile(volatile.filter((rule) => inHa || rule.inHa !== true));
  known.set(inHa, made);
  return made;
}

function compile(rules: readonly VolatileRule[]): CompiledRules {
  const anyRule = (some: readonly VolatileRule[]) => anyOf(some.map(({ line }) => line));
  const masks = rules.filter(({ act }) => act === 'mask');
  const ofBlocks = rules.filter(
    (rule) => rule.act === 'drop-block' || (rule.act === 'drop' && isForBlocks(rule)),
  );
  const drops: (((line: string) => boolean) | VolatileRule)[] = [];
  let ofLines: VolatileRule[] = [];
  const together = (): void => {
    if (ofLines.length > 0) drops.push(anyRule(ofLines));
    ofLines = [];
  };
  for (const rule of rules) {
    if (rule.act !== 'drop' || isForBlocks(rule)) continue;
    if (rule.until === undefined) ofLines.push(rule);
    else {
      // A span ends at a line that a later rule drops.
      together();
      drops.push(rule);
    }
  }
  together();
  return { masks, isMasked: anyRule(masks), drops, ofBlocks, beginsBlock: anyRule(ofBlocks) };
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
function dropByOutline(driver: VolatileRules, lines: string[], ofBlocks: readonly VolatileRule[]): string[] {
  const rules = ofBlocks.filter((rule) => {
    const begins = withFlags(rule.line, '');
    return lines.some((line) => begins.test(line));
  });
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
