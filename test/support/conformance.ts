import { basename } from 'node:path';
import { failureOf } from '../../src/core/errors.ts';
import type { Command, Driver, Options } from '../../src/drivers/driver.ts';
import { judge, type Reading } from '../../src/pipeline/judge.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { redact } from '../../src/pipeline/redact.ts';
import {
  artefactCaptures,
  attempt,
  cutsOf,
  difference,
  displayedAs,
  failureIn,
  mask,
  read,
  type Session,
  spread,
  verdictOn,
  verdictOnSession,
  withText,
} from './conformance-reading.ts';
import { expectedPath, expectedTexts, type FixtureCase, templatesOf } from './devices/cases.ts';
import { byLine, byteByByte, randomPieces, timersOf, whole } from './devices/memory.ts';
import { createPersona, type Persona } from './devices/persona.ts';
import type { Faults } from './devices/spec.ts';
import type { FakeClock } from './fake-clock.ts';

/*
 * What every driver has to hold over every fixture. Each check returns the sentences that are not true;
 * an empty list is a pass. They are functions, and no tests, so that a mutated driver can be put through
 * them and be expected to fail.
 */

/** Counts for the list that the suite prints. */
export interface Tally {
  cutsByText: number;
  cutsOnTheWire: number;
  deliveries: number;
}

/** 1 and 2: the expected artefacts come out, byte for byte, however the bytes arrive. */
export async function checkArtefacts(
  driver: Driver,
  fixture: FixtureCase,
  seed: number,
  tally?: Tally,
): Promise<string[]> {
  const wrong: string[] = [];
  const deliveries = [whole, byLine, byteByByte, ...[0, 1, 2].map((more) => randomPieces(seed + more))];
  for (const delivery of deliveries) {
    if (tally !== undefined) tally.deliveries += 1;
    await attempt(wrong, delivery.name, async () => {
      const { persona, collected } = await read(driver, fixture, { delivery });
      for (const { name, sent, text } of artefactCaptures(collected)) {
        const shown = displayedAs(persona, sent, text);
        if (shown === null) wrong.push(`${delivery.name}: the device never displayed ${name}`);
        else if (text !== shown)
          wrong.push(`${delivery.name}: ${name} is not what was displayed: ${difference(shown, text)}`);
      }
      wrong.push(...unexpected(fixture, judge(driver, collected, mask), delivery.name));
    });
  }
  return wrong;
}

/** Every artefact that is not as its file says, or has none, or has a file and was not read. */
function unexpected(fixture: FixtureCase, reading: Reading, when: string): string[] {
  const wrong: string[] = [];
  const left = new Map(expectedTexts(fixture));
  for (const { name, masked } of reading.artefacts) {
    const file = expectedName(fixture, name);
    const expected = left.get(file);
    left.delete(file);
    if (expected === undefined) wrong.push(`${when}: nobody expects ${name}`);
    else if (masked !== expected)
      wrong.push(`${when}: ${name} is not the expected text: ${difference(expected, masked)}`);
  }
  for (const name of left.keys()) wrong.push(`${when}: ${name} was not read`);
  return wrong;
}

function expectedName(fixture: FixtureCase, artefact: string): string {
  if (artefact === 'running-config') return artefact;
  return basename(expectedPath(fixture, artefact), '.cfg');
}

/** What a fixture's device tells of itself, and what its copy is worth. */
export async function checkFacts(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  await attempt(wrong, 'facts', async () => {
    const reading = judge(driver, (await read(driver, fixture)).collected, mask);
    const facts: { readonly [name: string]: string | null } = { ...reading.facts };
    for (const [name, value] of Object.entries(fixture.facts))
      if (facts[name] !== value) wrong.push(`${name} is ${facts[name]}, not ${value}`);
    if (reading.restorable !== fixture.restorable)
      wrong.push(
        `restorable is ${reading.restorable} (${reading.restorableBecause}), not ${fixture.restorable}`,
      );
  });
  return wrong;
}

