import type { Block, Driver, SecretKind, SecretRule } from '../drivers/driver.ts';
import { hideByValue, shortest } from './by-value.ts';
import { anyOf, linesOf, nest, nextMatch, textOf, withFlags } from './lines.ts';
import { isMasked, type Mask } from './mask.ts';
import { linesOfBlocks } from './sections.ts';
import { isEncryptedPem, pemKeys, pemName, shapes } from './shapes.ts';

/** What redaction needs to know of a driver. */
export type SecretRules = Pick<Driver, 'secrets' | 'outline'>;

/** Text without secrets, and how many were hidden. */
export interface Redacted {
  readonly text: string;
  readonly secrets: number;
}

/** A secret that got past every rule: which shape it has, and in which line (1-based). */
export interface Leak {
  readonly rule: string;
  readonly line: number;
}

/** Masking one secret can lay another open to a rule; more rounds than this no rule of ours needs. */
const mostRounds = 4;

/**
 * `text` (normalised, one character per byte) with every secret replaced by a fingerprint: by the
 * driver's rules, then by what secrets look like anywhere, then wherever a value of eight characters
 * or more that was found stands again, or one of `known`: the session's own secrets, which a device may show in a
 * banner. Redacting twice changes nothing. `mask` is per device.
 */
export function redact(
  driver: SecretRules,
  text: string,
  mask: Mask,
  known: readonly string[] = [],
): Redacted {
  return redactWith(driver, text, mask, false, known);
}

/** `everywhere`: rules apply outside of their sections too, for text that has lost its beginning. */
export function redactWith(
  driver: SecretRules,
  text: string,
  mask: Mask,
  everywhere: boolean,
  known: readonly string[] = [],
): Redacted {
  const hider = new Hider(mask);
  let current = text;
  for (let round = 0; round < mostRounds; round++) {
    const before = hider.secrets;
    current = hideSpans(driver, current, hider, everywhere);
    current = hidePemKeys(current, hider);
    current = hideInLines(driver, current, hider, everywhere);
    // The last round finds nothing: it is the proof that the rules are content with their own result.
    if (hider.secrets === before) break;
  }
  for (const value of known) current = hider.hideKnown(current, value);
  const repeated = hideByValue(current, hider.found, () => grammarOf(driver, current));
  return { text: repeated.text, secrets: hider.secrets + repeated.hidden };
}

/** The first thing in `text` that looks like a secret; null where there is none. */
export function leaks(text: string): Leak | null {
  const key = pemKeys(text)[0];
  if (key !== undefined) {
    return { rule: pemName, line: text.slice(0, key.start).split('\n').length };
  }
  const patterns = shapes.map((shape) => ({ rule: shape.name, pattern: withFlags(shape.pattern, 'dg') }));
  const suspicious = anyOf(shapes.map((shape) => shape.pattern));
  for (const [index, line] of linesOf(text).entries()) {
    if (!suspicious(line)) continue;
    for (const { rule, pattern } of patterns) {
      if (secretRanges(line, pattern).length > 0) return { rule, line: index + 1 };
    }
  }
  return null;
}

/** Replaces values by tokens and remembers which. */
class Hider {
  readonly found = new Map<string, string>();
  secrets = 0;
  readonly #mask: Mask;
  /** By kind and value: one key on ten thousand lines costs one fingerprint. */
  readonly #tokens = new Map<string, string>();

  constructor(mask: Mask) {
    this.#mask = mask;
  }

  /** A credential of ours, inside of other words too. One that is a word of the language may be one of the grammar. */
  hideKnown(text: string, value: string): string {
    if (value.length < shortest) return text;
    const token = this.#mask.token('password', value, false);
    if (!this.found.has(value)) this.found.set(value, token);
    if (/^[a-z]+$/.test(value)) return text;
    const parts = text.split(value);
    this.secrets += parts.length - 1;
    return parts.join(token);
  }

