import type { Mask } from './mask.ts';
import { redactWith } from './redact.ts';
import type { SecretRules } from './secret-rules.ts';

/** In something that is only looked at, a fingerprint would serve nobody. */
const hidden: Mask = { token: () => '<secret:hidden>' };

/** CSI and OSC sequences, two-character escapes, and every control but tab and line feed. */
const controls =
  /\u001b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\u001b\][^\u0007\u001b\n]{0,256}(?:\u0007|\u001b\\)?|\u001b[ -~]?|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

const token = '<secret:hidden>';

/** Long words that mix capitals, small letters and digits: what is left of a key whose label was cut off. */
const opaque =
  /(?<!SHA256:)(?<![A-Za-z0-9+/=])(?=[a-z0-9+/]{0,256}[A-Z])(?=[A-Z0-9+/]{0,256}[a-z])[A-Za-z0-9+/]{24,}={0,2}/g;

/** How a piece of a session was cut. */
export interface Cut {
  /** The text may begin in the middle of a line: then its first line cannot be judged and is hidden. */
  readonly beginsMidLine: boolean;
}

/**
 * A transcript, or a piece of one, for a person's eyes: no secret, no control character but tab and
 * line feed. The text may be cut anywhere and hold redrawn lines and pager residue, so this errs on
 * the side of hiding: rules apply outside of their sections too, what follows a secret in its line is
 * hidden with it, a private key without its beginning or end is hidden to the edge of the text, and
 * so is every long word that looks like key material.
 *
 * `driver` null: only what secrets look like anywhere is known.
 */
export function redactDisplay(driver: SecretRules | null, text: string, cut: Cut): string {
  const clean = text.replace(/\r*\n|\r+/g, '\n').replace(controls, '');
  const whole = withoutFirstLine(clean, cut.beginsMidLine);
  const keyless = withoutHeadlessKey(whole);
  const { text: masked } = redactWith(driver ?? noRules, keyless, hidden, true);
  const lines = masked.split('\n').map(hideRest);
  // Rules end every line with a line feed; a piece of a session need not.
  if (!clean.endsWith('\n') && lines.at(-1) === '') lines.pop();
  return lines.join('\n');
}

function withoutFirstLine(text: string, beginsMidLine: boolean): string {
  if (!beginsMidLine || text === '') return text;
  const end = text.indexOf('\n');
  return end === -1 ? token : token + text.slice(end);
}

/** Hides everything before the end of a private key that does not begin in `text`. */
function withoutHeadlessKey(text: string): string {
  const end = /-{4,5} ?END [A-Z0-9 ]{0,64}PRIVATE KEY[A-Z ]{0,16}-{4,5}/.exec(text);
  if (end === null) return text;
  const begin = /-{4,5} ?BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY/.exec(text);
  if (begin !== null && begin.index < end.index) return text;
  return token + text.slice(end.index + end[0].length);
}

/** What stands behind a secret may be its other half, after the residue of a pager. */
function hideRest(line: string): string {
  const at = line.indexOf(token);
  if (at !== -1) return line.slice(0, at + token.length);
  return line.replace(opaque, token);
}

const noRules: SecretRules = { secrets: [], outline: () => [] };