/** 3, with the prompt: cut at every line and inside lines, never whole off a boundary, on one quarantined. */
export async function checkCuts(driver: Driver, fixture: FixtureCase, tally?: Tally): Promise<string[]> {
  const wrong: string[] = [];
  const { collected } = await read(driver, fixture);
  const before = judge(driver, collected, mask);
  for (const { name, command, text } of artefactCaptures(collected)) {
    const endMarked = command.wholeWhen.proof === 'end-marker';
    for (const { at, cut } of cutsOf(text)) {
      if (tally !== undefined) tally.cutsByText += 1;
      const verdict = verdictOn(driver, withText(collected, name, cut), before);
      if (verdict === 'taken') wrong.push(`${name} cut ${at} was taken`);
      if (verdict === 'quarantined' && endMarked)
        wrong.push(`${name} cut ${at} counted as whole in spite of its end marker`);
    }
  }
  return wrong;
}

/**
 * 3, through the whole dialogue: the answer stops after a line and the prompt returns; the connection
 * breaks; silence sets in. The last two at `samples` places of the wire, spread over the whole answer.
 */
export async function checkBrokenSessions(
  driver: Driver,
  fixture: FixtureCase,
  samples: number,
  tally?: Tally,
): Promise<string[]> {
  const wrong: string[] = [];
  const sound = await read(driver, fixture);
  const before = judge(driver, sound.collected, mask);
  for (const { name, sent, text } of artefactCaptures(sound.collected)) {
    const lines = text.split('\n').length - 1;
    const bytes = text.length + lines;
    for (const share of spread(samples)) {
      const byte = Math.floor(bytes * share);
      const after = Math.floor((lines - 2) * share);
      const tries: readonly (readonly [string, Faults])[] = [
        [`stopped after ${after} lines`, { stopAfter: { command: sent, lines: after } }],
        [`connection cut at byte ${byte}`, { cutAt: { command: sent, byte } }],
        [`silence at byte ${byte}`, { silentAt: { command: sent, byte } }],
      ];
      for (const [what, faults] of tries) {
        if (tally !== undefined) tally.cutsOnTheWire += 1;
        const verdict = await verdictOnSession(driver, fixture, faults, before);
        const mayBeQuarantined = faults.stopAfter !== undefined;
        if (verdict === 'taken' || (verdict === 'quarantined' && !mayBeQuarantined))
          wrong.push(`${name} ${what}: ${verdict}`);
      }
    }
  }
  return wrong;
}

