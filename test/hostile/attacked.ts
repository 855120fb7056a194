import type { Driver, Options } from '../../src/drivers/driver.ts';
import { redactDisplay } from '../../src/pipeline/redact-display.ts';
import type { Channel } from '../../src/transport/channel.ts';
import { type Collected, collect } from '../../src/transport/collect.ts';
import { optionsOf } from '../../src/transport/placeholders.ts';
import type { Connection } from '../../src/transport/ssh.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { plainDevice } from '../support/device.ts';
import type { FixtureCase } from '../support/devices/cases.ts';
import { type Delivery, memoryConnect, timersOf } from '../support/devices/memory.ts';
import { createPersona } from '../support/devices/persona.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** One way to spoil a session; the same seed spoils it in the same way. */
export interface Mutation {
  readonly seed: number;
  /** Of a thousand pieces, so many are spoiled. */
  readonly perMille: number;
}

export function* mutations({ name }: FixtureCase, rounds: number): Generator<Mutation> {
  let seed = 7;
  for (const letter of name) seed = (Math.imul(seed, 31) + letter.charCodeAt(0)) >>> 0;
  for (let round = 0; round < rounds; round++)
    yield { seed: seed + round * 7919, perMille: [4, 40, 400][round % 3] ?? 4 };
}

/** What is put into the words of a device, besides single octets. */
const intruders = (fixture: FixtureCase): readonly string[] => [
  `${fixture.device.hostname}# `,
  `\r\n${fixture.device.hostname}# `,
  `\r\n${fixture.device.hostname}> `,
  `\r\n${fixture.device.hostname} # `,
  'Password: ',
  '\r\nPassword: ',
  '\r\nUsername: ',
  '\r\nNew Password: ',
  '--More-- ',
  '<--- More --->',
  '---(less 12%)---',
  '(END)',
  'Display all 99 items? (y/n) ',
  "(Press 'a' to accept): ",
  '[Y]es, [N]o, [A]sk later: ',
  '\r\x1b[2K',
  '\x1b]0;owned\x07',
  '\x1bP1;1|',
  '\x1b[999;999H',
  '**\x18B00000000000000',
  '\x9b2J',
  '\xe2\x80\xae',
  '\x00',
  '\b'.repeat(40),
  '\r',
  '\n',
  '\r\n',
  ' \b',
  '\xff\xfe',
  '%ASA-5-111008: User ',
  'context ../../x\r\n',
  `${fixture.device.password ?? ''}\r\n`,
  `${[...(fixture.device.password ?? '')].join('\x00')}\r\n`,
];

function spoiling(fixture: FixtureCase, { seed, perMille }: Mutation): Delivery {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const words = intruders(fixture);
  const spoil = (text: string): readonly string[] => {
    const at = below(text.length + 1);
    const octet = String.fromCharCode(below(256));
    switch (below(8)) {
      case 0:
        return [text.slice(0, at) + octet + text.slice(at + 1)];
      case 1:
        return [text.slice(0, at) + text.slice(at + 1)];
      case 2:
        return [text, text];
      case 3:
        return [];
      case 4:
        return [text.slice(0, at)];
      default:
        // Alone in its piece: quiet may follow it.
        return [text.slice(0, at), words[below(words.length)] ?? '', text.slice(at)];
    }
  };
  return {
    name: `spoiled with seed ${seed}`,
    split: (text) =>
      text
        .split(/(?<=\n)/)
        .flatMap((line) => (below(1_000) < perMille ? spoil(line) : [line]))
        .filter((piece) => piece !== ''),
    gapMs: () => (below(100) === 0 ? below(9_000) : 0),
  };
}

/** What came of an attack. */
export interface Attacked {
  readonly collected: Collected | null;
  readonly thrown: unknown;
  /** Lines and keys, without Enter, in order. */
  readonly typed: readonly string[];
  readonly credentials: readonly { readonly name: string; readonly value: string }[];
  readonly options: Options;
  /** As it would be stored. */
  readonly transcript: string;
  readonly tookMs: number;
  readonly limitMs: number;
}

