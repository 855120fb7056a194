import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Capture, Seen } from '../../src/drivers/driver.ts';
import { driver } from '../../src/drivers/fortinet_fortigate.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { artefactOf, judged } from '../support/driver-probe.ts';

/*
 * FortiGates that never were: any sections, objects and values that the grammar allows. What a display makes up is a
 * function of its number, so that two displays of one device differ as those of a real one do.
 */

/** One line or several, for the display of this number. */
type Piece = (display: number) => string;

const letters = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });

const word = letters('abcdefghijklmnopqrstuvwxyz-', 1, 10).filter((text) => /^[a-z]/.test(text));
const number = fc.nat(65_535).map(String);

/** A value in quotes: blank lines, escapes, apostrophes, words of the grammar, of the pager and of a prompt. */
const quoted = fc
  .array(
    fc.oneof(
      letters('abz XYZ019 .,:;_/()[]{}<>#$%&*+=?!~^|@-\xe9\xff', 0, 24),
      fc.constantFrom(
        'end',
        'next',
        'config vdom',
        'edit "x"'.replaceAll('"', '\\"'),
        "it's",
        '\\\\',
        '\\"',
        '',
      ),
      fc.constantFrom('fw-any # ', '--More-- of it', '    set password ENC'),
    ),
    { maxLength: 5 },
  )
  .map((lines) => `"${lines.join('\n')}"`);

const base64 = (display: number, salt: number): string =>
  Buffer.from(`display ${display} of value ${salt}, long enough`, 'latin1').toString('base64');

