import { identityGround } from '../core/catalogue.ts';
import type { Device } from '../core/device.ts';
import { clip, decodeBytes, harmless } from '../core/display.ts';
import type { Failure, Restorable } from '../core/errors.ts';
import type { SpoolEntry } from '../core/run.ts';
import type { Block, Driver } from '../drivers/driver.ts';
import { commandOf } from './artefact-names.ts';
import { linesOf } from './lines.ts';
import { withoutFingerprints } from './mask.ts';

/** What a reading is compared with. */
export interface Previous {
  /** Masked text by artefact. */
  readonly artefacts: ReadonlyMap<string, string>;
  readonly restorable: Restorable;
  readonly identity: {
    /** As last trusted. Null: not known, so nothing can differ from it. */
    readonly hostname: string | null;
    /** Of the unit and of partners that it named; empty: not known. */
    readonly serials: readonly string[];
    /** By serial number: what that unit called itself when it was last trusted. */
    readonly hostnames: Readonly<Record<string, string>>;
  };
}

/** A failure: the reading is to be held back until a person accepts it. */
export type Comparison = 'unchanged' | 'changed' | Failure;

/** Names of lost sections in one failure: enough to see what happened. */
const mostSections = 20;

/**
 * Compares a reading that is whole in itself with the last good one (null before the first): is it
 * the same device, does it restore as much, is everything still there? Nothing but `expect` is
 * checked at first contact. A fact that the device did not give is no evidence against it, but a
 * device that says nothing of itself cannot be the one that the inventory expects.
 */
export function compare(
  previous: Previous | null,
  entry: SpoolEntry,
  driver: Driver,
  expect: Device['expect'],
): Comparison {
  const failure = identity(previous, entry, expect) ?? downgraded(previous, entry);
  if (failure !== null) return failure;
  if (previous === null) return 'changed';
  const texts = new Map(entry.artefacts.map(({ name, masked }) => [name, masked]));
  const differing = [...previous.artefacts].filter(([artefact, before]) => texts.get(artefact) !== before);
  for (const [artefact, before] of differing) {
    const lost = shrunk(driver, artefact, before, texts.get(artefact) ?? null);
    if (lost !== null) return lost;
  }
  for (const [artefact, before] of differing) {
    const cut = prefix(driver, artefact, before, texts.get(artefact) ?? '');
    if (cut !== null) return cut;
  }
  const same =
    texts.size === previous.artefacts.size &&
    [...texts].every(([artefact, text]) => previous.artefacts.get(artefact) === text);
  return same ? 'unchanged' : 'changed';
}

/**
 * What the inventory says counts over what was seen: a person who renames or replaces a device can say
 * so there. It is looked at first, because no acceptance cures it. What was seen fills the gaps; but
 * where the inventory names the serial number and no hostname, any hostname will do: the units of a
 * pair have their own.
 */
function identity(previous: Previous | null, entry: SpoolEntry, expect: Device['expect']): Failure | null {
  const { hostname, serial } = entry.facts;
  if (hostname === null && serial === null && (expect.hostname !== null || expect.serials.length > 0)) {
    return misidentified([nameOf(expect), serialsOf(expect)], identityGround.expect, 'nothing');
  }
  const vouched = serial !== null && expect.serials.includes(serial);
  const known = previous?.identity ?? null;
  const seen: Wanted = {
    hostnames: expect.hostname === null && !vouched && known !== null ? namesOf(known, serial) : [],
    serials: expect.serials.length === 0 ? (known?.serials ?? []) : [],
  };
  const expected: Wanted = {
    hostnames: expect.hostname === null ? [] : [expect.hostname],
    serials: expect.serials,
  };
  return (
    different(expected, identityGround.expect, hostname, serial) ??
    different(seen, identityGround.seen, hostname, serial)
  );
}

/** Who a device has to be; nothing in a list: it is not asked. */
interface Wanted {
  readonly hostnames: readonly string[];
  readonly serials: readonly string[];
}

