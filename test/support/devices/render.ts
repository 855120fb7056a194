import { createHash } from 'node:crypto';

/**
 * Placeholders in a device's texts. What is random differs at each display and is the same for the
 * same display number, so that a failing test can be run again.
 *
 * - `{{config}}` the configuration
 * - `{{enc:N}}` base64 of N bytes, different at each display
 * - `{{hex:N}}` N hex digits, `{{digits:N}}` N digits, likewise
 * - `{{now}}`, `{{asa-now}}`, `{{f5-now}}`, `{{http-now}}` a clock, as the platforms print it
 * - `{{uptime}}` days, in words
 */
export interface Rendered {
  readonly text: string;
  /** What the `enc` placeholders became: secrets that a reader must not find again. */
  readonly secrets: readonly string[];
}

const placeholder = /\{\{(enc|hex|digits|now|asa-now|f5-now|http-now|uptime)(?::(\d+))?\}\}/g;

/** `text` with every placeholder filled in for the display number `display`. */
export function render(text: string, display: number): Rendered {
  const secrets: string[] = [];
  let nth = 0;
  const filled = text.replace(placeholder, (_whole, kind: string, size: string | undefined) => {
    nth += 1;
    const wanted = size === undefined ? 32 : Number(size);
    switch (kind) {
      case 'enc': {
        const secret = noise(display, nth, wanted).toString('base64');
        secrets.push(secret);
        return secret;
      }
      case 'hex':
        return noise(display, nth, wanted).toString('hex').slice(0, wanted);
      case 'digits':
        return [...noise(display, nth, wanted)].map((byte) => byte % 10).join('');
      case 'uptime':
        return `${100 + display} days ${display % 24} hours`;
      case 'now':
        return new Date(clock(display)).toISOString().slice(0, 19).replace('T', ' ');
      case 'f5-now':
        return new Date(clock(display)).toISOString().slice(0, 19).replace('T', ':');
      case 'http-now':
        return new Date(clock(display)).toUTCString();
      default: {
        const at = new Date(clock(display));
        return `${at.toISOString().slice(11, 23)} UTC ${utcDate(at)}`;
      }
    }
  });
  return { text: filled, secrets };
}

/** Such as `Mon Oct 21 2024`. */
function utcDate(at: Date): string {
  const [weekday, day, month, year] = at.toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${Number(day)} ${year}`;
}

/** A minute and a bit further at each display, from a fixed day. */
function clock(display: number): number {
  return Date.UTC(2026, 2, 4, 1, 30, 0, 0) + display * 61_357;
}

function noise(display: number, nth: number, bytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let block = 0; parts.length * 32 < bytes; block++)
    parts.push(createHash('sha256').update(`${display}/${nth}/${block}`).digest());
  return Buffer.concat(parts).subarray(0, bytes);
}