const setting: fc.Arbitrary<Piece> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(word, fc.oneof(number, word, quoted)).map(
      ([name, value]) =>
        () =>
          `set ${name} ${value}\n`,
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom('password', 'passwd', 'psksecret', 'secret', 'auth-pwd', 'md5-key 1', 'key'),
        fc.nat(),
        fc.boolean(),
      )
      .map(([name, salt, quotes]) => (display: number) => {
        const cipher = `ENC ${base64(display, salt)}`;
        return `set ${name} ${quotes ? `"${cipher}"` : cipher}\n`;
      }),
  },
  {
    weight: 1,
    arbitrary: fc.nat().map((salt) => (display: number) => {
      const armour = 'ENCRYPTED PRIVATE KEY';
      return `set private-key "-----BEGIN ${armour}-----\n${base64(display, salt)}\n-----END ${armour}-----\n"\n`;
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant((display: number) => `set last-login 2026-03-${10 + (display % 20)} 01:30:00\n`),
  },
);

const indent = (text: string, depth: number): string =>
  text.replace(/^(?=(?:set|edit|config|next|end)\b)/, ' '.repeat(4 * depth));

/** A table or a list of settings, with tables in it as deep as `depth` allows. */
function section(depth: number): fc.Arbitrary<Piece> {
  const settings = fc.array(setting, { maxLength: 4 });
  const inner = depth >= 3 ? fc.constant<Piece[]>([]) : fc.array(section(depth + 1), { maxLength: 1 });
  const entry = fc
    .tuple(
      fc.oneof(
        number,
        word.map((name) => `"${name}"`),
      ),
      settings,
      inner,
    )
    .map(
      ([name, own, tables]): Piece =>
        (display) => {
          const lines = [...own, ...tables].map((piece) => indent(piece(display), 2 * depth + 2));
          return `${indent(`edit ${name}\n`, 2 * depth + 1)}${lines.join('')}${indent('next\n', 2 * depth + 1)}`;
        },
    );
  return fc
    .tuple(
      fc.array(word, { minLength: 1, maxLength: 3 }),
      fc.oneof(fc.array(entry, { maxLength: 4 }), settings),
    )
    .map(
      ([name, pieces]): Piece =>
        (display) => {
          const lines = pieces.map((piece) => indent(piece(display), 2 * depth + 1));
          return `config ${name.join(' ')}\n${lines.join('')}${indent('end\n', 2 * depth)}`;
        },
    );
}

const services: Piece = (display) =>
  `config firewall internet-service-name\n    edit "service-${display}"\n        set internet-service-id ${display}\n    next\nend\n`;
const account: Piece = (display) =>
  `config system admin\n    edit "admin"\n        set accprofile "super_admin"\n        set password ENC SH2${base64(display, 1)}\n    next\nend\nconfig system interface\nend\n`;
const tail: Piece = () => 'config router multicast\nend\n';

const sections = fc.array(section(0), { maxLength: 6 });
const header = (vdom: number, display: number): string =>
  `#config-version=FGT60F-7.4.8-FW-build2795-250523:opmode=0:vdom=${vdom}:user=reader${display}\n#conf_file_ver=${4400 + display}\n#buildno=2795\n#global_vdom=1\n`;

/** A unit without VDOMs, or with some of them. */
const fortigate: fc.Arbitrary<Piece> = fc.oneof(
  sections.map(
    (all): Piece =>
      (display) =>
        [header(0, display), ...[account, ...all, services, tail].map((piece) => piece(display))].join(''),
  ),
  fc.tuple(sections, fc.uniqueArray(word, { minLength: 1, maxLength: 3 }), sections).map(
    ([global, names, own]): Piece =>
      (display) => {
        const all = (pieces: readonly Piece[]) => pieces.map((piece) => piece(display)).join('');
        const list = `\nconfig vdom\n${names.map((name) => `edit ${name}\nnext\n`).join('')}end\n`;
        const vdoms = names.map((name) => `\nconfig vdom\nedit ${name}\n${all([...own, tail])}end\n`);
        return `${header(1, display)}${list}\nconfig global\n${all([account, ...global, services])}end\n${vdoms.join('')}`;
      },
  ),
);

const mask = createMask(Buffer.alloc(32, 3), 'generated');
const artefact = artefactOf(driver);

/** What git would see of one display, judged as a reading is. */
function reading(text: string) {
  const answers = new Map<string, Capture>(
    [
      ['status', 'Hostname: fw-any\nVirtual domain configuration: disable\nCurrent HA mode: standalone\n'],
      ['running-config', text],
    ].map(([name = '', answer = '']) => [
      name,
      { text: answer, endedBy: 'prompt', exitStatus: null, sent: name },
    ]),
  );
  const seen: Seen = {
    text: (name) => answers.get(name)?.text ?? null,
    options: { method: 'shell' },
    dialogue: 'terminal',
  };
  return judge(
    driver,
    {
      captures: answers,
      again: new Map(),
      artefacts: new Map([['running-config', artefact]]),
      restorable: new Map(),
      archives: new Map(),
      seen,
    },
    mask,
  );
}

describe('any FortiGate', () => {
  it('is whole, and its copy is worth all of it', () => {
    fc.assert(
      fc.property(fortigate, (show) => {
        expect(judged(driver, show(1))).toEqual({ whole: true });
        expect(reading(show(1)).restorable).toBe('yes');
      }),
      { numRuns: 300 },
    );
  });

  it('makes no commit by being displayed again', () => {
    fc.assert(
      fc.property(fortigate, fc.nat(9), fc.nat(9), (show, one, other) => {
        const [a, b] = [show(one), show(other + 10)];
        expect(a).not.toBe(b);
        expect(reading(b).artefacts[0]?.masked).toBe(reading(a).artefacts[0]?.masked);
        expect(reading(b).artefacts[0]?.exact).toBe(b);
      }),
      { numRuns: 300 },
    );
  });

  it('makes none by the carriage returns of its file', () => {
    fc.assert(
      fc.property(fortigate, (show) => {
        const text = show(1);
        expect(reading(text.replaceAll('\n', '\r\n')).artefacts[0]?.masked).toBe(
          reading(text).artefacts[0]?.masked,
        );
      }),
      { numRuns: 100 },
    );
  });

  it('that was cut is not whole, or lacks what stands at its end', () => {
    fc.assert(
      fc.property(fortigate, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (show, share) => {
        const text = show(1);
        const cut = text.slice(0, Math.floor(share * text.trimEnd().length));
        if (!judged(driver, `${cut}\n`).whole) return;
        // On the boundary of a section: then nothing but sections at the end is missing.
        expect(cut.trimEnd()).toMatch(/(?:^|\n) *end$/);
        const [full, left] = [driver.outline(text), driver.outline(cut)];
        expect(left.length).toBeLessThan(full.length);
        expect(left.map(({ title }) => title)).toEqual(full.slice(0, left.length).map(({ title }) => title));
      }),
      { numRuns: 500 },
    );
  });

  it('shows git none of its ciphertexts', () => {
    fc.assert(
      fc.property(fortigate, (show) => {
        const masked = reading(show(1)).artefacts[0]?.masked ?? '';
        expect(masked).not.toContain(Buffer.from('display 1').toString('base64').slice(0, 11));
        expect(judged(driver, masked)).toEqual({ whole: true });
      }),
      { numRuns: 200 },
    );
  });
});