/**
 * The hostnames that a unit with this serial number may have; none: any will do. A unit of the set that was read
 * before keeps its name; one that a trusted unit named, and that was never read, is met at a failover and may have
 * a name of its own. A device that does not tell its number is any of them.
 */
function namesOf(
  { hostname, serials, hostnames }: Previous['identity'],
  serial: string | null,
): readonly string[] {
  const last = hostname === null ? [] : [hostname];
  if (serial === null) return [...new Set([...last, ...Object.values(hostnames)])];
  if (Object.hasOwn(hostnames, serial)) return [hostnames[serial] ?? ''];
  return serials.includes(serial) ? [] : last;
}

function different(
  wanted: Wanted,
  ground: string,
  hostname: string | null,
  serial: string | null,
): Failure | null {
  if (hostname !== null && wanted.hostnames.length > 0) {
    const name = hostname.toLowerCase();
    if (!wanted.hostnames.some((candidate) => candidate.toLowerCase() === name)) {
      const claim = `hostname ${wanted.hostnames.join(' or ')}`;
      return misidentified([claim], ground, `hostname ${hostname}`);
    }
  }
  if (serial !== null && wanted.serials.length > 0 && !wanted.serials.includes(serial)) {
    return misidentified([serialsOf(wanted)], ground, `serial number ${serial}`);
  }
  return null;
}

const nameOf = ({ hostname }: Device['expect']): string | null =>
  hostname === null ? null : `hostname ${hostname}`;
const serialsOf = ({ serials }: Pick<Device['expect'], 'serials'>): string | null =>
  serials.length === 0 ? null : `serial number ${serials.join(' or ')}`;

function misidentified(claims: readonly (string | null)[], ground: string, presented: string): Failure {
  const claim = claims.filter((part) => part !== null).join(', ');
  // The ground stands behind what may have to be cut.
  const expected = `${clip(claim, 160)} (${ground})`;
  return { code: 'verify.identity', detail: { expected, presented: clip(presented, 200) } };
}

function downgraded(previous: Previous | null, entry: SpoolEntry): Failure | null {
  const was = previous?.restorable ?? 'no';
  const is = entry.restorable;
  const because = entry.restorableBecause ?? 'the device did not say why';
  if (was === 'yes' && is !== 'yes') return { code: 'verify.downgraded', detail: { was, is, because } };
  if (was === 'partial' && is === 'no') return { code: 'verify.downgraded', detail: { was, is, because } };
  return null;
}

/** Fewer than half of the lines are left, or a section is gone. `after` null: the whole artefact is. */
function shrunk(driver: Driver, artefact: string, before: string, after: string | null): Failure | null {
  const previousLines = linesOf(before).length;
  const lines = after === null ? 0 : linesOf(after).length;
  const left = sectionsOf(driver, after ?? '');
  const lost = [...sectionsOf(driver, before)].filter((section) => !left.has(section));
  if (after !== null && lines * 2 >= previousLines && lost.length === 0) return null;
  const lostSections = lost
    .slice(0, mostSections)
    .map((section) => clip(harmless(decodeBytes(section)), 120));
  return { code: 'verify.shrunk', detail: { artefact, previousLines, lines, lostSections } };
}

function sectionsOf(driver: Driver, text: string): ReadonlySet<string> {
  return new Set(driver.outline(text).map((block) => block.section));
}

/**
 * Objects are missing at the end and nowhere else: how a copy looks that was cut between two objects.
 * Where the text says itself where it ends, it cannot have been.
 */
function prefix(driver: Driver, artefact: string, before: string, after: string): Failure | null {
  if (commandOf(driver, artefact)?.wholeWhen.proof === 'end-marker') return null;
  const had = driver.outline(before);
  const has = driver.outline(after);
  if (has.length >= had.length) return null;
  // Another fingerprint key is no reason to believe that the objects are others.
  const titleOf = (block: Block | undefined): string => withoutFingerprints(block?.title ?? '');
  if (has.some((block, index) => titleOf(block) !== titleOf(had[index]))) return null;
  return {
    code: 'verify.prefix',
    detail: { artefact, previousObjects: had.length, objects: has.length },
  };
}
