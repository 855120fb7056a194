import { createHash } from 'node:crypto';
import type { ExecAnswer } from './machine.ts';
import type { DeviceSpec } from './spec.ts';

/*
 * bash on a BIG-IP, as far as a reader needs it: one line of words, `&&`, and six programs over the files of the spec.
 */

type Files = NonNullable<DeviceSpec['files']>;

/** Runs one line. `tmsh` runs what stands behind `-c`, or the words behind it. */
export function runBash(spec: DeviceSpec, line: string, tmsh: (commands: string) => ExecAnswer): ExecAnswer {
  let files: Files = spec.files ?? {};
  const all = { stdout: '', stderr: '', files: {} as { [path: string]: string | null } };
  for (const part of line.split(' && ')) {
    const words = shellWords(part);
    if (words === null)
      return failed('bash: -c: line 0: unexpected EOF while looking for matching quote\n', 2);
    const answer = run(spec, files, words, tmsh);
    all.stdout += answer.stdout;
    all.stderr += answer.stderr;
    Object.assign(all.files, answer.files);
    files = Object.fromEntries(
      Object.entries({ ...files, ...answer.files }).filter(([, text]) => text !== null),
    ) as Files;
    if (answer.exitStatus !== 0) return { ...all, exitStatus: answer.exitStatus };
  }
  return { ...all, exitStatus: 0 };
}

export function failed(stderr: string, exitStatus = 1): ExecAnswer {
  return { stdout: '', stderr, exitStatus };
}

function run(
  spec: DeviceSpec,
  files: Files,
  [program = '', ...rest]: readonly string[],
  tmsh: (commands: string) => ExecAnswer,
): ExecAnswer {
  switch (program) {
    case 'cat':
      return cat(files, rest);
    case 'find':
      return find(files, rest);
    case 'sha256sum':
      return sha256sum(files, rest, spec.bigip?.badDisk === true);
    case 'rm':
      return rm(rest);
    case 'tar':
      return tar(files, rest);
    case 'tmsh': {
      if (spec.faults?.tmsh === 'missing') break;
      const args = rest.filter((word) => word !== '-q');
      return tmsh(args[0] === '-c' ? (args[1] ?? '') : args.join(' '));
    }
  }
  return failed(`bash: ${program}: command not found\n`, 127);
}

function cat(files: Files, paths: readonly string[]): ExecAnswer {
  const missing = paths.filter((path) => files[path] === undefined);
  return {
    stdout: paths.map((path) => files[path] ?? '').join(''),
    stderr: missing.map((path) => `cat: ${path}: No such file or directory\n`).join(''),
    exitStatus: missing.length === 0 ? 0 : 1,
  };
}

/** `DIR -maxdepth N -type f -name PATTERN -size +0 -exec cat {} +` of GNU find. */
function find(files: Files, [start = '.', ...tests]: readonly string[]): ExecAnswer {
  const under = `${start}/`;
  let found = Object.keys(files).filter((path) => path.startsWith(under));
  if (found.length === 0) return failed(`find: '${start}': No such file or directory\n`);
  for (let at = 0; at < tests.length; at += 2) {
    const [test, value = ''] = [tests[at], tests[at + 1]];
    if (test === '-maxdepth')
      found = found.filter((path) => path.slice(under.length).split('/').length <= Number(value));
    else if (test === '-name') {
      const name = new RegExp(`^${value.replace(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`);
      found = found.filter((path) => name.test(path.slice(path.lastIndexOf('/') + 1)));
    } else if (test === '-size' && value === '+0') found = found.filter((path) => files[path] !== '');
    else if (test === '-exec' && tests.slice(at + 1).join(' ') === 'cat {} +') return cat(files, found);
    else if (test !== '-type' || value !== 'f') return failed(`find: unknown predicate \`${test}'\n`);
  }
  return { stdout: found.map((path) => `${path}\n`).join(''), stderr: '', exitStatus: 0 };
}

function sha256sum(files: Files, [path = '']: readonly string[], bad: boolean): ExecAnswer {
  const text = files[path];
  if (text === undefined) return failed(`sha256sum: ${path}: No such file or directory\n`);
  const digest = createHash('sha256')
    .update(bad ? `${text}.` : text, 'latin1')
    .digest('hex');
  return { stdout: `${digest}  ${path}\n`, stderr: '', exitStatus: 0 };
}

/** `rm -f`: what is not there is no mistake. */
function rm(paths: readonly string[]): ExecAnswer {
  const gone = paths.filter((path) => path !== '-f').map((path) => [path, null] as const);
  return { stdout: '', stderr: '', exitStatus: 0, files: Object.fromEntries(gone) };
}

/** `tar -C DIR -cvf FILE NAME…` */
function tar(files: Files, words: readonly string[]): ExecAnswer {
  const [option, folder = '', create, archive = '', ...members] = words;
  if (option !== '-C' || create !== '-cvf') return failed('tar: You must specify one of the options\n', 2);
  const missing = members.filter((name) => files[`${folder}/${name}`] === undefined);
  if (missing.length > 0) return failed(`tar: ${missing[0]}: Cannot stat: No such file or directory\n`, 2);
  const text = members.map((name) => `${name}\0${files[`${folder}/${name}`]}`).join('\0');
  return { stdout: `${members.join('\n')}\n`, stderr: '', exitStatus: 0, files: { [archive]: text } };
}

/** Words of a POSIX shell line with backslashes and quotes; null where a quote is not closed. */
function shellWords(line: string): readonly string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? '';
    if (character === '\\' && quote === null) word = (word ?? '') + (line[++at] ?? '');
    else if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? '') + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= '';
    } else if (character === ' ') {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + character;
  }
  if (quote !== null) return null;
  if (word !== null) words.push(word);
  return words;
}
