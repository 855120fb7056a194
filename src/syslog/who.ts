import { clip, quotable } from '../core/display.ts';
import type { ChangeOrigin } from '../core/run.ts';

interface Said {
  readonly user: string | null;
  readonly from: string | null;
  atMs: number;
}

/** More names than this are told by their number. */
const most = 5;
/** Of one name, and of all together: they go into a commit. */
const longestName = 60;
const longest = 200;

/** Who changed one device since its last good reading, as its messages say. Bounded, whatever they say. */
export class Who {
  readonly #said = new Map<string, Said>();

  /** One character per byte, as it came. */
  add(user: string | null, from: string | null, atMs: number): void {
    const [name, place] = [tidy(user), tidy(from)];
    const key = JSON.stringify([name, place]);
    const known = this.#said.get(key);
    if (known !== undefined) known.atMs = atMs;
    else if (this.#said.size < 4 * most && (name ?? place) !== null)
      this.#said.set(key, { user: name, from: place, atMs });
  }

  /** A reading that began at this instant holds what was told before it. */
  forget(untilMs: number): void {
    for (const [key, { atMs }] of this.#said) if (atMs < untilMs) this.#said.delete(key);
  }

  /** Null where no message named anybody. */
  origin(): ChangeOrigin | null {
    const all = [...this.#said.values()];
    const [by, from] = [joined(all.map(({ user }) => user)), joined(all.map((said) => said.from))];
    return by === null && from === null ? null : { by, from };
  }
}

function tidy(text: string | null): string | null {
  const harmless = text === null ? '' : quotable(text, longestName).trim();
  return harmless === '' ? null : harmless;
}

function joined(words: readonly (string | null)[]): string | null {
  const names = [...new Set(words)].filter((word) => word !== null);
  if (names.length === 0) return null;
  const more = names.length - most;
  return clip(`${names.slice(0, most).join(', ')}${more > 0 ? ` and ${more} more` : ''}`, longest);
}
