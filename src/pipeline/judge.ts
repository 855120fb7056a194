import { createHash } from 'node:crypto';
import type { Condition, Facts } from '../core/device.ts';
import { BackupError, type Restorable, type Stage } from '../core/errors.ts';
import type { ArtefactCommand, Capture, Driver } from '../drivers/driver.ts';
import type { Collected } from '../transport/collect.ts';
import { shortest } from './by-value.ts';
import { joinSerials, standingOf } from './condition.ts';
import { factsOf, serialsOf } from './facts.ts';
import { linesOf, withFlags } from './lines.ts';
import { createMask, type Mask } from './mask.ts';
import { normalise } from './normalise.ts';
import type { MadeBefore } from './read-before.ts';
import { leaks, redacting } from './redact.ts';
import { shapes } from './shapes.ts';
import { atOnce, type Steps } from './turns.ts';
import { verify } from './verify.ts';
import { type Worth, worstOf } from './worth.ts';

/** What one session is worth, once it is proven whole. Text holds one character per byte. */
export interface Reading {
  readonly artefacts: readonly {
    readonly name: string;
    /** As the device gave it: for sealing only. */
    readonly exact: string;
    /** Normalised and, with a mask, masked: for git. */
    readonly masked: string;
  }[];
  readonly facts: Facts;
  readonly condition: Condition;
  /** Every serial number that the device named, its own first, then those of its partners. */
  readonly serials: readonly string[];
  /** The worst of all artefacts. */
  readonly restorable: Restorable;
  /** Why it is not `yes`, or on what ground it is; null where there is nothing to say. */
  readonly restorableBecause: string | null;
}

const structural: Worth = {
  is: 'yes',
  because: 'whole by structure; this platform does not mark the end of its configuration',
};

/**
 * Turns one session into what may be kept: verify, normalise, redact, in this order, for every
 * artefact that was read. `mask` null keeps secrets in the text (`secrets.in_git: keep`). Throws
 * BackupError `collect.standby`, `verify.incomplete` or `redact.leak`, and what `state` of the driver throws; then nothing
 * of the session is kept. `onStage` is told when `verify` and when `redact` begins.
 */
export function judge(
  driver: Driver,
  collected: Collected,
  mask: Mask | null,
  onStage: (stage: Stage) => void = () => {},
): Reading {
  return atOnce(judging(driver, collected, mask, new Map(), onStage));
}

/** The same in steps. What `before` has is proven already, and is what it was. */
export function* judging(
  driver: Driver,
  collected: Collected,
  mask: Mask | null,
  before: ReadonlyMap<string, MadeBefore>,
  onStage: (stage: Stage) => void = () => {},
): Steps<Reading> {
  onStage('verify');
  const shown = shownBy(collected);
  const standing = standingOf(driver, shown.seen);
  refuseStandby(collected, standing.condition);
  const inHa = standing.condition.ha !== null;
  const madeBefore = (name: string): string | null => {
    const found = before.get(name);
    return found?.inHa === inHa ? found.masked : null;
  };
  const texts = forGit(driver, inHa, mask, collected.secrets ?? []);
  const whole = [...artefactsOf(driver, collected)].map(([name, command]) => ({
    ...{ name, command, made: madeBefore(name) },
    capture: proven(name, command, collected, madeBefore(name) === null ? texts.comparable : null),
  }));
  yield;
  onStage('redact');
  const artefacts: Reading['artefacts'][number][] = [];
  const statements: Worth[] = [...standing.worth];
  for (const { name, command, capture, made } of whole) {
    const exact = capture.text;
    artefacts.push({ name, exact, masked: made ?? (yield* texts.of(name, capture)) });
    yield;
    if (command.besides === true) continue;
    statements.push(...worthOf(driver, command, capture), collected.restorable.get(name) ?? fullWorth);
  }
  const facts = factsOf(driver, shown.captures);
  const named = serialsOf(driver, shown.captures);
  const worth = worstOf(statements);
  return {
    artefacts,
    facts,
    condition: standing.condition,
    serials: joinSerials(facts, named, standing.partnerSerials),
    restorable: worth.is,
    restorableBecause: worth.because,
  };
}

/** What may be told of a session: facts become trailers, labels and tables, and a device may call itself by our password. */
function shownBy({ captures, seen, secrets = [] }: Collected): Pick<Collected, 'captures' | 'seen'> {
  const hidden = secrets.filter((secret) => secret.length >= shortest);
  const texts = new Map([...captures].map(([name, { text }]) => [name, withoutValues(text, hidden)]));
  if ([...captures].every(([name, { text }]) => texts.get(name) === text)) return { captures, seen };
  return {
    captures: new Map([...captures].map(([name, one]) => [name, { ...one, text: texts.get(name) ?? '' }])),
    seen: { ...seen, text: (name) => texts.get(name) ?? null },
  };
}

