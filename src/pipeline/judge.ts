import { createHash } from 'node:crypto';
import { type Facts, worse } from '../core/device.ts';
import { BackupError, type Restorable, type Stage } from '../core/errors.ts';
import type { ArtefactCommand, Driver } from '../drivers/driver.ts';
import type { Collected } from '../transport/collect.ts';
import { factsOf, serialsOf } from './facts.ts';
import { linesOf, withFlags } from './lines.ts';
import { createMask, type Mask } from './mask.ts';
import { normalise } from './normalise.ts';
import { leaks, redact } from './redact.ts';
import { shapes } from './shapes.ts';
import { verify } from './verify.ts';

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
  /** Every serial number that the device named, its own first. */
  readonly serials: readonly string[];
  /** The worst of all artefacts. */
  readonly restorable: Restorable;
  /** Why it is not `yes`, or on what ground it is; null where there is nothing to say. */
  readonly restorableBecause: string | null;
}

interface Worth {
  readonly is: Restorable;
  readonly because: string | null;
}

const structural: Worth = {
  is: 'yes',
  because: 'whole by structure; this platform does not mark the end of its configuration',
};

/**
 * Turns one session into what may be kept: verify, normalise, redact, in this order, for every
 * artefact of the driver. `mask` null keeps secrets in the text (`secrets.in_git: keep`). Throws
 * BackupError `verify.incomplete` or `redact.leak`; then nothing of the session is kept. `onStage` is told
 * when `verify` and when `redact` begins.
 */
export function judge(
  driver: Driver,
  collected: Collected,
  mask: Mask | null,
  onStage: (stage: Stage) => void = () => {},
): Reading {
  onStage('verify');
  const whole = driver.commands.flatMap((command) =>
    command.keep === 'artefact' ? [{ command, exact: proven(driver, command, collected, mask) }] : [],
  );
  onStage('redact');
  const artefacts: Reading['artefacts'][number][] = [];
  let worth: Worth = { is: 'yes', because: null };
  for (const { command, exact } of whole) {
    const normalised = normalise(driver, exact);
    const masked = mask === null ? normalised : withoutSecrets(driver, command.name, normalised, mask);
    artefacts.push({ name: command.name, exact, masked });
    worth = worseOf(worth, worthOf(driver, command, exact, collected));
  }
  return {
    artefacts,
    facts: factsOf(driver, collected.captures),
    serials: serialsOf(driver, collected.captures),
    restorable: worth.is,
    restorableBecause: worth.because,
  };
}

/** The exact text of an artefact that is whole. */
function proven(driver: Driver, command: ArtefactCommand, collected: Collected, mask: Mask | null): string {
  const capture = collected.captures.get(command.name);
  if (capture === undefined) {
    const because = 'the session kept no answer';
    throw new BackupError('verify.incomplete', { artefact: command.name, because, lines: 0 });
  }
  const again = collected.again.get(command.name) ?? null;
  // Without a mask a key of zeros will do: the two readings are compared here and forgotten.
  verify(driver, command, { capture, again }, mask ?? createMask(Buffer.alloc(32), ''));
  return capture.text;
}

function withoutSecrets(driver: Driver, artefact: string, text: string, mask: Mask): string {
  const { text: masked } = redact(driver, text, mask);
  const leak = leaks(masked);
  if (leak !== null) throw new BackupError('redact.leak', { artefact, ...leak });
  return masked;
}

function worthOf(driver: Driver, command: ArtefactCommand, exact: string, collected: Collected): Worth {
  let worth: Worth = collected.restorable.get(command.name) ?? { is: 'yes', because: null };
  if (command.wholeWhen.proof === 'structure') worth = worseOf(worth, structural);
  const rules = driver.restorable.map((rule) => ({ ...rule, line: withFlags(rule.line, '') }));
  for (const line of linesOf(exact)) {
    if (worth.is === 'no') break;
    for (const rule of rules) {
      if (rule.line.test(line)) worth = worseOf(worth, rule);
    }
  }
  return worth;
}

/** The worse of two with its reason; of two that are alike, the first one's reason where it has one. */
function worseOf(a: Worth, b: Worth): Worth {
  const is = worse(a.is, b.is);
  const reasons = [a, b].filter((worth) => worth.is === is).map((worth) => worth.because);
  return { is, because: reasons.find((reason) => reason !== null) ?? null };
}

/**
 * Digest (16 hex digits) of everything that decides which text goes to git: where it differs between
 * two versions, their difference may be ours and not the device's.
 */
export function rulesDigest(driver: Driver): string {
  const pattern = (expression: RegExp | undefined): string | null => expression?.toString() ?? null;
  const rules = {
    volatile: driver.volatile.map(({ line, until, act, inSection }) => {
      return [pattern(line), pattern(until), act, pattern(inSection)];
    }),
    secrets: driver.secrets.map(({ line, until, kind, rotates, inSection, exceptIn }) => {
      const where = [pattern(inSection), pattern(exceptIn)];
      return [pattern(line), pattern(until), kind, rotates ?? false, ...where];
    }),
    shapes: shapes.map((shape) => [shape.name, pattern(shape.pattern), shape.kind, shape.rotates]),
  };
  return createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, 16);
}
