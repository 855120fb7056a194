import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseYaml, readYaml, showPath } from '../../src/inventory/yaml.ts';
import { problemsOf } from './expected.ts';
import { temporaryDir, temporaryFile } from './support.ts';

const mebibyte = 1024 * 1024;
const parse = (text: string) => parseYaml(text, 'devices.yaml');
const messages = (text: string) => problemsOf(() => parse(text)).map((problem) => problem.message);

describe('reading YAML', () => {
  it('gives the lines of keys, list items and what is in them', () => {
    const { lineOf } = parse(
      '# comment\na:\n  b: 1\nlist:\n  - x\n  -\n    name: y\nflow: {c: {d: 2},\n  e: 3}\n',
    );
    expect(lineOf(['a'])).toBe(2);
    expect(lineOf(['a', 'b'])).toBe(3);
    expect(lineOf(['list', 0])).toBe(5);
    expect(lineOf(['list', 1])).toBe(7);
    expect(lineOf(['list', 1, 'name'])).toBe(7);
    expect(lineOf(['flow', 'c', 'd'])).toBe(8);
    expect(lineOf(['flow', 'e'])).toBe(9);
    expect(lineOf([])).toBe(1);
  });

  it('gives the line of the nearest place above what is absent', () => {
    const { lineOf } = parse('x: 1\na:\n  b: 1\n');
    expect(lineOf(['a', 'missing', 'deeper'])).toBe(2);
    expect(lineOf(['b', 3])).toBe(1);
  });

  it('counts lines that end in CR LF, CR or LF alike', () => {
    expect(parse('a: 1\r\nb: 2\rc: 3\nd: 4').lineOf(['d'])).toBe(4);
  });

  it('gives the line of the key where a text begins below it', () => {
    expect(parse('a: 1\nb: |\n  text\n  more\nc:\n  "quoted"\n').lineOf(['c'])).toBe(5);
  });

  it('reads a byte-order mark as nothing', () => {
    const file = temporaryFile(Buffer.from('\ufeffname: fw1\n', 'utf8'));
    expect(readYaml(file, mebibyte).value).toEqual({ name: 'fw1' });
  });

  it('knows the booleans of YAML 1.2 only, and dates are texts', () => {
    expect(parse('[yes, on, no, off, y, true, False, 2026-01-31, 12:30:45, 0o10, 1_000]').value).toEqual([
      'yes',
      'on',
      'no',
      'off',
      'y',
      true,
      false,
      '2026-01-31',
      '12:30:45',
      8,
      '1_000',
    ]);
  });

  it('keeps keys as they are written, numbers too', () => {
    expect(Object.keys(parse('007: a\n1e3: b\ntrue: c\nnull: d\n').value as object)).toEqual([
      '007',
      '1e3',
      'true',
      'null',
    ]);
  });

  it('gives mappings no prototype, so that __proto__ and constructor are keys like others', () => {
    const value = parse('__proto__: { polluted: true }\nconstructor: 1\n').value as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('gives null for an empty document', () => {
    expect(parse('').value).toBeNull();
    expect(parse('# nothing\n').value).toBeNull();
  });

  it('agrees with JSON wherever the text is JSON', () => {
    const plain = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes('"<<"'));
    fc.assert(
      fc.property(plain, (value) => {
        const text = JSON.stringify(value);
        expect(JSON.stringify(parse(text).value)).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('never throws anything but a list of problems, whatever the text is', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '-',
      '[',
      ']',
      '{',
      '}',
      '&x',
      '*x',
      '!t',
      '|',
      '>',
      '"',
      "'",
      '#',
      '?',
      ',',
      '\t',
      '%',
      '---',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          parse(pieces.join(''));
        } catch (error) {
          expect(error).toHaveProperty('problems');
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('hostile YAML', () => {
  it('a file over the cap is refused before it is read', () => {
    const file = temporaryFile(Buffer.alloc(17 * mebibyte, 0x23));
    const [problem] = problemsOf(() => readYaml(file, 16 * mebibyte));
    expect(problem?.message).toBe(`is ${17 * mebibyte} bytes long; at most ${16 * mebibyte} are read`);
  });

  it('a file of exactly the cap is read', () => {
    const file = temporaryFile(Buffer.alloc(mebibyte, 0x23));
    expect(readYaml(file, mebibyte).value).toBeNull();
  });

  it('nesting without end stops at a fixed depth', () => {
    expect(messages('['.repeat(100_000))).toEqual(['not valid YAML: nesting exceeded maxDepth (16)']);
    expect(messages('a: '.repeat(1) + '{b: '.repeat(50_000))).toEqual([
      'not valid YAML: nesting exceeded maxDepth (16)',
    ]);
  });

  it('a thousand aliases give a hundred problems and one that says so', () => {
    const found = messages(`a: &a x\nb: [${'*a, '.repeat(1000)}]`);
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toBe('has more mistakes than are listed here');
  });

  it('a NUL byte and bytes that are not UTF-8 are refused', () => {
    expect(messages('a: \0')).toEqual(['not valid YAML: null byte is not allowed in input']);
    const file = temporaryFile(Buffer.from('a: \xff', 'latin1'));
    expect(problemsOf(() => readYaml(file, mebibyte))[0]?.message).toBe('is not UTF-8; save it as UTF-8');
  });

  it('a secret that is no valid YAML is not shown', () => {
    for (const secret of [
      '!hun<ter2',
      '!hun!ter2',
      '*hunter2',
      '&hunter2',
      '@hunter2',
      '%hunter2',
      '"hunter2',
      '!<hunter2',
      '{hunter2',
    ])
      for (const text of [`password: ${secret}`, `password: ${secret} x`, `a: { password: ${secret} }`]) {
        const found = problemsOf(() => {
          parse(text);
          // Some of these are valid: there is nothing to show then.
          throw problemless;
        });
        expect(JSON.stringify(found)).not.toMatch(/hun|ter2/);
      }
  });

  it('tags that nest and repeat do not make parsing slow', () => {
    const deep = Array.from({ length: 14 }, (_, depth) => `${' '.repeat(depth)}!t &a${depth} k:`).join('\n');
    expect(messages(deep).length).toBeGreaterThan(0);
  });
});

/** A problem list of its own, for texts that turn out to be valid. */
const problemless = (() => {
  try {
    parse('a: *a');
  } catch (error) {
    return error;
  }
  return null;
})();

describe('a file that cannot be read', () => {
  const message = (file: string) => problemsOf(() => readYaml(file, mebibyte))[0]?.message;

  it('is named as such', () => {
    const dir = temporaryDir();
    expect(message(join(dir, 'none.yaml'))).toBe('cannot be read: no such file');
    mkdirSync(join(dir, 'folder'));
    expect(message(join(dir, 'folder'))).toBe('cannot be read: it is a directory');
    const file = temporaryFile('a: 1');
    expect(message(join(file, 'below'))).toBe('cannot be read: a part of its path is not a directory');
  });

  it('may be a pipe, and the cap holds for it too', () => {
    const dir = temporaryDir();
    const pipe = join(dir, 'pipe');
    execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', pipe]);
    execFileSync('sh', [
      '-c',
      `(head -c 2000 /dev/zero | tr '\\0' '#' > "$1") >/dev/null 2>&1 &`,
      'sh',
      pipe,
    ]);
    expect(problemsOf(() => readYaml(pipe, 1000))[0]?.message).toBe('is longer than 1000 bytes');
  });
});

describe('a path as it is shown', () => {
  it('has dots, brackets and quotes where they are needed', () => {
    expect(showPath(['devices', 2, 'ssh', 'allow', 0])).toBe('devices[2].ssh.allow[0]');
    expect(showPath(['groups', 'a b'])).toBe('groups["a b"]');
    expect(showPath(['groups', 'x\n\u001b[31m'])).toBe('groups["x\\n\\u001b[31m"]');
    expect(showPath([])).toBe('');
  });
});