/** Lines of the configuration that end as a prompt does; `isPrompt` where nothing but the prompt stands there. */
export function promptsIn(
  fixture: FixtureCase,
): readonly { readonly text: string; readonly isPrompt: boolean }[] {
  const { hostname } = fixture.device;
  const all = templatesOf(fixture).flatMap((text) => text.split('\n'));
  const lines = new Set(all.filter((line) => /[#>$] ?$/.test(line)));
  return [...lines].map((text) => ({ text, isPrompt: text.startsWith(hostname) }));
}

/** A pause in the middle of an answer, right after `text`, changes nothing. */
export async function checkPause(
  driver: Driver,
  fixture: FixtureCase,
  text: string,
  ms: number,
): Promise<string[]> {
  const wrong: string[] = [];
  await attempt(wrong, `a pause of ${ms} ms after ${JSON.stringify(text)}`, async () => {
    const { collected } = await read(driver, fixture, { faults: { pauseAfter: { text, ms } } });
    const when = `a pause of ${ms} ms after ${JSON.stringify(text)}`;
    wrong.push(...unexpected(fixture, judge(driver, collected, mask), when));
  });
  return wrong;
}

/** 4: normalising and masking twice is the same as once, and a second recording gives the same bytes. */
export async function checkStability(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  let device: Persona | null = null;
  const onePersona = (clock: FakeClock): Persona => {
    device ??= createPersona(fixture.device, timersOf(clock));
    return device;
  };
  await attempt(wrong, 'stability', async () => {
    const first = judge(driver, (await read(driver, fixture, { persona: onePersona })).collected, mask);
    const second = judge(
      driver,
      (await read(driver, fixture, { persona: onePersona, twice: true })).collected,
      mask,
    );
    const inHa = first.condition.ha !== null;
    for (const { name, exact, masked } of first.artefacts) {
      const again = second.artefacts.find((one) => one.name === name)?.masked ?? '';
      if (again !== masked)
        wrong.push(`the second recording of ${name} differs: ${difference(masked, again)}`);
      const twice = redact(driver, normalise(driver, masked, inHa), mask).text;
      if (twice !== masked) wrong.push(`${name} is not stable: ${difference(masked, twice)}`);
      const once = normalise(driver, exact, inHa);
      const again2 = normalise(driver, once, inHa);
      if (again2 !== once) wrong.push(`normalising ${name} twice: ${difference(once, again2)}`);
    }
  });
  return wrong;
}

/** 5: no listed secret, and none that was made up for a display, in any output; the neighbours still there. */
export async function checkSecrets(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  const sent = new Set<string>();
  const templates = templatesOf(fixture);
  await attempt(wrong, 'secrets', async () => {
    const session = await read(driver, fixture, { twice: true });
    for (const capture of artefactCaptures(session.collected)) sent.add(capture.sent);
    const { persona, collected, transcript, shownTranscript } = session;
    const reading = judge(driver, collected, mask);
    const credentials = [fixture.device.password, fixture.device.enable].filter((one) => one !== undefined);
    const secrets = [...fixture.secrets, ...persona.madeUpSecrets];
    for (const secret of secrets)
      if (!templates.some((text) => text.includes(secret)) && !persona.madeUpSecrets.has(secret))
        wrong.push(`the fixture does not hold the secret that it lists: ${secret}`);
    for (const { name, masked, exact } of reading.artefacts) {
      for (const secret of secrets) if (masked.includes(secret)) wrong.push(`${name} holds ${secret}`);
      for (const neighbour of fixture.neighbours)
        if (exact.includes(neighbour) && !masked.includes(neighbour)) wrong.push(`${name} lost ${neighbour}`);
    }
    for (const neighbour of fixture.neighbours)
      if (!reading.artefacts.some(({ masked }) => masked.includes(neighbour)))
        wrong.push(`no artefact holds ${neighbour}`);
    const told = JSON.stringify([reading.facts, reading.restorableBecause, reading.serials]);
    for (const secret of [...secrets, ...credentials])
      if (told.includes(secret)) wrong.push(`the facts hold ${secret}`);
    for (const secret of secrets)
      if (shownTranscript.includes(secret)) wrong.push(`the transcript shows ${secret}`);
    for (const secret of credentials)
      if (transcript.includes(secret)) wrong.push('the transcript holds a credential');
  });
  // What a failure says is an output as well.
  for (const share of [0.3, 0.6, 0.9]) {
    const lines = fixture.device.config.split('\n').length;
    const faults = { stopAfter: { command: '', lines: Math.floor(lines * share) } };
    for (const command of sent) {
      const spoiled: Faults = { stopAfter: { ...faults.stopAfter, command } };
      const said = await read(driver, fixture, { faults: spoiled }).then(
        ({ collected }) => failureIn(() => judge(driver, collected, mask)),
        (thrown: unknown) => JSON.stringify(failureOf(thrown)),
      );
      for (const secret of fixture.secrets)
        if (said.includes(secret)) wrong.push(`a failure holds ${secret}`);
    }
  }
  return wrong;
}

/** 6: exactly the driver's commands, in order, and nothing else; a second reading where it is asked for. */
export async function checkCommands(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  for (const twice of [false, true]) {
    await attempt(wrong, 'commands', async () => {
      const session = await read(driver, fixture, { twice });
      const typed = session.persona.typed
        .filter(({ kind }) => kind === 'line' || kind === 'exec')
        .map(({ text }) => text);
      const logins = moveLines(driver, session.collected.seen.options);
      while (typed[0] !== undefined && logins.has(typed[0])) typed.shift();
      const should = fixture.typed ?? commandsFor(driver, session, twice);
      // What is typed in a second reading beside a list of its own is not worked out a second time: it comes before the goodbye.
      const told = fixture.typed !== null && twice ? should.length - 1 : Number.POSITIVE_INFINITY;
      const [said, expected] = [typed.slice(0, told), should.slice(0, told)];
      if (JSON.stringify(said) !== JSON.stringify(expected))
        wrong.push(`typed ${JSON.stringify(said)} instead of ${JSON.stringify(expected)}`);
      const keys = session.persona.typed.filter(({ kind }) => kind === 'key').map(({ text }) => text);
      const known = keysOf(driver);
      for (const key of keys) if (!known.has(key)) wrong.push(`pressed ${JSON.stringify(key)}`);
    });
  }
  return wrong;
}

/** What the driver types to get from the first prompt to the one at which commands run. */
function moveLines(driver: Driver, options: Options): ReadonlySet<string> {
  const lines = driver.dialogues.flatMap((dialogue) =>
    dialogue.channel === 'exec'
      ? []
      : Object.values(dialogue.modes).flatMap((mode) =>
          mode.kind === 'prompt' ? Object.values(mode.moves ?? {}).map((move) => move?.send ?? '') : [],
        ),
  );
  return new Set(lines.map((line) => withValues(line, options)));
}

function withValues(template: string, values: Options): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** One thing that was asked for, and what is typed for it. */
interface Asking {
  readonly lines: readonly string[];
  /** Asked again where everything is read twice. */
  readonly again: readonly string[];
}

/**
 * What this driver types on a device that answers as it did in `session`, worked out from the driver's data: which
 * commands and for which items, in which order, and the ways up to the one that was granted.
 */
function commandsFor(driver: Driver, { collected }: Session, twice: boolean): string[] {
  const { seen } = collected;
  const dialogue = driver.dialogues.find(({ name }) => name === seen.dialogue);
  if (dialogue === undefined) return [];
  const line = (command: Command, before: readonly string[], send: string): string[] =>
    dialogue.channel === 'shell'
      ? [...before, send, ...(command.after ?? [])]
      : [(command.execLine ?? dialogue.line).replace('{commands}', () => [...before, send].join('; '))];
  const askings = driver.commands.flatMap((command): Asking[] => {
    if (command.keep === 'archive' || command.when?.(seen) === false) return [];
    const { before = [], after = [], forEach } = command;
    const items = forEach === undefined ? [{}] : forEach.items(seen.text(forEach.over) ?? '', seen);
    const ways =
      command.keep === 'facts'
        ? [{ send: command.send }]
        : command.firstOf.filter((way) => way.when?.(seen) !== false);
    return items.map((item) => {
      const fill = (text: string): string => withValues(text, item);
      const filled = { ...command, after: after.map(fill) };
      const sent = collected.captures.get(fill(command.name))?.sent;
      const granted = ways.findIndex((way) => fill(way.send) === sent);
      const typed = ways.map((way) => {
        const by = 'by' in way ? way.by : undefined;
        if (by === 'sftp') return [`sftp ${fill(way.send)}`];
        if (by === 'scp') return [`scp -f ${fill(way.send)}`];
        return line(filled, before.map(fill), fill(way.send));
      });
      const again = command.keep === 'artefact' && command.wholeWhen.proof === 'structure';
      return {
        lines: (granted === -1 ? typed : typed.slice(0, granted + 1)).flat(),
        again: again && granted !== -1 ? (typed[granted] ?? []) : [],
      };
    });
  });
  const all = [
    ...askings.flatMap(({ lines }) => lines),
    ...(twice ? askings.flatMap(({ again }) => again) : []),
  ];
  if (dialogue.channel === 'exec') return all;
  // The first exec tells that another shell listens. What is typed after the goodbye is not read.
  const tried = driver.dialogues.slice(0, driver.dialogues.indexOf(dialogue)).flatMap((other) => {
    const first = driver.commands[0];
    if (other.channel === 'shell' || first?.keep !== 'facts') return [];
    return [other.line.replace('{commands}', () => [...(first.before ?? []), first.send].join('; '))];
  });
  return [...tried, ...dialogue.prepare, ...all, ...dialogue.leave.slice(0, 1)];
}

/** Every single key that the driver may press. */
function keysOf(driver: Driver): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const dialogue of driver.dialogues) {
    if (dialogue.channel !== 'shell') continue;
    for (const { press } of dialogue.pagers) keys.add(press);
    for (const mode of Object.values(dialogue.modes))
      if (mode.kind === 'question' && 'text' in mode.answer && !mode.answer.enter) keys.add(mode.answer.text);
  }
  return keys;
}

/**
 * What the expected texts of a fixture should be according to the rules as they are, by the path of the file: made
 * from what the device displays and not from what the dialogue made of it, so that the dialogue is judged by it too.
 */
export async function expectedFiles(
  driver: Driver,
  fixture: FixtureCase,
): Promise<ReadonlyMap<string, string>> {
  const { persona, collected } = await read(driver, fixture);
  let displayed = collected;
  for (const { name, sent, text } of artefactCaptures(collected))
    displayed = withText(displayed, name, displayedAs(persona, sent, text) ?? '');
  const { artefacts } = judge(driver, displayed, mask);
  return new Map(artefacts.map(({ name, masked }) => [expectedPath(fixture, name), masked]));
}
