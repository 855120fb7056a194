/**
 * Writes the generated parts of the documentation: the commands of each platform and docs/errors.md.
 * With `--check` it writes nothing and fails where a file is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generatedDocs } from './generated-docs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const stale: string[] = [];
for (const [file, render] of await generatedDocs()) {
  const path = `${root}${file}`;
  const before = readFileSync(path, { encoding: 'utf8', flag: 'a+' });
  const after = render(before);
  if (before === after) continue;
  stale.push(file);
  if (!process.argv.includes('--check')) writeFileSync(path, after);
}
console.log(stale.length === 0 ? 'nothing is stale' : stale.join('\n'));
if (process.argv.includes('--check') && stale.length > 0) process.exitCode = 1;
