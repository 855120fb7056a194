import type { Block, SecretKind } from '../drivers/driver.ts';
import type { Hider } from './hider.ts';
import { textOf, withFlags } from './lines.ts';
import { isMasked } from './mask.ts';
import { compiledRules, everyLine, insideOf, type Scope, type SecretRules, scopeOf } from './secret-rules.ts';
import { shapes } from './shapes.ts';
import type { Steps } from './turns.ts';

/** Made once: to make an expression costs more than to ask it. */
const compiledShapes = shapes.map(({ name, hint, pattern, kind, rotates }) => ({
  ...{ name, hint, kind, rotates },
  plain: withFlags(pattern, ''),
  pattern: withFlags(pattern, 'dg'),
}));

export type CompiledShape = (typeof compiledShapes)[number];

/** Those that may be found in `text`: in most texts one or two of them. */
export function shapesIn(text: string): readonly CompiledShape[] {
  return compiledShapes.filter(({ hint }) => hint.test(text));
}

/** Where a secret of a certain kind stands in a line. */
interface LineMatcher {
  /** Without flags that keep state. */
  readonly plain: RegExp;
  /** With `d` and `g`. */
  readonly pattern: RegExp;
  readonly kind: SecretKind;
  readonly rotates: boolean;
  readonly scope: Scope;
}

/** The lines of a text, and everything that may be asked about each of them. */
export interface Suspects {
  readonly lines: readonly string[];
  /**
   * By line: 1 where no rule matches and none begins; 2 where one does that applies in sections that the line is not in;
   * else 0. What is 2 is asked again in the next round: a secret can hide from the outline where a block ends.
   */
  readonly innocent: Uint8Array;
  readonly matchers: readonly LineMatcher[];
}

/** What is known of a text before. */
export interface Draft {
  readonly lines: readonly string[];
  /** The same as one; null where nobody has put it together. */
  readonly text: string | null;
  /** 1 by line that need not be asked again (see `Suspects`); null: nothing is known. */
  readonly innocent: Uint8Array | null;
}

/** Lines between two steps. */
const linesAStep = 10_000;

/** `everywhere`: rules apply outside of their sections too. */
export function* suspectsIn(
  driver: SecretRules,
  { lines, text, innocent }: Draft,
  everywhere: boolean,
): Steps<Suspects> {
  let blocks: readonly Block[] | null = null;
  const outline = (): readonly Block[] => {
    blocks ??= driver.outline(text ?? textOf(lines));
    return blocks;
  };
  const { ofLines, anywhere, inSections, sections } = compiledRules(driver);
  const asked = innocent === null ? lines : lines.filter((_line, index) => innocent[index] !== 1);
  const possible = shapesIn(text ?? asked.join('\n'));
  const inside = everywhere ? everyLine : insideOf(sections, lines, outline);
  const innocenceOf = (line: string, index: number): 0 | 1 | 2 => {
    if (anywhere(line) || possible.some(({ hint, plain }) => hint.test(line) && plain.test(line))) return 0;
    // To know sections the whole text is outlined: only where some rule asks for it.
    if (!inSections(line)) return 1;
    return inside.holds(index) ? 0 : 2;
  };
  const cleared = new Uint8Array(lines.length);
  for (let index = 0; index < lines.length; index++) {
    cleared[index] = innocent?.[index] === 1 ? 1 : innocenceOf(lines[index] ?? '', index);
    if (index % linesAStep === linesAStep - 1) yield;
  }
  return {
    lines,
    innocent: cleared,
    matchers: [
      ...ofLines.map(({ rule, plain, pattern }) => ({
        ...{ plain, pattern, kind: rule.kind, rotates: rule.rotates ?? false },
        scope: everywhere ? everyLine : scopeOf(rule, lines, outline),
      })),
      ...possible.map(({ plain, pattern, kind, rotates }) => {
        return { plain, pattern, kind, rotates, scope: everyLine };
      }),
    ],
  };
}

/** The lines, with every secret hidden that stands in one of them. */
export function hideInLines({ lines, innocent, matchers }: Suspects, hider: Hider): readonly string[] {
  // Rules look at the lines as they were: what one line becomes is no other line's business.
  return lines.map((original, index) => {
    if (innocent[index] !== 0) return original;
    let line = original;
    for (const { plain, pattern, kind, rotates, scope } of matchers) {
      // Telling where a group stands costs many times as much as telling that it stands somewhere.
      if (!plain.test(line) || (scope.isKnown() && !scope.holds(index))) continue;
      const ranges = secretRanges(line, pattern);
      if (ranges.length === 0 || !scope.holds(index)) continue;
      line = replaced(line, ranges, (secret) => hider.hide(secret, kind, rotates));
    }
    return line;
  });
}

/** `line` with each range replaced: put together once, because a line of a megabyte may hold a secret in every word. */
function replaced(line: string, ranges: readonly [number, number][], by: (secret: string) => string): string {
  const parts: string[] = [];
  let copied = 0;
  for (const [start, end] of ranges) {
    parts.push(line.slice(copied, start), by(line.slice(start, end)));
    copied = end;
  }
  parts.push(line.slice(copied));
  return parts.join('');
}

/** Where `pattern` (flags `d` and `g`) finds secrets in `line` that are not masked yet; first to last, never overlapping. */
export function secretRanges(line: string, pattern: RegExp): [number, number][] {
  const ranges: [number, number][] = [];
  let tokens: readonly Token[] | null = null;
  for (const match of line.matchAll(pattern)) {
    const range = match.indices?.groups?.secret;
    if (range === undefined) continue;
    tokens ??= tokensIn(line);
    const [start, end] = aroundTokens(tokens, range);
    if (start >= (ranges.at(-1)?.[1] ?? 0) && !isMasked(line.slice(start, end))) ranges.push([start, end]);
  }
  return ranges;
}

/** Where one of our tokens stands. */
interface Token {
  readonly start: number;
  readonly end: number;
}

function tokensIn(line: string): readonly Token[] {
  return Array.from(line.matchAll(/<secret:[0-9a-z]+>/g), ({ index, 0: found }) => ({
    start: index,
    end: index + found.length,
  }));
}

/** The range, grown where it would cut one of our tokens in two. */
function aroundTokens(tokens: readonly Token[], [from, to]: [number, number]): [number, number] {
  const first = tokenAt(tokens, from);
  const last = tokenAt(tokens, to);
  return [first?.start ?? from, last?.end ?? to];
}

/** The token that `at` lies inside of; null where it lies in none, or on an edge. */
function tokenAt(tokens: readonly Token[], at: number): Token | null {
  let [low, high] = [0, tokens.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((tokens[middle]?.end ?? at) > at) high = middle;
    else low = middle + 1;
  }
  const found = tokens[low];
  return found !== undefined && found.start < at ? found : null;
}
