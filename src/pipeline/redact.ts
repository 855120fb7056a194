import { hidingByValue } from './by-value.ts';
import { Hider } from './hider.ts';
import { linesOf, textOf } from './lines.ts';
import type { Mask } from './mask.ts';
import { type Draft, hideInLines, secretRanges, shapesIn, suspectsIn } from './secret-lines.ts';
import type { SecretRules } from './secret-rules.ts';
import { hideSpans } from './secret-spans.ts';
import { pemKeys, pemName } from './shapes.ts';
import { atOnce, type Steps } from './turns.ts';

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
  let draft: Draft = { lines: linesOf(text), text, innocent: null };
  for (let round = 0; round < mostRounds; round++) {
    const before = hider.secrets;
    let suspects = yield* suspectsIn(driver, draft, everywhere);
    yield;
    const lines = hideSpans(driver, suspects, hider, everywhere);
    if (lines !== suspects.lines)
      suspects = yield* suspectsIn(driver, { lines, text: null, innocent: null }, everywhere);
    yield;
    // What is innocent stays as it is, and the next round need not look at it.
    draft = { lines: hideInLines(suspects, hider), text: null, innocent: suspects.innocent };
    yield;
    // The last round finds nothing: it is the proof that the rules are content with their own result.
    if (hider.secrets === before) break;
  }
  let hidden = textOf(draft.lines);
  for (const value of known) hidden = hider.hideKnown(hidden, value);
  yield;
  const repeated = yield* hidingByValue(hidden, hider.found, () => grammarOf(driver, hidden));
  return { text: repeated.text, secrets: hider.secrets + repeated.hidden };
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

/** Words that name sections, begin a line or name a setting: the grammar of this configuration. */
function grammarOf(driver: SecretRules, text: string): ReadonlySet<string> {
  const words = new Set(driver.outline(text).flatMap((block) => block.section.split(' ')));
  for (const line of linesOf(text)) {
    const match = /^\s*(?:set\s+|unset\s+)?([a-z]+(?:-[a-z]+)*)(?=\s)/.exec(line);
    if (match?.[1] !== undefined) words.add(match[1]);
  }
  return words;
}
