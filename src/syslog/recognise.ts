import type { ChangeMessage, Driver } from '../drivers/driver.ts';

/** What a message tells. */
export interface Recognised {
  readonly means: ChangeMessage['means'];
  /** Who, as the device calls them; null where it does not say. One character per byte, as it came. */
  readonly user: string | null;
  /** From which address; null where it does not say. */
  readonly from: string | null;
}

/** What a message of this platform tells; null: neither of a change nor of a save. The first rule that fits decides. */
export function recognise(driver: Driver, text: string): Recognised | null {
  for (const { line, butNot, means } of driver.changes?.messages ?? []) {
    const match = stateless(line).exec(text);
    if (match === null || (butNot !== undefined && stateless(butNot).test(text))) continue;
    return { means, user: said(match.groups?.user), from: said(match.groups?.from) };
  }
  return null;
}

/** How a message names its device by the rules of this platform: host names and serial numbers. */
export function namesIn(driver: Driver, text: string): readonly string[] {
  return (driver.changes?.device ?? []).flatMap((rule) => {
    const groups = stateless(rule).exec(text)?.groups;
    return [groups?.serial, groups?.name].map(said).filter((name) => name !== null);
  });
}

function said(value: string | undefined): string | null {
  const text = value?.trim() ?? '';
  return text === '' ? null : text;
}

const copies = new WeakMap<RegExp, RegExp>();

/** A pattern that is global or sticky remembers where it was. */
function stateless(pattern: RegExp): RegExp {
  if (!pattern.global && !pattern.sticky) return pattern;
  const known = copies.get(pattern) ?? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  copies.set(pattern, known);
  return known;
}
