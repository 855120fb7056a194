import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { normalise } from '../../src/pipeline/normalise.ts';

const drivers = [...(await loadDrivers()).values()];

interface Rule {
  readonly label: string;
  readonly line: RegExp;
  readonly until?: RegExp;
  /** Whether the rule speaks of the whole block that begins in the line. */
  readonly block: boolean;
  readonly example: string;
}

function rulesOf(driver: Driver): Rule[] {
  const kinds = ['refusals', 'volatile', 'secrets', 'restorable', 'facts'] as const;
  return kinds.flatMap((kind) =>
    driver[kind].map((rule, index) => ({
      label: `${driver.id} ${kind}[${index}]`,
      line: rule.line,
      ...('until' in rule && rule.until !== undefined ? { until: rule.until } : {}),
      block: 'act' in rule && rule.act === 'drop-block',
      example: rule.example,
    })),
  );
}

const rules = drivers.flatMap(rulesOf);

describe('every rule', () => {
  it.each(rules)('$label applies to its own example', ({ line, until, block, example }) => {
    const [first = '', ...rest] = example.split('\n');
    expect(first).toMatch(line);
    if (block) expect(rest.length).toBeGreaterThan(0);
    else if (until === undefined) expect(rest).toEqual([]);
    else expect(rest.findIndex((candidate) => until.test(candidate))).toBeGreaterThanOrEqual(0);
  });

  it('keeps no state between two lines', () => {
    expect(rules.filter(({ line }) => /[gy]/.test(line.flags)).map(({ label }) => label)).toEqual([]);
    expect(rules.filter(({ line }) => line.flags.includes('m')).map(({ label }) => label)).toEqual([]);
  });

  it('stands in the list once', () => {
    const keys = rules.map(({ label, line }) => `${label.split('[')[0]} ${line}`);
    const perSection = new Map<string, number>();
    for (const key of keys) perSection.set(key, (perSection.get(key) ?? 0) + 1);
    // ASA: one shape in two sections would be listed twice on purpose; none is today.
    expect([...perSection].filter(([, count]) => count > 1)).toEqual([]);
  });
});

