import type { Block, Driver, SecretRule } from '../drivers/driver.ts';
import { anyOf, nest, withFlags } from './lines.ts';
import { linesOfBlocks } from './sections.ts';

/** What redaction needs to know of a driver. */
export type SecretRules = Pick<Driver, 'secrets' | 'outline'>;

/** A rule for one line, ready to be asked. */
export interface LineRule {
  readonly rule: SecretRule;
  /** Without flags that keep state. */
  readonly plain: RegExp;
  /** With `d` and `g`. */
  readonly pattern: RegExp;
}

/** The rules of a driver, ready to be asked: to make an expression costs more than to ask it. */
export interface CompiledRules {
  readonly ofLines: readonly LineRule[];
  /** Those that may go on over several lines. */
  readonly ofSpans: readonly SpanRule[];
  /** Whether a rule that may apply in any part of a text matches a line, or begins in it. */
  readonly anywhere: (line: string) => boolean;
  /** The same of rules that apply in certain sections only. */
  readonly inSections: (line: string) => boolean;
  /** Where the latter apply: one of these. */
  readonly sections: readonly RegExp[];
}

/** A rule that begins in one line and ends in a later one. */
export interface SpanRule {
  readonly rule: SecretRule;
  readonly until: RegExp;
}

const compiled = new WeakMap<readonly SecretRule[], CompiledRules>();

export function compiledRules({ secrets }: SecretRules): CompiledRules {
  const known = compiled.get(secrets);
  if (known !== undefined) return known;
  const [everywhere, sectioned] = [true, false].map((free) =>
    secrets.filter(({ inSection }) => (inSection === undefined) === free),
  ) as [SecretRule[], SecretRule[]];
  const made: CompiledRules = {
    ofLines: secrets
      .filter((rule) => rule.until === undefined)
      .map((rule) => ({ rule, plain: withFlags(rule.line, ''), pattern: withFlags(rule.line, 'dg') })),
    ofSpans: secrets.flatMap((rule) => (rule.until === undefined ? [] : [{ rule, until: rule.until }])),
    anywhere: anyOf(everywhere.map(({ line }) => line)),
    inSections: anyOf(sectioned.map(({ line }) => line)),
    sections: sectioned.flatMap(({ inSection }) => inSection ?? []),
  };
  compiled.set(secrets, made);
  return made;
}

/** Some lines of a text. */
export interface Scope {
  /** Whether `holds` costs no more than a look from now on. */
  readonly isKnown: () => boolean;
  readonly holds: (line: number) => boolean;
}

/** Every line. */
export const everyLine: Scope = { isKnown: () => true, holds: () => true };

/** The lines that `mark` marks with 1; it is called once, and only when somebody asks. */
function marked(mark: () => Uint8Array): Scope {
  let marks: Uint8Array | null = null;
  return {
    isKnown: () => marks !== null,
    holds(line) {
      marks ??= mark();
      return marks[line] === 1;
    },
  };
}

/** The lines that a rule applies to. */
export function scopeOf(
  { inSection, exceptIn }: SecretRule,
  lines: readonly string[],
  outline: () => readonly Block[],
): Scope {
  const inside = inSection === undefined ? everyLine : insideOf([inSection], lines, outline);
  if (exceptIn === undefined) return inside;
  const excepted = marked(() => linesOfBlocks(exceptIn, lines, outline()));
  return {
    isKnown: () => inside.isKnown() && excepted.isKnown(),
    holds: (line) => inside.holds(line) && !excepted.holds(line),
  };
}

/**
 * From a line that matches one of `sections` to the end of the innermost block that holds that line; to the end of the
 * text where no block does, because then the outline cannot be trusted.
 */
export function insideOf(
  sections: readonly RegExp[],
  lines: readonly string[],
  outline: () => readonly Block[],
): Scope {
  return marked(() => {
    const marks = new Uint8Array(lines.length);
    const begins = anyOf(sections);
    const first = lines.findIndex(begins);
    if (first === -1) return marks;
    const blocks = outline();
    const { innermost } = nest(blocks, lines.length);
    let end = -1;
    for (let line = first; line < lines.length; line++) {
      if (begins(lines[line] ?? ''))
        end = Math.max(end, blocks[innermost[line] ?? -1]?.lastLine ?? lines.length - 1);
      if (line <= end) marks[line] = 1;
    }
    return marks;
  });
}
