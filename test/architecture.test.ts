import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

interface Rule {
  /** Folders, or single files without their ending, whose values may be imported. */
  readonly values: readonly string[];
  /** Folders of which only types may be imported; `*` is every folder. */
  readonly types: readonly string[];
  /** The libraries that this folder owns. Node's own modules are free where `node` is true. */
  readonly libraries: readonly string[];
  readonly node: boolean;
}

/** docs/architecture.md, "Who may import whom", as data. */
const table: Readonly<Record<string, Rule>> = {
  core: { values: [], types: [], libraries: [], node: false },
  drivers: { values: ['drivers/driver', 'drivers/grammar/indented'], types: [], libraries: [], node: false },
  inventory: { values: ['core'], types: ['drivers'], libraries: ['js-yaml', 'zod'], node: true },
  transport: { values: ['core'], types: ['drivers'], libraries: ['ssh2'], node: true },
  gitstore: { values: ['core'], types: [], libraries: ['simple-git'], node: true },
  artefacts: { values: ['core'], types: [], libraries: ['age-encryption'], node: true },
  ledger: { values: ['core'], types: [], libraries: [], node: true },
  pipeline: {
    values: ['core', 'drivers/driver'],
    types: ['transport', 'gitstore', 'artefacts', 'ledger'],
    libraries: ['diff'],
    node: true,
  },
  verify: {
    // How a hash follows from another is one rule, for those who write it and those who check it.
    values: ['core', 'ledger/audit'],
    types: ['gitstore', 'artefacts', 'ledger'],
    libraries: [],
    node: true,
  },
  scheduler: {
    values: ['core'],
    types: ['ledger', 'inventory'],
    libraries: ['croner', 'node-cron'],
    node: true,
  },
  syslog: { values: ['core'], types: ['drivers', 'inventory'], libraries: [], node: true },
  metrics: { values: ['core'], types: ['ledger', 'scheduler'], libraries: ['prom-client'], node: true },
  http: { values: ['core'], types: ['*'], libraries: ['fastify'], node: true },
  cli: { values: ['core'], types: ['*'], libraries: ['commander'], node: true },
  daemon: { values: ['*'], types: ['*'], libraries: ['winston', 'zod'], node: true },
  'main.ts': { values: ['core', 'cli', 'daemon'], types: [], libraries: [], node: true },
};

/** The registry lists its own folder: the one file of the drivers that touches the file system. */
const exceptions = new Set(['drivers/registry.ts node:fs', 'drivers/registry.ts node:url']);

interface Import {
  readonly from: string;
  readonly what: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8');
  const found = text.matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|(?:\bimport|createRequire\([^)]*\))\(\s*'([^']+)'/gms,
  );
  return [...found].map((match) => ({
    from: file,
    what: match[2] ?? match[3] ?? '',
    typeOnly: match[1] !== undefined,
  }));
}

/** Null where the import is allowed, else the sentence that it breaks. */
function broken({ from, what, typeOnly }: Import): string | null {
  const room = from.includes('/') ? (from.split('/')[0] ?? '') : from;
  const rule = table[room];
  if (rule === undefined) return `src/${room} is not in the table of docs/architecture.md`;
  if (exceptions.has(`${from} ${what}`)) return null;
  if (what.startsWith('node:')) {
    return rule.node ? null : `src/${from} imports ${what}, but ${room} does no I/O`;
  }
  if (!what.startsWith('.')) {
    const library = what.startsWith('@') ? what.split('/').slice(0, 2).join('/') : (what.split('/')[0] ?? '');
    return rule.libraries.includes(library)
      ? null
      : `src/${from} imports the library ${library}, which ${room} does not own`;
  }
  const target = relative(src, join(src, dirname(from), what)).replace(/\.ts$/, '');
  const targetRoom = target.split('/')[0] ?? '';
  if (targetRoom === room && room !== 'drivers') return null;
  const allowed = [...rule.values, ...(typeOnly ? rule.types : [])];
  if (allowed.some((entry) => entry === '*' || entry === targetRoom || entry === target)) return null;
  return `src/${from} imports ${typeOnly ? 'types' : 'values'} of ${target}, which ${room} may not`;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();

describe('who may import whom', () => {
  it('finds the source files', () => {
    expect(files.length).toBeGreaterThan(20);
  });

  it.each(files)('src/%s keeps to the table', (file) => {
    expect(
      importsOf(file)
        .map(broken)
        .filter((sentence) => sentence !== null),
    ).toEqual([]);
  });

  it('sees a value import across the line, a type import that is allowed, and a foreign library', () => {
    const from = 'pipeline/x.ts';
    expect(broken({ from, what: '../ledger/ledger.ts', typeOnly: false })).toContain('may not');
    expect(broken({ from, what: '../ledger/ledger.ts', typeOnly: true })).toBeNull();
    expect(broken({ from, what: 'ssh2', typeOnly: false })).toContain('does not own');
    expect(broken({ from: 'core/x.ts', what: 'node:fs', typeOnly: false })).toContain('no I/O');
    expect(broken({ from: 'drivers/a.ts', what: './b.ts', typeOnly: false })).toContain('may not');
  });

  it('finds imports over several lines, re-exports and dynamic ones', () => {
    const all = files.flatMap(importsOf);
    expect(all.some(({ what }) => what === 'node:sqlite')).toBe(true);
    expect(all.some(({ typeOnly }) => typeOnly)).toBe(true);
  });

  it('keeps every file small enough to be one idea', () => {
    // A driver is one page of data, so that everything that is ever typed on a device is read in one place.
    const most = (file: string) => (file.startsWith('drivers/') ? 900 : 460);
    const long = files.filter(
      (file) => readFileSync(join(src, file), 'utf8').split('\n').length > most(file),
    );
    expect(long).toEqual([]);
  });

  it('ends the process in one place only', () => {
    const ending = files.filter((file) => /\bprocess\.exit\b/.test(readFileSync(join(src, file), 'utf8')));
    expect(ending.filter((file) => file !== 'main.ts')).toEqual([]);
  });
});
