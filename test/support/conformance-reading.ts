import type { Device } from '../../src/core/device.ts';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import type { SpoolEntry } from '../../src/core/run.ts';
import type { ArtefactCommand, Capture, Driver } from '../../src/drivers/driver.ts';
import { compare } from '../../src/pipeline/compare.ts';
import { judge, type Reading } from '../../src/pipeline/judge.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { redactDisplay } from '../../src/pipeline/redact-display.ts';
import { type ArchiveOrder, type Collected, collect } from '../../src/transport/collect.ts';
import type { HostKeys } from '../../src/transport/host-keys.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { plainDevice } from './device.ts';
import type { FixtureCase } from './devices/cases.ts';
import { type Delivery, memoryConnect, timersOf, whole } from './devices/memory.ts';
import { createPersona, type Persona } from './devices/persona.ts';
import type { Faults } from './devices/spec.ts';
import { FakeClock } from './fake-clock.ts';

/* How a fixture is read in memory, and what becomes of a reading: the ground of the checks in conformance.ts. */

/** The key behind the masks in every `expected.cfg`. */
export const mask = createMask(Buffer.alloc(32, 7), 'conformance');

const noHostKeys: HostKeys = { of: () => [], pin: async () => {}, replace: async () => {} };

export interface Session {
  readonly persona: Persona;
  readonly collected: Collected;
  /** What was kept of the session, before and after it is made fit to be shown. */
  readonly transcript: string;
  readonly shownTranscript: string;
}

/** Reads the device once, in memory and in virtual time. Throws what `collect` throws. */
export async function read(
  driver: Driver,
  fixture: FixtureCase,
  how: {
    readonly delivery?: Delivery;
    readonly faults?: Faults;
    readonly persona?: (clock: FakeClock) => Persona;
    readonly twice?: boolean;
    readonly archives?: readonly ArchiveOrder[];
  } = {},
): Promise<Session> {
  const clock = new FakeClock();
  const persona =
    how.persona?.(clock) ??
    createPersona(
      { ...fixture.device, ...(how.faults === undefined ? {} : { faults: how.faults }) },
      timersOf(clock),
    );
  const transcript = createTranscript({ limitBytes: 1 << 20 });
  const collected = await clock.until(
    collect(
      {
        device: deviceOf(fixture),
        driver,
        readSecret: async (ref) => ('literal' in ref ? ref.literal : ''),
        hostKeys: noHostKeys,
        clock,
        signal: new AbortController().signal,
        readTwice: how.twice ?? false,
        maxBytes: 1 << 26,
        onProgress: () => {},
        transcript,
        archives: how.archives ?? [],
      },
      memoryConnect(persona, clock, how.delivery ?? whole),
    ),
  );
  return {
    persona,
    collected,
    transcript: transcript.render((text) => text),
    shownTranscript: transcript.render((text, beginsMidLine) =>
      redactDisplay(driver, text, { beginsMidLine }),
    ),
  };
}

type Verdict = 'refused' | 'quarantined' | 'taken';

export async function verdictOnSession(
  driver: Driver,
  fixture: FixtureCase,
  faults: Faults,
  before: Reading,
): Promise<Verdict> {
  try {
    const { collected } = await read(driver, fixture, { faults });
    return verdictOn(driver, collected, before);
  } catch (thrown) {
    if (thrown instanceof BackupError) return 'refused';
    throw thrown;
  }
}

/** What becomes of a reading after a good one. */
export function verdictOn(driver: Driver, collected: Collected, before: Reading): Verdict {
  let reading: Reading;
  try {
    reading = judge(driver, collected, mask);
  } catch (thrown) {
    if (thrown instanceof BackupError) return 'refused';
    throw thrown;
  }
  const outcome = compare(
    {
      artefacts: new Map(before.artefacts.map(({ name, masked }) => [name, masked])),
      restorable: before.restorable,
      identity: { hostname: before.facts.hostname, serials: before.serials, hostnames: {} },
    },
    entryOf(driver, reading),
    driver,
    { hostname: null, serials: [] },
  );
  return typeof outcome === 'string' ? 'taken' : 'quarantined';
}

