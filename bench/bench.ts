/**
 * `npm run bench [-- part…] [--scale smoke|full] [--write]`: every file of bench/parts/ in a process of its own, so
 * that what one part does to memory and CPU is not in the figures of the next.
 *
 * `--scale smoke` ends in 1 where a ratio is three times its limit or worse; absolute times fail nothing: they say
 * what machine this is. `--write` puts the table into docs/performance.md, under the version.
 */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './machine.ts';
import type { Measured, Scale } from './part.ts';
import type { FromPart } from './run-part.ts';
import { kept, rowsOf, tableOf } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: 'full' },
    write: { type: 'boolean', default: false },
  },
});
const scale: Scale = values.scale === 'smoke' ? 'smoke' : 'full';
const known = readdirSync(new URL('parts/', import.meta.url)).map((file) => file.replace(/\.ts$/, ''));
const wanted = positionals.length > 0 ? positionals : known;
for (const name of wanted)
  if (!known.includes(name)) throw new Error(`no part ${name}: there is ${known.join(', ')}`);

const results: { readonly part: string; readonly measured: readonly Measured[] }[] = [];
const broken: string[] = [];
say(`${machine()}\n`);
for (const part of wanted) {
  const measured = await run(part).catch((error: Error) => {
    broken.push(part);
    say(`${part}: ${error.message}`);
    return [];
  });
  results.push({ part, measured });
  for (const line of rowsOf(measured)) say(line);
}
say(`\n${tableOf(results)}`);
if (values.write) write();
const grossly = results
  .flatMap(({ measured }) => measured)
  .filter((one) => one.unit === 'x' && !kept(one, 3));
for (const { what, value } of grossly) say(`grossly broken: ${what}: ${value}`);
if (broken.length > 0 || (scale === 'smoke' && grossly.length > 0)) process.exitCode = 1;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** @throws Error where the part could not measure. */
function run(part: string): Promise<readonly Measured[]> {
  say(`── ${part}`);
  return new Promise((done, failed) => {
    const child = fork(fileURLToPath(new URL('run-part.ts', import.meta.url)), [part, scale]);
    let measured: readonly Measured[] | null = null;
    child.on('message', (told: FromPart) => {
      if (told.is === 'measured') measured = told.measured;
      else say(`   ${told.line}`);
    });
    child.on('exit', (code) => {
      if (code === 0 && measured !== null) done(measured);
      else failed(new Error(`the part ended with ${code}`));
    });
  });
}

/** One table per version and part: a part that was not run keeps what it said before. */
function write(): void {
  const file = new URL('../docs/performance.md', import.meta.url);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  let text = readFileSync(file, 'utf8');
  for (const result of results) {
    if (result.measured.length === 0) continue;
    const name = `bench ${version} ${result.part}`;
    const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
    const block = `${begin}\n\n${machine()}; \`npm run bench -- ${result.part} --scale ${scale}\`\n\n${tableOf([result])}\n\n${end}`;
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from !== -1 && to > from) text = text.slice(0, from) + block + text.slice(to + end.length);
    else
      text = text.replace(
        '<!-- tables -->',
        () => `<!-- tables -->\n\n### ${version}: ${result.part}\n\n${block}`,
      );
  }
  writeFileSync(file, text);
}