function withoutValues(text: string, values: readonly string[]): string {
  return values.reduce((left, value) => left.replaceAll(value, '<secret>'), text);
}

/** Nothing of a unit that stands by is kept where the inventory says `on_standby: skip`. */
function refuseStandby({ seen }: Collected, { standby, ha }: Condition): void {
  if (standby === true && seen.options.on_standby === 'skip')
    throw new BackupError('collect.standby', { ha: ha ?? 'standby' });
}

/**
 * The artefacts of a session by name, and those that every device has, where the session has them not: these are
 * then found to be missing.
 */
function artefactsOf(driver: Driver, collected: Collected): ReadonlyMap<string, ArtefactCommand> {
  const always = driver.commands.flatMap((command) => {
    if (command.keep !== 'artefact' || command.forEach !== undefined || command.when !== undefined) return [];
    return command.mayBeRefusedBecause === undefined ? [[command.name, command] as const] : [];
  });
  const all = new Map([...collected.artefacts, ...always.filter(([name]) => !collected.artefacts.has(name))]);
  if (all.size > 0) return all;
  const because = 'the session read none of its artefacts';
  throw new BackupError('verify.incomplete', { artefact: 'running-config', because, lines: 0 });
}

/** The answer with an artefact that is whole. `comparable` null: it was found to be whole before. */
function proven(
  name: string,
  command: ArtefactCommand,
  collected: Collected,
  comparable: ((capture: Capture) => (text: string) => string) | null,
): Capture {
  const capture = collected.captures.get(name);
  if (capture === undefined) {
    const because = 'the session kept no answer';
    throw new BackupError('verify.incomplete', { artefact: name, because, lines: 0 });
  }
  const again = collected.again.get(name) ?? null;
  if (comparable !== null) verify(command, { name, capture, again, comparable: comparable(capture) });
  return capture;
}

/** The texts of one session as they go to git: each is made once, though two readings are compared before. */
function forGit(driver: Driver, inHa: boolean, mask: Mask | null, known: readonly string[]) {
  const made = new Map<Capture, string>();
  // Without a mask a key of zeros will do: the two readings are compared here and forgotten.
  const key = mask ?? createMask(Buffer.alloc(32), '');
  function* masked(text: string): Steps<string> {
    const normal = normalise(driver, text, inHa);
    yield;
    return (yield* redacting(driver, normal, key, false, known)).text;
  }
  return {
    comparable: (capture: Capture) => (text: string) => {
      const comparable = atOnce(masked(text));
      if (text === capture.text) made.set(capture, comparable);
      return comparable;
    },
    /** Throws BackupError `redact.leak`. */
    *of(artefact: string, capture: Capture): Steps<string> {
      if (mask === null) return normalise(driver, capture.text, inHa);
      const text = made.get(capture) ?? (yield* masked(capture.text));
      yield;
      const leak = leaks(text);
      if (leak !== null) throw new BackupError('redact.leak', { artefact, ...leak });
      return text;
    },
  };
}

const fullWorth: Worth = { is: 'yes', because: null };

/** What the text says of its own worth, and the way in which it is known to be whole. */
function worthOf(driver: Driver, command: ArtefactCommand, { text, endedBy }: Capture): readonly Worth[] {
  const statements: Worth[] = [];
  // A transfer tells how long the file is.
  if (command.wholeWhen.proof === 'structure' && endedBy !== 'transfer') statements.push(structural);
  const rules = driver.restorable.map((rule) => ({ rule, line: withFlags(rule.line, '') }));
  const lines = linesOf(text);
  for (const { rule, line } of rules) {
    if (lines.some((candidate) => line.test(candidate))) statements.push(rule);
  }
  return statements;
}

/**
 * Digest (16 hex digits) of everything that decides which text goes to git: where it differs between
 * two versions, their difference may be ours and not the device's.
 */
export function rulesDigest(driver: Driver): string {
  const pattern = (expression: RegExp | undefined): string | null => expression?.toString() ?? null;
  const rules = {
    volatile: driver.volatile.map(({ line, until, act, inSection, inHa, within }) => {
      const rule = [pattern(line), pattern(until), act, pattern(inSection)];
      if (within !== undefined) rule.push('within');
      // Nothing where it does not say so: rules that did not change keep their digest.
      return inHa === true ? [...rule, 'in HA'] : rule;
    }),
    secrets: driver.secrets.map(({ line, until, kind, rotates, inSection, exceptIn }) => {
      const where = [pattern(inSection), pattern(exceptIn)];
      return [pattern(line), pattern(until), kind, rotates ?? false, ...where];
    }),
    shapes: shapes.map((shape) => [shape.name, pattern(shape.pattern), shape.kind, shape.rotates]),
  };
  return createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, 16);
}