/** Cuts after every line, in its middle, and before its last character; the device then goes to a new line. */
export function cutsOf(text: string): { readonly at: string; readonly cut: string }[] {
  const end = text.trimEnd().length;
  const cuts: { at: string; cut: string }[] = [];
  let start = 0;
  for (const [index, line] of text.split('\n').entries()) {
    for (const within of new Set([line.length >> 1, line.length - 1, line.length])) {
      const at = start + within;
      if (within < 0 || at >= end || (within === 0 && line !== '')) continue;
      cuts.push({
        at: `in line ${index + 1} after ${within} of ${line.length}`,
        cut: `${text.slice(0, at)}\n`,
      });
    }
    start += line.length + 1;
  }
  return cuts;
}

export function withText(collected: Collected, name: string, text: string): Collected {
  const captures = new Map(collected.captures);
  const capture = captures.get(name);
  if (capture !== undefined) captures.set(name, { ...capture, text });
  return { ...collected, captures };
}

/** Every artefact that was read, in the order of reading. */
export function artefactCaptures({
  artefacts,
  captures,
}: Collected): { name: string; command: ArtefactCommand; sent: string; text: string }[] {
  return [...artefacts].flatMap(([name, command]) => {
    const capture: Capture | undefined = captures.get(name);
    return capture === undefined ? [] : [{ name, command, sent: capture.sent, text: capture.text }];
  });
}

/**
 * What the device meant to display where `text` was read: the same command may have been asked in several contexts,
 * so the one that is the text, else the last one, to show the difference. Null where it never displayed any.
 */
export function displayedAs(persona: Persona, sent: string, text: string): string | null {
  const shown = persona.displayed
    .filter(({ command }) => command.includes(sent))
    .map((one) => withoutBlankEnd(one.text));
  return shown.find((one) => one === text) ?? shown.at(-1) ?? null;
}

/** `count` shares between 0 and 1, both ends left out. */
export function spread(count: number): number[] {
  return Array.from({ length: count }, (_, index) => (index + 1) / (count + 1));
}

export async function attempt(wrong: string[], what: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (thrown) {
    if (!(thrown instanceof BackupError)) throw thrown;
    wrong.push(`${what}: ${thrown.code} ${JSON.stringify(thrown.detail)}`);
  }
}

export function failureIn(body: () => unknown): string {
  try {
    body();
    return '';
  } catch (thrown) {
    return JSON.stringify(failureOf(thrown));
  }
}

/** One blank line before a prompt may belong to the prompt, as on FortiOS: it cannot be told from the answer's own. */
function withoutBlankEnd(text: string): string {
  return text.endsWith('\n\n') ? text.slice(0, -1) : text;
}

/** The first line in which two texts differ, from a little before the first character that does. */
export function difference(expected: string, got: string): string {
  const [want, have] = [expected.split('\n'), got.split('\n')];
  const index = Array.from({ length: Math.max(want.length, have.length) }).findIndex(
    (_, at) => want[at] !== have[at],
  );
  const [one, other] = [want[index], have[index]];
  let at = 0;
  while (one !== undefined && other !== undefined && one[at] === other[at]) at += 1;
  const show = (line: string | undefined): string =>
    line === undefined ? 'no such line' : JSON.stringify(line.slice(Math.max(0, at - 20), at + 60));
  return `line ${index + 1}, character ${at + 1}: expected ${show(one)}, got ${show(other)}`;
}

function deviceOf({ platform, device, options }: FixtureCase): Device {
  const { username = 'backup', password = '', enable } = device;
  return plainDevice({
    name: 'fixture',
    platform,
    host: 'in-memory.invalid',
    options,
    credentials: {
      name: 'fixture',
      username,
      password: { literal: password },
      enable: enable === undefined ? null : { literal: enable },
    },
  });
}

function entryOf(driver: Driver, reading: Reading): SpoolEntry {
  return {
    runId: 'run',
    deviceId: 'conformance',
    deviceName: 'fixture',
    group: 'default',
    platform: driver.id,
    trigger: 'manual',
    slotMs: null,
    readAtMs: 0,
    artefacts: reading.artefacts.map(({ name, masked }) => ({ name, masked, sealed: null })),
    facts: reading.facts,
    condition: reading.condition,
    serials: reading.serials,
    restorable: reading.restorable,
    restorableBecause: reading.restorableBecause,
    maskKey: 'key',
    rules: 'rules',
  };
}
