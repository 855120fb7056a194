import { readFileSync } from 'node:fs';
import { failureOf } from '../../src/core/errors.ts';
import type { Capture, Driver } from '../../src/drivers/driver.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { redact } from '../../src/pipeline/redact.ts';
import {
  artefactCaptures,
  artefactOf,
  attempt,
  cutsOf,
  difference,
  failureIn,
  mask,
  read,
  sentFor,
  spread,
  verdictOn,
  verdictOnSession,
  withoutBlankEnd,
  withText,
} from './conformance-reading.ts';
import type { FixtureCase } from './devices/cases.ts';
import { byLine, byteByByte, randomPieces, timersOf, whole } from './devices/memory.ts';
import { createPersona, type Persona } from './devices/persona.ts';
import { render } from './devices/render.ts';
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
      for (const { name, sent, text } of artefactCaptures(driver, collected)) {
        const shown = persona.displayed.findLast((one) => one.command.includes(sent));
        if (shown === undefined) wrong.push(`${delivery.name}: the device never displayed ${name}`);
        else if (text !== withoutBlankEnd(shown.text))
          wrong.push(
            `${delivery.name}: ${name} is not what was displayed: ${difference(withoutBlankEnd(shown.text), text)}`,
          );
      }
      const reading = judge(driver, collected, mask);
      const expected = readFileSync(fixture.expectedPath, 'latin1');
      const got = reading.artefacts[0]?.masked ?? '';
      if (got !== expected)
        wrong.push(`${delivery.name}: not the expected text: ${difference(expected, got)}`);
    });
  }
  return wrong;
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
  for (const { name, text } of artefactCaptures(driver, collected)) {
    const endMarked = artefactOf(driver, name).wholeWhen.proof === 'end-marker';
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
  for (const { sent, text } of artefactCaptures(driver, sound.collected)) {
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
      for (const [name, faults] of tries) {
        if (tally !== undefined) tally.cutsOnTheWire += 1;
        const verdict = await verdictOnSession(driver, fixture, faults, before);
        const mayBeQuarantined = faults.stopAfter !== undefined;
        if (verdict === 'taken' || (verdict === 'quarantined' && !mayBeQuarantined))
          wrong.push(`${name}: ${verdict}`);
      }
    }
  }
  return wrong;
}

