import type { Block, Driver, SecretKind, SecretRule } from '../drivers/driver.ts';
import { hideByValue, shortest } from './by-value.ts';
import { anyOf, linesOf, nest, nextMatch, textOf, withFlags } from './lines.ts';
import { isMasked, type Mask } from './mask.ts';
import { linesOfBlocks } from './sections.ts';
import { isEncryptedPem, pemKeys, pemName, shapes } from './shapes.ts';
import { atOnce, type Steps } from './turns.ts';

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
  return atOnce(redacting(driver, text, mask, everywhere, known));
}

/** The same in steps. */
export function* redacting(
  driver: SecretRules,
  text: string,
  mask: Mask,
  everywhere: boolean,
  known: readonly string[],
): Steps<Redacted> {
  const hider = new Hider(mask);
  let current: Draft = { text, innocent: null };
  for (let round = 0; round < mostRounds; round++) {
    const before = hider.secrets;
    const spanless = hidePemKeys(hideSpans(driver, current.text, hider, everywhere), hider);
    const innocent = spanless === current.text ? current.innocent : null;
    yield;
    current = hideInLines(driver, { text: spanless, innocent }, hider, everywhere);
    yield;
    // The last round finds nothing: it is the proof that the rules are content with their own result.
    if (hider.secrets === before) break;
  }
  let { text: hidden } = current;
  for (const value of known) hidden = hider.hideKnown(hidden, value);
  const repeated = hideByValue(hidden, hider.found, () => grammarOf(driver, hidden));
  return { text: repeated.text, secrets: hider.secrets + repeated.hidden };
}

/** A text between two rounds. */
interface Draft {
  readonly text: string;
  /** 1 by line where no rule for a line matches, so that the next round need not ask again; null: not known. */
  readonly innocent: Uint8Array | null;
}

/** The first thing in `text` that looks like a secret; null where there is none. */
export function leaks(text: string): Leak | null {
  const key = pemKeys(text)[0];
  if (key !== undefined) {
    return { rule: pemName, line: text.slice(0, key.start).split('\n').length };
  }
  const possible = shapesIn(text);
  if (possible.length === 0) return null;
  for (const [index, line] of linesOf(text).entries()) {
    for (const { name, hint, plain, pattern } of possible) {
      if (!hint.test(line) || !plain.test(line)) continue;
      if (secretRanges(line, pattern).length > 0) return { rule: name, line: index + 1 };
    }
  }
  return null;
}

/** Made once: to make an expression costs more than to ask it. */
const compiledShapes = shapes.map(({ name, hint, pattern, kind, rotates }) => ({
  ...{ name, hint, kind, rotates },
  plain: withFlags(pattern, ''),
  pattern: withFlags(pattern, 'dg'),
}));

/** Those that may be found in `text`: in most texts one or two of them. */
function shapesIn(text: string): typeof compiledShapes {
  return compiledShapes.filter(({ hint }) => hint.test(text));
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
  const given = linesOf(text);
  let lines: readonly string[] = given;
  for (const rule of driver.secrets) {
    if (rule.until === undefined) continue;
    lines = hideSpansOf(driver, rule, rule.until, lines, hider, everywhere);
  }
  return lines === given ? text : textOf(lines);
}

