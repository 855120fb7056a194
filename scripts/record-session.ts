/**
 * Records one session with a real device as the beginning of a fixture: what went over the wire with control characters
 * visible, the texts, and a case.yaml. Asks about everything that tells whose device it is, before anything is written.
 *
 *   npm run record -- NAME [--config FILE] [--out DIR]
 *
 * NAME is a device of the inventory; its host key has to be trusted. DIR defaults to
 * test/fixtures/<platform>/recorded-<time>.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { dump } from 'js-yaml';
import { describe } from '../src/core/catalogue.ts';
import { systemClock } from '../src/core/clock.ts';
import { harmless } from '../src/core/display.ts';
import { failureOf } from '../src/core/errors.ts';
import { createContext } from '../src/daemon/context.ts';
import { maxArtefactBytes } from '../src/daemon/runner.ts';
import { deviceNamed, driverOf } from '../src/daemon/services/context.ts';
import { judge } from '../src/pipeline/judge.ts';
import { createMask } from '../src/pipeline/mask.ts';
import { normalise } from '../src/pipeline/normalise.ts';
import { redact } from '../src/pipeline/redact.ts';
import { collect } from '../src/transport/collect.ts';
import { connect } from '../src/transport/ssh.ts';
import { createTranscript } from '../src/transport/transcript.ts';
import { findingsIn, replaceAll } from './recording/anonymise.ts';
import { type Piece, taped, visible } from './recording/tape.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { config: { type: 'string' }, out: { type: 'string' } },
});
const [name] = positionals;
if (name === undefined) throw new Error('name a device of the inventory: npm run record -- NAME');

await using context = createContext(
  { configFile: values.config ?? null, logLines: false },
  process.env,
  systemClock,
);
const configuration = await context.configuration();
const device = deviceNamed(configuration, name);
const driver = driverOf(configuration, device.platform);
const { hostKeys } = await context.state();

/** Values of secrets that were read for this session, with their names: none gets onto the tape. */
const typed = new Map<string, string>();
const tape: Piece[] = [];
const collected = await collect(
  {
    device,
    driver,
    readSecret: async (reference) => {
      const value = await context.readSecret(reference);
      typed.set(value, `secret ${typed.size + 1}`);
      return value;
    },
    hostKeys,
    clock: systemClock,
    signal: new AbortController().signal,
    readTwice: false,
    archives: [],
    maxBytes: maxArtefactBytes,
    onProgress: () => {},
    transcript: createTranscript({ limitBytes: 1024 }),
  },
  taped(connect, tape, (text) => typed.get(text) ?? null),
).catch((thrown: unknown) => {
  const { message, todo } = describe(failureOf(thrown));
  throw new Error(`the device could not be read: ${message}; ${todo}`, { cause: thrown });
});

const secrets = new Set<string>(typed.keys());
const collecting = {
  token(_kind: string, value: string): string {
    secrets.add(value);
    return '<secret:000000>';
  },
};
for (const { text } of collected.captures.values()) redact(driver, normalise(driver, text), collecting);
const reading = judge(driver, collected, createMask(Buffer.alloc(32), ''));
const everything = [visible(tape), ...[...collected.captures.values()].map(({ text }) => text)].join('\n');
const findings = findingsIn(everything, {
  hostname: reading.facts.hostname,
  username: device.credentials.username,
  serials: reading.serials,
  secrets: [...secrets],
});

const replacements = new Map<string, string>();
const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: false });
const answers = lines[Symbol.asyncIterator]();
process.stdout.write(
  `${findings.length} things may tell whose device this is. Enter takes the suggestion, = keeps the value.\n`,
);
for (const { what, value, suggestion } of findings) {
  const times = everything.split(value).length - 1;
  process.stdout.write(`${what} ${harmless(value)} (${times} times) [${harmless(suggestion)}]: `);
  const { value: answer, done } = await answers.next();
  // Nobody there: a value that nobody looked at must not be kept.
  const said = done === true ? '' : String(answer).trim();
  if (said !== '=') replacements.set(value, said === '' ? suggestion : said);
}
lines.close();

const clean = (text: string): string => replaceAll(text, replacements);
const out = values.out ?? join('test/fixtures', driver.id, `recorded-${Date.now()}`);
mkdirSync(join(out, 'artefacts'), { recursive: true });
writeFileSync(join(out, 'session.txt'), clean(visible(tape)), 'latin1');
for (const artefact of reading.artefacts) {
  const file = artefact.name === 'running-config' ? 'device.cfg' : `artefacts/${artefact.name}.cfg`;
  writeFileSync(join(out, file), clean(artefact.exact), 'latin1');
}
const { hostname, version, model, serial } = reading.facts;
const told = { hostname, version, model, serial };
writeFileSync(
  join(out, 'case.yaml'),
  clean(
    dump({
      title: 'Say in one sentence what is special about this device',
      device: {
        hostname,
        username: device.credentials.username,
        password: 'the-login-password',
        facts: told,
      },
      facts: told,
      restorable: reading.restorable,
      secrets: [...secrets].filter((value) => everything.includes(value)),
      neighbours: [],
    }),
  ),
);
process.stdout.write(
  `\nwritten to ${out}; read every line of it before you commit it: names of people, sites and partners are found by nobody else\n`,
);