/** Reads the device of a fixture once, in memory and in virtual time, with its words spoiled. */
export async function attacked(driver: Driver, fixture: FixtureCase, mutation: Mutation): Promise<Attacked> {
  const clock = new FakeClock();
  const persona = createPersona(fixture.device, timersOf(clock));
  const kept = createTranscript({ limitBytes: 1 << 20 });
  const { username = 'backup', password = '', enable } = fixture.device;
  const typed: string[] = [];
  const device = plainDevice({
    platform: fixture.platform,
    options: fixture.options,
    maxRuntimeMs: 600_000,
    credentials: {
      name: 'fixture',
      username,
      password: { literal: password },
      enable: enable === undefined ? null : { literal: enable },
    },
  });
  const open = memoryConnect(persona, clock, spoiling(fixture, mutation));
  let collected: Collected | null = null;
  let thrown: unknown = null;
  try {
    const reading = collect(
      {
        device,
        driver,
        readSecret: async (ref) => ('literal' in ref ? ref.literal : ''),
        hostKeys: { of: () => [], pin: async () => {}, replace: async () => {} },
        clock,
        signal: new AbortController().signal,
        readTwice: true,
        maxBytes: 1 << 24,
        onProgress: () => {},
        transcript: kept,
      },
      async (request) => {
        // As the real one does: the login password is read before the first packet.
        const { password: ref } = request.device.credentials;
        if (ref !== null && ref !== undefined) await request.readSecret(ref);
        return recording(await open(request), typed);
      },
    );
    collected = await clock.until(reading);
  } catch (error) {
    thrown = error;
  }
  const secrets = [
    { name: 'username', value: username },
    { name: 'password', value: password },
    ...(enable === undefined ? [] : [{ name: 'enable password', value: enable }]),
  ];
  return {
    collected,
    thrown,
    typed,
    credentials: secrets.filter(({ value }) => value !== ''),
    options: optionsOf(driver, fixture.options),
    transcript: kept.render((text, beginsMidLine) => redactDisplay(driver, text, { beginsMidLine })),
    tookMs: clock.monotonicMs(),
    limitMs: device.maxRuntimeMs + 1_000,
  };
}

/** The same connection, with all that is typed written down. */
function recording(connection: Connection, typed: string[]): Connection {
  const listened = (channel: Channel): Channel => ({
    write(latin1) {
      typed.push(latin1.replace(/\n$/, ''));
      channel.write(latin1);
    },
    onData: (listener) => channel.onData(listener),
    onEnd: (listener) => channel.onEnd(listener),
    pause: () => channel.pause(),
    resume: () => channel.resume(),
    close: () => channel.close(),
  });
  return {
    ...connection,
    shell: async () => listened(await connection.shell()),
    exec: async (line) => {
      typed.push(line);
      return listened(await connection.exec(line));
    },
    sftp: (path) => {
      typed.push(`sftp ${path}`);
      return connection.sftp(path);
    },
  };
}

/** Everything that a driver has typed on its own account, keys of pagers and of file transfers included. */
export function linesOf(driver: Driver): readonly string[] {
  const dialogues = driver.dialogues.flatMap((dialogue) => {
    if (dialogue.channel === 'exec') return [];
    const modes = Object.values(dialogue.modes).flatMap((mode) => {
      if (mode.kind === 'question') return 'text' in mode.answer ? [mode.answer.text] : [];
      if (mode.kind !== 'prompt') return [];
      return Object.values(mode.moves ?? {}).flatMap((move) => (move === undefined ? [] : [move.send]));
    });
    return [...modes, ...dialogue.prepare, ...dialogue.leave, ...dialogue.pagers.map(({ press }) => press)];
  });
  const exec = driver.dialogues.flatMap((dialogue) => (dialogue.channel === 'exec' ? [dialogue.line] : []));
  const commands = driver.commands.flatMap((command) => {
    if (command.keep === 'archive') return [];
    const { before = [], after = [], execLine } = command;
    const ways = command.keep === 'facts' ? [{ send: command.send, by: undefined }] : command.firstOf;
    const typed = ways.flatMap(({ send, by }) => {
      if (by !== undefined) return [`${by === 'scp' ? 'scp -f' : 'sftp'} ${send}`];
      const joined = [...before, send].join('; ');
      return [
        send,
        ...(execLine === undefined ? exec : [execLine]).map((line) =>
          line.replace('{commands}', () => joined),
        ),
      ];
    });
    return [...before, ...typed, ...after];
  });
  // The answers of SCP.
  return [...dialogues, ...commands, '\0'];
}
