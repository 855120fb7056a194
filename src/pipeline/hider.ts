import type { SecretKind } from '../drivers/driver.ts';
import { shortest } from './by-value.ts';
import type { Mask } from './mask.ts';

/** Replaces values by tokens and remembers which. */
export class Hider {
  /** Secret to token. */
  readonly found = new Map<string, string>();
  /** How many were replaced. */
  secrets = 0;
  readonly #mask: Mask;
  /** By kind and value: one key on ten thousand lines costs one fingerprint. */
  readonly #tokens = new Map<string, string>();

  constructor(mask: Mask) {
    this.#mask = mask;
  }

  /** The token that stands in the place of `value`; `rotates`: see `Mask`. */
  hide(value: string, kind: SecretKind, rotates: boolean): string {
    this.secrets++;
    const known = `${kind} ${rotates} ${value}`;
    const token = this.#tokens.get(known) ?? this.#mask.token(kind, value, rotates);
    this.#tokens.set(known, token);
    const bare = value.replace(/^["']|["']$/g, '');
    if (!this.found.has(bare)) this.found.set(bare, token);
    return token;
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
}