/** `lines` themselves where the rule finds nothing. */
function hideSpansOf(
  driver: SecretRules,
  rule: SecretRule,
  until: RegExp,
  lines: readonly string[],
  hider: Hider,
  everywhere: boolean,
): readonly string[] {
  const begins = withFlags(rule.line, 'd');
  const closes = withFlags(until, 'd');
  let ends: Int32Array | null = null;
  let applies: ((line: number) => boolean) | null = null;
  const kept: string[] = [];
  /** Lines before it are in `kept`, or were left out. */
  let done = 0;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    const range = begins.exec(line)?.indices?.groups?.secret;
    if (range === undefined) continue;
    const rest = line.slice(range[0]);
    // An empty rest is no reason to stop: the value may begin in the next line.
    if (rest.trim() !== '' && isMasked(rest)) continue;
    applies ??= everywhere ? () => true : scopeOf(rule, lines, () => driver.outline(textOf(lines)));
    if (!applies(index)) continue;
    ends ??= nextMatch(lines, until);
    const closing = ends[index + 1] ?? -1;
    // A value that never closes is hidden to the end: half a key is a key.
    const last = closing === -1 ? lines.length - 1 : closing;
    const lastLine = lines[last] ?? '';
    const end = closing === -1 ? lastLine.length : endOfSecret(closes, lastLine);
    const value = [rest, ...lines.slice(index + 1, last), lastLine.slice(0, end)].join('\n');
    if (isMasked(value)) continue;
    while (done < index) kept.push(lines[done++] ?? '');
    kept.push(
      line.slice(0, range[0]) + hider.hide(value, rule.kind, rule.rotates ?? false) + lastLine.slice(end),
    );
    index = last;
    done = last + 1;
  }
  if (done === 0) return lines;
  while (done < lines.length) kept.push(lines[done++] ?? '');
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

function hideInLines(driver: SecretRules, draft: Draft, hider: Hider, everywhere: boolean): Draft {
  const { text } = draft;
  const lines = linesOf(text);
  const possible = shapesIn(text);
  const matchers = [...lineMatchers(driver, text, lines, everywhere), ...ofShapes(possible)];
  const ruled = compiledRules(driver).any;
  const suspicious = (line: string): boolean =>
    ruled(line) || possible.some(({ hint, plain }) => hint.test(line) && plain.test(line));
  const innocent = new Uint8Array(lines.length);
  // Rules look at the lines as they were: what one line becomes is no other line's business.
  const hidden = new Map<number, string>();
  for (const [index, original] of lines.entries()) {
    if (draft.innocent?.[index] === 1 || !suspicious(original)) {
      innocent[index] = 1;
      continue;
    }
    let line = original;
    for (const { plain, pattern, kind, rotates, applies } of matchers) {
      // Telling where a group stands costs many times as much as telling that it stands somewhere.
      if (!plain.test(line)) continue;
      const ranges = secretRanges(line, pattern);
      if (ranges.length === 0 || !applies(index)) continue;
      line = replaced(line, ranges, (secret) => hider.hide(secret, kind, rotates));
    }
    if (line !== original) hidden.set(index, line);
  }
  if (hidden.size === 0) return { text: text === '' || text.endsWith('\n') ? text : `${text}\n`, innocent };
  for (const [index, line] of hidden) lines[index] = line;
  return { text: textOf(lines), innocent };
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
  return compiledRules(driver).rules.map(({ rule, plain, pattern }) => ({
    ...{ plain, pattern, kind: rule.kind, rotates: rule.rotates ?? false },
    applies: everywhere ? always : scopeOf(rule, lines, outline),
  }));
}

const always = (): boolean => true;

function ofShapes(possible: typeof compiledShapes): readonly LineMatcher[] {
  return possible.map(({ plain, pattern, kind, rotates }) => ({
    plain,
    pattern,
    kind,
    rotates,
    applies: always,
  }));
}

/** The rules of a driver for one line, ready to be asked. */
interface CompiledRules {
  readonly rules: readonly { readonly rule: SecretRule; readonly plain: RegExp; readonly pattern: RegExp }[];
  readonly any: (line: string) => boolean;
}

const compiled = new WeakMap<readonly SecretRule[], CompiledRules>();

function compiledRules({ secrets }: SecretRules): CompiledRules {
  const known = compiled.get(secrets);
  if (known !== undefined) return known;
  const rules = secrets
    .filter((rule) => rule.until === undefined)
    .map((rule) => ({ rule, plain: withFlags(rule.line, ''), pattern: withFlags(rule.line, 'dg') }));
  const made = { rules, any: anyOf(rules.map(({ plain }) => plain)) };
  compiled.set(secrets, made);
  return made;
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