  hide(value: string, kind: SecretKind, rotates: boolean): string {
    this.secrets++;
    const known = `${kind} ${rotates} ${value}`;
    const token = this.#tokens.get(known) ?? this.#mask.token(kind, value, rotates);
    this.#tokens.set(known, token);
    const bare = value.replace(/^["']|["']$/g, '');
    if (!this.found.has(bare)) this.found.set(bare, token);
    return token;
  }
}

/** Rules over several lines: from the secret in the first line to its end in the last one. */
function hideSpans(driver: SecretRules, text: string, hider: Hider, everywhere: boolean): string {
  let lines: string[] | null = null;
  for (const rule of driver.secrets) {
    if (rule.until === undefined) continue;
    lines ??= linesOf(text);
    lines = hideSpansOf(driver, rule, rule.until, lines, hider, everywhere);
  }
  return lines === null ? text : textOf(lines);
}

function hideSpansOf(
  driver: SecretRules,
  rule: SecretRule,
  until: RegExp,
  lines: string[],
  hider: Hider,
  everywhere: boolean,
): string[] {
  const begins = withFlags(rule.line, 'd');
  const closes = withFlags(until, 'd');
  let ends: Int32Array | null = null;
  let applies: ((line: number) => boolean) | null = null;
  const kept: string[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    const range = begins.exec(line)?.indices?.groups?.secret;
    const rest = line.slice(range?.[0]);
    // An empty rest is no reason to stop: the value may begin in the next line.
    if (range === undefined || (rest.trim() !== '' && isMasked(rest))) {
      kept.push(line);
      continue;
    }
    applies ??= everywhere ? () => true : scopeOf(rule, lines, () => driver.outline(textOf(lines)));
    if (!applies(index)) {
      kept.push(line);
      continue;
    }
    ends ??= nextMatch(lines, until);
    const closing = ends[index + 1] ?? -1;
    // A value that never closes is hidden to the end: half a key is a key.
    const last = closing === -1 ? lines.length - 1 : closing;
    const lastLine = lines[last] ?? '';
    const end = closing === -1 ? lastLine.length : endOfSecret(closes, lastLine);
    const value = [rest, ...lines.slice(index + 1, last), lastLine.slice(0, end)].join('\n');
    if (isMasked(value)) {
      kept.push(line);
      continue;
    }
    kept.push(
      line.slice(0, range[0]) + hider.hide(value, rule.kind, rule.rotates ?? false) + lastLine.slice(end),
    );
    index = last;
  }
  return kept;
}

function endOfSecret(closes: RegExp, line: string): number {
  return closes.exec(line)?.indices?.groups?.secret?.[1] ?? line.length;
}

function hidePemKeys(text: string, hider: Hider): string {
  const parts: string[] = [];
  let copied = 0;
  for (const { start, end } of pemKeys(text)) {
    const value = text.slice(start, end);
    // An encrypted one is encrypted anew at every display by FortiOS (Oxidized issues 931 and 3176).
    parts.push(text.slice(copied, start), hider.hide(value, 'private-key', isEncryptedPem(value)));
    copied = end;
  }
  if (parts.length === 0) return text;
  parts.push(text.slice(copied));
  return parts.join('');
}

interface LineMatcher {
  /** Without flags that keep state. */
  readonly plain: RegExp;
  /** With `d` and `g`. */
  readonly pattern: RegExp;
  readonly kind: SecretKind;
  readonly rotates: boolean;
  readonly applies: (line: number) => boolean;
}

function hideInLines(driver: SecretRules, text: string, hider: Hider, everywhere: boolean): string {
  const lines = linesOf(text);
  const matchers = lineMatchers(driver, text, lines, everywhere);
  const suspicious = anyOf(matchers.map((matcher) => matcher.plain));
  return textOf(
    lines.map((original, index) => {
      if (!suspicious(original)) return original;
      let line = original;
      for (const { plain, pattern, kind, rotates, applies } of matchers) {
        // Telling where a group stands costs many times as much as telling that it stands somewhere.
        if (!plain.test(line)) continue;
        const ranges = secretRanges(line, pattern);
        if (ranges.length === 0 || !applies(index)) continue;
        line = replaced(line, ranges, (secret) => hider.hide(secret, kind, rotates));
      }
      return line;
    }),
  );
}

function lineMatchers(
  driver: SecretRules,
  text: string,
  lines: readonly string[],
  everywhere: boolean,
): readonly LineMatcher[] {
  let blocks: readonly Block[] | null = null;
  const outline = (): readonly Block[] => {
    blocks ??= driver.outline(text);
    return blocks;
  };
  const always = (): boolean => true;
  const ofDriver = driver.secrets
    .filter((rule) => rule.until === undefined)
    .map((rule) => ({
      plain: withFlags(rule.line, ''),
      pattern: withFlags(rule.line, 'dg'),
      kind: rule.kind,
      rotates: rule.rotates ?? false,
      applies: everywhere ? always : scopeOf(rule, lines, outline),
    }));
  const ofShapes = shapes.map(({ pattern, kind, rotates }) => ({
    plain: withFlags(pattern, ''),
    pattern: withFlags(pattern, 'dg'),
    kind,
    rotates,
    applies: always,
  }));
  return [...ofDriver, ...ofShapes];
}

/** The lines that a rule applies to. */
function scopeOf(
  rule: SecretRule,
  lines: readonly string[],
  outline: () => readonly Block[],
): (line: number) => boolean {
  const inside = sectionOf(rule, lines, outline);
  const { exceptIn } = rule;
  if (exceptIn === undefined) return inside;
  let excepted: Uint8Array | null = null;
  return (line) => {
    excepted ??= linesOfBlocks(exceptIn, lines, outline());
    return excepted[line] !== 1 && inside(line);
  };
}

/**
 * With `inSection`: from a line that matches it to the end of the
 * innermost block that holds that line; to the end of the text where no block does, because then the
 * outline cannot be trusted.
 */
function sectionOf(
  rule: SecretRule,
  lines: readonly string[],
  outline: () => readonly Block[],
): (line: number) => boolean {
  const { inSection } = rule;
  if (inSection === undefined) return () => true;
  const section = withFlags(inSection, '');
  let inside: Uint8Array | null = null;
  const mark = (): Uint8Array => {
    const marks = new Uint8Array(lines.length);
    const blocks = outline();
    const { innermost } = nest(blocks, lines.length);
    let end = -1;
    for (let line = 0; line < lines.length; line++) {
      if (section.test(lines[line] ?? '')) {
        end = Math.max(end, blocks[innermost[line] ?? -1]?.lastLine ?? lines.length - 1);
      }
      marks[line] = line <= end ? 1 : 0;
    }
    return marks;
  };
  return (line) => {
    inside ??= mark();
    return inside[line] === 1;
  };
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
function secretRanges(line: string, pattern: RegExp): [number, number][] {
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

/** Words that name sections, begin a line or name a setting: the grammar of this configuration. */
function grammarOf(driver: SecretRules, text: string): ReadonlySet<string> {
  const words = new Set(driver.outline(text).flatMap((block) => block.section.split(' ')));
  for (const line of linesOf(text)) {
    const match = /^\s*(?:set\s+|unset\s+)?([a-z]+(?:-[a-z]+)*)(?=\s)/.exec(line);
    if (match?.[1] !== undefined) words.add(match[1]);
  }
  return words;
}
