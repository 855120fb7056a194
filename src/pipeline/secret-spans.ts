import type { SecretRule } from '../drivers/driver.ts';
import type { Hider } from './hider.ts';
import { linesOf, nextMatch, textOf, withFlags } from './lines.ts';
import { isMasked } from './mask.ts';
import type { Suspects } from './secret-lines.ts';
import {
  compiledRules,
  everyLine,
  type Scope,
  type SecretRules,
  type SpanRule,
  scopeOf,
} from './secret-rules.ts';
import { isEncryptedPem, pemKeys } from './shapes.ts';

/**
 * Secrets over several lines: by the driver's rules, from the secret in the first line to its end in the last one, then
 * private keys. Returns `lines` themselves where there are none.
 */
export function hideSpans(
  driver: SecretRules,
  { lines, innocent }: Suspects,
  hider: Hider,
  everywhere: boolean,
): readonly string[] {
  let left = lines;
  for (const span of compiledRules(driver).ofSpans) {
    // What an earlier rule took away has moved the lines.
    left = hideSpansOf(driver, span, left, left === lines ? innocent : null, hider, everywhere);
  }
  return hidePemKeys(left, hider);
}

/** `lines` themselves where the rule finds nothing. */
function hideSpansOf(
  driver: SecretRules,
  { rule, until }: SpanRule,
  lines: readonly string[],
  innocent: Uint8Array | null,
  hider: Hider,
  everywhere: boolean,
): readonly string[] {
  const begins = withFlags(rule.line, 'd');
  const closes = withFlags(until, 'd');
  let ends: Int32Array | null = null;
  const scope = spanScope(driver, rule, lines, everywhere);
  const kept: string[] = [];
  /** Lines before it are in `kept`, or were left out. */
  let done = 0;
  for (let index = 0; index < lines.length; index++) {
    if (innocent !== null && innocent[index] !== 0) continue;
    const line = lines[index] ?? '';
    const range = begins.exec(line)?.indices?.groups?.secret;
    if (range === undefined) continue;
    const rest = line.slice(range[0]);
    // An empty rest is no reason to stop: the value may begin in the next line.
    if (rest.trim() !== '' && isMasked(rest)) continue;
    if (!scope.holds(index)) continue;
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

function spanScope(
  driver: SecretRules,
  rule: SecretRule,
  lines: readonly string[],
  everywhere: boolean,
): Scope {
  return everywhere ? everyLine : scopeOf(rule, lines, () => driver.outline(textOf(lines)));
}

function endOfSecret(closes: RegExp, line: string): number {
  return closes.exec(line)?.indices?.groups?.secret?.[1] ?? line.length;
}

/** `lines` themselves where there is none. */
function hidePemKeys(lines: readonly string[], hider: Hider): readonly string[] {
  if (!lines.some((line) => line.includes('PRIVATE KEY'))) return lines;
  const text = textOf(lines);
  const parts: string[] = [];
  let copied = 0;
  for (const { start, end } of pemKeys(text)) {
    const value = text.slice(start, end);
    // An encrypted one is encrypted anew at every display by FortiOS (Oxidized issues 931 and 3176).
    parts.push(text.slice(copied, start), hider.hide(value, 'private-key', isEncryptedPem(value)));
    copied = end;
  }
  if (parts.length === 0) return lines;
  parts.push(text.slice(copied));
  return linesOf(parts.join(''));
}