/** Lines of the configuration that end as a prompt does; `isPrompt` where nothing but the prompt stands there. */
export function promptsIn(
  fixture: FixtureCase,
): readonly { readonly text: string; readonly isPrompt: boolean }[] {
  const { config, hostname } = fixture.device;
  const lines = new Set(config.split('\n').filter((line) => /[#>$] ?$/.test(line)));
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
    const got = judge(driver, collected, mask).artefacts[0]?.masked ?? '';
    const expected = readFileSync(fixture.expectedPath, 'latin1');
    if (got !== expected)
      wrong.push(`a pause of ${ms} ms after ${JSON.stringify(text)}: ${difference(expected, got)}`);
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
    for (const [index, { name, masked }] of first.artefacts.entries()) {
      const again = second.artefacts[index]?.masked ?? '';
      if (again !== masked)
        wrong.push(`the second recording of ${name} differs: ${difference(masked, again)}`);
      const twice = redact(driver, normalise(driver, masked), mask).text;
      if (twice !== masked) wrong.push(`${name} is not stable: ${difference(masked, twice)}`);
      const { exact } = first.artefacts[index] ?? { exact: '' };
      const once = normalise(driver, exact);
      if (normalise(driver, once) !== once)
        wrong.push(`normalising ${name} twice: ${difference(once, normalise(driver, once))}`);
    }
  });
  return wrong;
}

/** 5: no listed secret, and none that was made up for a display, in any output; the neighbours still there. */
export async function checkSecrets(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  await attempt(wrong, 'secrets', async () => {
    const session = await read(driver, fixture, { twice: true });
    const { persona, collected, transcript, shownTranscript } = session;
    const reading = judge(driver, collected, mask);
    const credentials = [fixture.device.password, fixture.device.enable].filter((one) => one !== undefined);
    const secrets = [...fixture.secrets, ...persona.madeUpSecrets];
    for (const secret of secrets)
      if (!fixture.device.config.includes(secret) && !persona.madeUpSecrets.has(secret))
        wrong.push(`the fixture does not hold the secret that it lists: ${secret}`);
    for (const { name, masked } of reading.artefacts) {
      for (const secret of secrets) if (masked.includes(secret)) wrong.push(`${name} holds ${secret}`);
      for (const neighbour of fixture.neighbours)
        if (!masked.includes(neighbour)) wrong.push(`${name} lost ${neighbour}`);
    }
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
    for (const sent of sentFor(driver)) {
      const spoiled: Faults = { stopAfter: { ...faults.stopAfter, command: sent } };
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
export async function checkCommands(
  driver: Driver,
  fixture: FixtureCase,
  expected: (twice: boolean) => readonly string[],
): Promise<string[]> {
  const wrong: string[] = [];
  for (const twice of [false, true]) {
    await attempt(wrong, 'commands', async () => {
      const { persona } = await read(driver, fixture, { twice });
      const typed = persona.typed
        .filter(({ kind }) => kind === 'line' || kind === 'exec')
        .map(({ text }) => text);
      const should = expected(twice);
      if (JSON.stringify(typed) !== JSON.stringify(should))
        wrong.push(`typed ${JSON.stringify(typed)} instead of ${JSON.stringify(should)}`);
      const keys = persona.typed.filter(({ kind }) => kind === 'key').map(({ text }) => text);
      const known = keysOf(driver);
      for (const key of keys) if (!known.has(key)) wrong.push(`pressed ${JSON.stringify(key)}`);
    });
  }
  return wrong;
}

/** What this driver types on a device such as this one, worked out from the driver's data alone. */
export function commandsFor(driver: Driver, fixture: FixtureCase, twice: boolean): string[] {
  const { device } = fixture;
  const isTmsh = device.shell === 'tmsh';
  const dialogue = driver.dialogues.find(
    ({ channel }) => channel === (isTmsh || driver.dialogues.length === 1 ? 'shell' : 'exec'),
  );
  const ways = driver.commands.flatMap((command) => {
    const before = command.before ?? [];
    if (command.keep === 'facts') return [{ before, send: command.send, second: false }];
    const granted = device.moreRefused === true ? command.firstOf : command.firstOf.slice(0, 1);
    return granted.map(({ send }) => ({ before, send, second: false, proof: command.wholeWhen.proof }));
  });
  const seconds = twice ? ways.filter((way) => 'proof' in way && way.proof === 'structure').slice(-1) : [];
  const all = [...ways, ...seconds];
  const execs = driver.dialogues.flatMap((one) =>
    one.channel === 'exec'
      ? all.map(({ before, send }) => one.line.replace('{commands}', [...before, send].join('; ')))
      : [],
  );
  if (dialogue === undefined || dialogue.channel === 'exec') return execs;
  const logins = driver.id === 'cisco_asa' && device.autoEnable !== true ? ['enable'] : [];
  const lines = all.flatMap(({ before, send }) => [...before, send]);
  // The first exec tells that another shell listens. What is typed after the goodbye is not read.
  return [...execs.slice(0, 1), ...logins, ...dialogue.prepare, ...lines, ...dialogue.leave.slice(0, 1)];
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
 * What a fixture's `expected.cfg` should hold according to the rules as they are: made from what the device
 * displays and not from what the dialogue made of it, so that the dialogue is judged by it too.
 */
export function expectedText(driver: Driver, fixture: FixtureCase): string {
  const { text } = render(fixture.device.config, 1);
  const artefact = driver.commands.find(({ keep }) => keep === 'artefact');
  const name = artefact?.name ?? '';
  const capture: Capture = { text, endedBy: 'prompt', exitStatus: null, sent: '' };
  const captures = new Map([[name, capture]]);
  const reading = judge(driver, { captures, again: new Map(), restorable: new Map() }, mask);
  return reading.artefacts[0]?.masked ?? '';
}