/** What the examples of the rules hold in the place of a secret. */
const canary =
  /^(?:n0t ?r?(?:\\")?3al|(?:\$\S+\$|eN|-AQ==)?[A-Za-z0-9+/$]*(?:bm90|AAAABBBB|VkpJ)[A-Za-z0-9+/$=-]* ?[A-Za-z0-9+/=]*|Bearer n0tr3al|(?:[0-9]{2}:?)+|-----BEGIN [A-Z ]+-----.*)$/;

describe('every secret rule', () => {
  const secrets = drivers.flatMap((driver) =>
    driver.secrets.map((rule, index) => ({ label: `${driver.id} secrets[${index}]`, rule })),
  );

  it.each(secrets)('$label captures the secret of its example and only that', ({ rule }) => {
    const [first = '', ...rest] = rule.example.split('\n');
    const secret = rule.line.exec(first)?.groups?.secret ?? '';
    expect(secret).toMatch(canary);
    expect(first.replace(secret, '')).not.toMatch(/n0t|3al|bm90|AAAABBBB/);
    if (rule.until === undefined) return;
    const { until } = rule;
    const last = rest.find((line) => until.test(line)) ?? '';
    const end = until.exec(last)?.groups?.secret ?? '';
    expect(end).toMatch(/(?:-----END [A-Z ]+-----|n0tr3al)$/);
    expect(last.replace(end, '')).not.toMatch(/KEY|REQUEST|n0t/);
  });

  it.each(secrets)('$label tells its section where it has one', ({ rule }) => {
    for (const section of [rule.inSection, rule.exceptIn])
      if (section !== undefined) expect(section.flags).toBe('');
  });
});

describe('every volatile rule', () => {
  const volatile = drivers.flatMap((driver) =>
    driver.volatile.map((rule, index) => ({ label: `${driver.id} volatile[${index}]`, rule })),
  );

  it.each(volatile)('$label says why, and a mask says what', ({ rule }) => {
    expect(rule.because.length).toBeGreaterThan(8);
    const groups = rule.line.exec(rule.example.split('\n')[0] ?? '')?.groups ?? {};
    expect('volatile' in groups).toBe(rule.act === 'mask');
    // A mask over what a mask left behind must change nothing.
    if (rule.act === 'mask') {
      const masked = rule.example.replace(groups.volatile ?? '', '<volatile>');
      const again = rule.line.exec(masked)?.groups?.volatile;
      expect(again === undefined || again === '<volatile>').toBe(true);
    }
    if (rule.inSection !== undefined) expect(rule.inSection.flags).toBe('');
  });

  const blocks = drivers.flatMap((driver) =>
    driver.volatile
      .filter(({ act }) => act === 'drop-block')
      .map(({ example }) => ({ driver, example, label: driver.id })),
  );

  it.each(blocks)('$label: $example goes whole', ({ driver, example }) => {
    expect(normalise(driver, `${example}\n`)).toBe('');
  });
});

describe('every fact rule', () => {
  const facts = drivers.flatMap((driver) =>
    driver.facts.map((rule) => ({ label: `${driver.id} ${rule.fact} from ${rule.from}`, driver, rule })),
  );

  it.each(facts)('$label yields a value without blanks around it', ({ rule }) => {
    const value = rule.line.exec(rule.example)?.groups?.value ?? '';
    expect(value).toBe(value.trim());
    expect(value).not.toBe('');
  });

  it.each(facts)('$label asks a command that is sent', ({ driver, rule }) => {
    expect(driver.commands.map(({ name }) => name)).toContain(rule.from);
  });
});

describe('every driver', () => {
  it.each(drivers)('$id types no line of 60 characters in a terminal', (driver) => {
    const typed = [
      ...driver.dialogues.flatMap((dialogue) =>
        dialogue.channel === 'shell' ? [...dialogue.prepare, ...dialogue.leave] : [],
      ),
      // What has a line of its own is no terminal's, and an archive is made because somebody asked for it.
      ...driver.commands.flatMap((command) =>
        command.execLine !== undefined || command.keep === 'archive'
          ? []
          : [
              ...(command.before ?? []),
              ...(command.keep === 'facts' ? [command.send] : command.firstOf.map((way) => way.send)),
            ],
      ),
    ];
    expect(typed.filter((line) => line.length >= 60)).toEqual([]);
    // What changes a device begins with one of these words on one of the platforms.
    const changes =
      /^(?:conf|write|copy|reload|save|load|modify|create|delete|set|edit|execute|diagnose|run|end|no|erase|clear|install|reboot)\b/;
    // PAN-OS keeps what `set cli` says for the session only.
    expect(typed.filter((line) => changes.test(line) && !line.startsWith('set cli '))).toEqual([]);
  });

  it.each(drivers)(
    '$id has one artefact named running-config, and a reason where it restores less',
    (driver) => {
      const artefacts = driver.commands.filter((command) => command.keep === 'artefact');
      expect(artefacts.filter(({ name }) => name === 'running-config')).toHaveLength(1);
      for (const way of artefacts.flatMap(({ firstOf }) => firstOf)) {
        expect(way.because === null).toBe(way.restorable === 'yes');
      }
    },
  );

  it.each(drivers)('$id names only modes that can be reached or stop a login', (driver) => {
    for (const dialogue of driver.dialogues) {
      if (dialogue.channel === 'exec') continue;
      const led = Object.values(dialogue.modes).flatMap((mode) => {
        if (mode.kind === 'question') return mode.leadsTo;
        return mode.kind === 'prompt'
          ? Object.values(mode.moves ?? {}).flatMap((move) => move?.leadsTo ?? [])
          : [];
      });
      const known = new Set([...dialogue.greetedBy, ...led]);
      const lost = Object.entries(dialogue.modes).filter(
        ([name, mode]) => !known.has(name) && mode.kind !== 'prompt',
      );
      expect(lost).toEqual([]);
    }
  });
});

/** Every expression that is ever run over what a device says. */
const expressions = drivers.flatMap((driver) => [
  ...rulesOf(driver).flatMap(({ label, line, until, example }) => [
    { label, expression: line, example },
    ...(until === undefined ? [] : [{ label: `${label} until`, expression: until, example }]),
  ]),
  ...[...driver.volatile, ...driver.secrets].flatMap((rule) =>
    [rule.inSection, 'exceptIn' in rule ? rule.exceptIn : undefined].flatMap((expression) =>
      expression === undefined
        ? []
        : [{ label: `${driver.id} section ${expression}`, expression, example: '        a__secret_b {' }],
    ),
  ),
  ...driver.dialogues.flatMap((dialogue) =>
    dialogue.channel === 'exec'
      ? [{ label: `${driver.id} otherShellWhen`, expression: dialogue.otherShellWhen, example: '' }]
      : [
          ...Object.entries(dialogue.modes).map(([name, mode]) => ({
            label: `${driver.id} mode ${name}`,
            expression: mode.line,
            example: 'user@(host)(cfg-sync In Sync)(Active)(/Common)(tmos)# ',
          })),
          ...dialogue.pagers.map((pager, index) => ({
            label: `${driver.id} pagers[${index}]`,
            expression: pager.line,
            example: '---(less 12%)---',
          })),
        ],
  ),
  ...driver.commands.flatMap((command) =>
    command.keep !== 'artefact'
      ? []
      : [command.wholeWhen.firstLine, command.wholeWhen.lastLine].flatMap((expression) =>
          expression === undefined ? [] : [{ label: `${driver.id} ${expression}`, expression, example: '}' }],
        ),
  ),
]);

const pieces = [
  'a',
  ' ',
  '\t',
  '_',
  '__',
  '-',
  'a-',
  'a_',
  '1',
  '*',
  '"',
  '\\',
  '(',
  '(a)',
  '{',
  '}',
  '{ }',
  '/',
  'act/',
  '://a:',
  '://a:b',
  '?key=',
  '$',
  '$M$',
  '$6$',
  'ENC ',
  ' ENC a',
  '-----BEGIN ',
  '-----BEGIN PRIVATE KEY-----',
  '-----END PRIVATE KEY-----',
  ' password ',
  ' key *****',
  'md5 ',
  '\x1b[m',
  'set ',
  ' community ',
  'authentication-key ',
];

/** Milliseconds, the best of three: noise only ever adds. */
function cost(expression: RegExp, text: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    expression.test(text);
    best = Math.min(best, performance.now() - start);
    if (best < 4) break;
  }
  return best;
}

describe('no line of a device is expensive', () => {
  it.each(expressions)('$label grows no faster than the line', ({ expression, example }) => {
    const plain = new RegExp(expression.source, expression.flags);
    const starts = [0, 0.25, 0.5, 0.75, 1].map((share) =>
      example.slice(0, Math.round(example.length * share)),
    );
    const size = 40_000;
    for (const start of new Set(starts)) {
      for (const piece of pieces) {
        const line = (length: number) => start + piece.repeat(Math.ceil(length / piece.length));
        if (cost(plain, line(size)) < 4) continue;
        // Twice the length may cost twice the time; where it costs four times, it is quadratic.
        const [once, twice] = [cost(plain, line(size)), cost(plain, line(2 * size))];
        expect({ start, piece, quadratic: twice > 3.2 * once && twice > 12 }).toEqual({
          start,
          piece,
          quadratic: false,
        });
      }
    }
  });
});

describe('outline and structure', () => {
  const words = fc.constantFrom(
    'config a',
    'edit 1',
    'next',
    'end',
    ' set x "',
    '"',
    "'",
    '\\',
    'ltm x /y {',
    '}',
    '{ a { b } }',
    '  c {',
    '\\{',
    'interface x',
    ' ip y',
    '   z',
    '!',
    ':',
    '',
    '\r',
    'config vdom',
    'edit root',
    'config global',
    '#',
    '\x00',
    '\xff',
  );
  const texts = fc.array(words, { maxLength: 60 }).map((lines) => lines.join('\n'));

  it.each(drivers)('$id: no input throws, and blocks lie inside of the text and of each other', (driver) => {
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ unit: 'binary' })), (text) => {
        const last = text.split('\n').length - 1;
        const open: number[] = [];
        let before = -1;
        for (const { firstLine, lastLine, title, section } of driver.outline(text)) {
          expect(firstLine).toBeGreaterThanOrEqual(before);
          expect(lastLine).toBeGreaterThanOrEqual(firstLine);
          expect(lastLine).toBeLessThanOrEqual(last);
          expect(typeof title + typeof section).toBe('stringstring');
          before = firstLine;
          while ((open.at(-1) ?? last) < firstLine) open.pop();
          // Siblings may share a line; what begins inside of a block ends inside of it.
          if (firstLine < (open.at(-1) ?? firstLine))
            expect(lastLine).toBeLessThanOrEqual(open.at(-1) ?? last);
          open.push(lastLine);
        }
        for (const command of driver.commands) {
          if (command.keep === 'artefact') command.wholeWhen.structure?.(text);
        }
      }),
    );
  });

  it.each(drivers)('$id: titles stay short, however deep blocks lie and however long lines are', (driver) => {
    const indented = Array.from({ length: 400 }, (_, depth) => `${' '.repeat(depth)}x`).join('\n');
    for (const text of [
      indented,
      'config a\n'.repeat(400),
      'a b c {\n'.repeat(400),
      `${'a'.repeat(100_000)} {\n`,
    ]) {
      const titles = driver.outline(text).map(({ title }) => title.length);
      expect(Math.max(0, ...titles)).toBeLessThan(2_000);
      expect(titles.reduce((sum, length) => sum + length, 0)).toBeLessThan(20_000);
    }
  });

  it.each(drivers)('$id: ten times the text costs about ten times the time', (driver) => {
    const unit = [
      '{',
      '}',
      '"',
      "'",
      '\\',
      'config a\n',
      'edit 1\n',
      'end\n',
      'a {\n',
      ' b\n',
      '  c\n',
      'a { }',
      '\n',
      ' ',
    ];
    const structure = driver.commands.flatMap((command) =>
      command.keep === 'artefact' && command.wholeWhen.structure !== undefined
        ? [command.wholeWhen.structure]
        : [],
    );
    for (const piece of unit) {
      const run = (size: number): number => {
        const text = piece.repeat(size / piece.length);
        const start = performance.now();
        driver.outline(text);
        for (const check of structure) check(text);
        return performance.now() - start;
      };
      run(10_000);
      const small = Math.max(run(100_000), 2);
      const large = run(1_000_000);
      expect({ piece, slow: large > 60 * small && large > 1000 }).toEqual({ piece, slow: false });
    }
  });
});
