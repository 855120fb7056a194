import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Device, unknownCondition } from '../../src/core/device.ts';
import type { SpoolEntry } from '../../src/core/run.ts';
import type { ArtefactCommand, Driver } from '../../src/drivers/driver.ts';
import { commandOf, namesInShort } from '../../src/pipeline/artefact-names.ts';
import { compare, type Previous } from '../../src/pipeline/compare.ts';
import { tiny } from './tiny-driver.ts';

const config = 'interface a\n up\ninterface b\n up\nroute x\nroute y\n';
const noExpectation: Device['expect'] = { hostname: null, serials: [] };

function entry(over: Partial<SpoolEntry> = {}): SpoolEntry {
  return {
    runId: 'r1',
    deviceId: 'fw1',
    deviceName: 'fw1',
    group: 'default',
    platform: 'tiny',
    trigger: 'manual',
    slotMs: null,
    readAtMs: 0,
    artefacts: [{ name: 'running-config', masked: config, sealed: null }],
    facts: { hostname: 'fw1', version: null, model: null, serial: 'A1', changedBy: null, changedAt: null },
    condition: unknownCondition,
    serials: ['A1', 'B1'],
    restorable: 'yes',
    restorableBecause: null,
    maskKey: 'k',
    rules: 'r',
    ...over,
  };
}

const holding = (masked: string, name = 'running-config'): SpoolEntry =>
  entry({ artefacts: [{ name, masked, sealed: null }] });

function last(over: Partial<Previous> = {}): Previous {
  return {
    artefacts: new Map([['running-config', config]]),
    restorable: 'yes',
    identity: { hostname: 'fw1', serials: ['A1', 'B1'], hostnames: { A1: 'fw1' } },
    ...over,
  };
}

const facts = (over: Partial<SpoolEntry['facts']>): SpoolEntry =>
  entry({ facts: { ...entry().facts, ...over } });
const against = (next: SpoolEntry, previous: Previous | null = last(), expectation = noExpectation) =>
  compare(previous, next, tiny, expectation);

describe('compare', () => {
  it('tells the same text from another one', () => {
    expect(against(entry())).toBe('unchanged');
    expect(against(holding(config.replace('up', 'down')))).toBe('changed');
    expect(against(entry({ rules: 'other' }))).toBe('unchanged');
  });

  it('takes a first copy, and an artefact that is new', () => {
    expect(against(entry(), null)).toBe('changed');
    const more = [...entry().artefacts, { name: 'marked', masked: 'x\n', sealed: null }];
    expect(against(entry({ artefacts: more }))).toBe('changed');
  });

  describe('identity', () => {
    it('holds back a device that calls itself something else', () => {
      expect(against(facts({ hostname: 'evil' }))).toEqual({
        code: 'verify.identity',
        detail: { expected: 'hostname fw1 (as seen before)', presented: 'hostname evil' },
      });
    });

    it('holds back a serial number that nobody named', () => {
      expect(against(facts({ serial: 'C1' }))).toEqual({
        code: 'verify.identity',
        detail: { expected: 'serial number A1 or B1 (as seen before)', presented: 'serial number C1' },
      });
    });

    it('takes a failover to a partner for what it is', () => {
      expect(against(facts({ serial: 'B1' }))).toBe('unchanged');
    });

    it('takes a partner that has a name of its own for what it is, and holds it to that name from then on', () => {
      const partner = facts({ hostname: 'fw2', serial: 'B1' });
      expect(against(partner)).toBe('unchanged');
      const known = { hostname: 'fw2', serials: ['A1', 'B1'], hostnames: { A1: 'fw1', B1: 'fw2' } };
      const after = last({ identity: known });
      expect(against(entry(), after)).toBe('unchanged');
      expect(against(partner, after)).toBe('unchanged');
      expect(against(facts({ hostname: 'evil', serial: 'B1' }), after)).toEqual({
        code: 'verify.identity',
        detail: { expected: 'hostname fw2 (as seen before)', presented: 'hostname evil' },
      });
      // The name of one unit is not that of the other.
      expect(against(facts({ hostname: 'fw2', serial: 'A1' }), after)).toMatchObject({
        detail: { expected: 'hostname fw1 (as seen before)' },
      });
      // One that tells no serial number is any of them, and nobody else.
      expect(against(facts({ hostname: 'fw1', serial: null }), after)).toBe('unchanged');
      expect(against(facts({ hostname: 'evil', serial: null }), after)).toMatchObject({
        detail: { expected: 'hostname fw2 or fw1 (as seen before)' },
      });
    });

    it('is the same whatever order failovers come in: only who was vouched for gets in', () => {
      const serial = fc.constantFrom('A', 'B', 'C', 'D', '__proto__');
      const hostname = fc.constantFrom('one', 'two', null);
      const reading = fc.record({ serial, hostname, partners: fc.uniqueArray(serial) });
      fc.assert(
        fc.property(fc.array(reading, { minLength: 1, maxLength: 12 }), (readings) => {
          // What the ledger keeps, in the simplest form: who was vouched for, and the names of those that were read.
          let known: { serials: Set<string>; names: Map<string, string>; name: string | null } | null = null;
          for (const one of readings) {
            const previous =
              known === null
                ? null
                : last({
                    identity: {
                      hostname: known.name,
                      serials: [...known.serials],
                      hostnames: Object.fromEntries(known.names),
                    },
                  });
            const outcome = against(facts({ hostname: one.hostname, serial: one.serial }), previous);
            const taken = typeof outcome === 'string';
            const named: string | undefined = known?.names.get(one.serial);
            const vouched: boolean = known === null || known.serials.has(one.serial);
            const asBefore = named === undefined || one.hostname === null || named === one.hostname;
            expect(taken).toBe(vouched && asBefore);
            if (!taken) continue;
            known ??= { serials: new Set(), names: new Map(), name: null };
            for (const each of [one.serial, ...one.partners]) known.serials.add(each);
            if (one.hostname !== null) known.names.set(one.serial, one.hostname);
            known.name = one.hostname ?? known.name;
          }
        }),
      );
    });

    it('holds nothing against a device that does not say who it is', () => {
      expect(against(facts({ hostname: null, serial: null }))).toBe('unchanged');
      expect(against(entry(), last({ identity: { hostname: null, serials: [], hostnames: {} } }))).toBe(
        'unchanged',
      );
    });

    it('checks a first copy against the inventory', () => {
      expect(against(entry(), null, { hostname: 'fw1', serials: ['A1'] })).toBe('changed');
      expect(against(entry(), null, { hostname: 'fw2', serials: [] })).toMatchObject({
        code: 'verify.identity',
      });
      expect(against(entry(), null, { hostname: null, serials: ['Z9'] })).toMatchObject({
        code: 'verify.identity',
      });
    });

    it('takes the serial numbers of the inventory for the only ones, whatever was seen before', () => {
      const only = { hostname: null, serials: ['B1'] };
      expect(against(facts({ serial: 'B1' }), last(), only)).toBe('unchanged');
      expect(against(entry(), last(), only)).toEqual({
        code: 'verify.identity',
        detail: {
          expected: 'serial number B1 (expect in the inventory)',
          presented: 'serial number A1',
        },
      });
    });

    it('lets the inventory announce a new unit', () => {
      expect(against(facts({ serial: 'N1' }), last(), { hostname: null, serials: ['N1'] })).toBe('unchanged');
    });

    it('lets each unit of a pair have its own name, where the inventory vouches for its serial number', () => {
      const pair = { hostname: null, serials: ['A1', 'B1'] };
      const partner = facts({ hostname: 'fw2', serial: 'B1' });
      expect(against(partner, last(), pair)).toBe('unchanged');
      // A name in the inventory counts.
      expect(against(partner, last(), { ...pair, hostname: 'fw1' })).toMatchObject({
        detail: { expected: 'hostname fw1 (expect in the inventory)', presented: 'hostname fw2' },
      });
      expect(against(facts({ hostname: 'fw2', serial: null }), last(), pair)).toMatchObject({
        detail: { expected: 'hostname fw1 (as seen before)', presented: 'hostname fw2' },
      });
    });

    it.each([
      [{ hostname: 'fw1', serials: [] }, 'hostname fw1'],
      [{ hostname: null, serials: ['A1', 'B1'] }, 'serial number A1 or B1'],
      [{ hostname: 'fw1', serials: ['A1'] }, 'hostname fw1, serial number A1'],
    ])('holds back a device that tells nothing where the inventory expects %j', (expected, claim) => {
      for (const previous of [null, last()]) {
        expect(against(facts({ hostname: null, serial: null }), previous, expected)).toEqual({
          code: 'verify.identity',
          detail: { expected: `${claim} (expect in the inventory)`, presented: 'nothing' },
        });
      }
    });

    it('names the inventory first, because accepting the reading would not cure it', () => {
      const next = facts({ hostname: 'fw9', serial: 'C1' });
      expect(against(next, last(), { hostname: null, serials: ['A1'] })).toMatchObject({
        detail: { expected: 'serial number A1 (expect in the inventory)' },
      });
    });

    it('says the ground however many serial numbers there are', () => {
      const many = Array.from({ length: 64 }, (_, index) => `SERIAL-${index}`);
      const held = against(entry(), null, { hostname: null, serials: many });
      expect(held).toMatchObject({
        detail: { expected: expect.stringMatching(/^.{1,170}… \(expect in the inventory\)$/) },
      });
    });

    it('lets the inventory announce a new name', () => {
      expect(against(facts({ hostname: 'FW-HQ' }), last(), { hostname: 'fw-hq', serials: [] })).toBe(
        'unchanged',
      );
    });

    it('is looked at before anything else', () => {
      const next = entry({ facts: { ...entry().facts, hostname: 'evil' }, restorable: 'no', artefacts: [] });
      expect(against(next)).toMatchObject({ code: 'verify.identity' });
    });
  });

  describe('worth', () => {
    it.each([
      ['yes', 'partial', true],
      ['yes', 'no', true],
      ['partial', 'no', true],
      ['partial', 'partial', false],
      ['no', 'partial', false],
      ['no', 'no', false],
    ] as const)('from %s to %s: held back is %s', (was, is, held) => {
      const verdict = against(
        entry({ restorable: is, restorableBecause: 'a role' }),
        last({ restorable: was }),
      );
      expect(verdict).toEqual(
        held ? { code: 'verify.downgraded', detail: { was, is, because: 'a role' } } : 'unchanged',
      );
    });
  });

  describe('size', () => {
    it('holds back a copy with fewer than half of the lines', () => {
      const long = `interface a\n${' x\n'.repeat(99)}`;
      const before = last({ artefacts: new Map([['running-config', long]]) });
      expect(against(holding(`interface a\n${' y\n'.repeat(49)}`), before)).toBe('changed');
      expect(against(holding(`interface a\n${' y\n'.repeat(48)}`), before)).toEqual({
        code: 'verify.shrunk',
        detail: { artefact: 'running-config', previousLines: 100, lines: 49, lostSections: [] },
      });
    });

    it('holds back a copy that lost a section, and names it', () => {
      expect(against(holding('interface a\n up\ninterface b\n up\n'))).toMatchObject({
        code: 'verify.shrunk',
        detail: { lostSections: ['route'] },
      });
    });

    it('holds back a reading without an artefact that was there', () => {
      expect(against(holding('x\n', 'marked'))).toEqual({
        code: 'verify.shrunk',
        detail: {
          artefact: 'running-config',
          previousLines: 6,
          lines: 0,
          lostSections: ['interface', 'route'],
        },
      });
    });

    it('compares sizes across a change of rules too', () => {
      expect(against({ ...holding('interface a\n'), rules: 'other' })).toMatchObject({
        code: 'verify.shrunk',
      });
    });
  });

  describe('prefix', () => {
    it('holds back a copy whose last objects are missing', () => {
      expect(against(holding(config.replace('route y\n', '')))).toEqual({
        code: 'verify.prefix',
        detail: { artefact: 'running-config', previousObjects: 4, objects: 3 },
      });
    });

    it('holds it back also where another fingerprint key gave the objects other names', () => {
      const named = (mark: string): string => `user <secret:${mark}>\nroute x\nroute y\n`;
      const before = last({ artefacts: new Map([['running-config', named('aaaaaa')]]) });
      expect(against(holding(named('bbbbbb').replace('route y\n', '')), before)).toMatchObject({
        code: 'verify.prefix',
      });
    });

    it('takes a copy that lost an object elsewhere, or lost one and gained one', () => {
      expect(against(holding(config.replace('route x\n', '')))).toBe('changed');
      expect(against(holding(config.replace('route y\n', 'route z\n')))).toBe('changed');
    });

    it('does not suspect a text that says itself where it ends', () => {
      const before = last({ artefacts: new Map([['marked', config]]) });
      expect(against(holding(config.replace('route y\n', ''), 'marked'), before)).toBe('changed');
    });

    it('takes no cut between two objects', () => {
      const object = fc.record({ section: fc.constantFrom('a', 'b', 'c'), lines: fc.nat(3) });
      fc.assert(
        fc.property(fc.array(object, { minLength: 1, maxLength: 12 }), fc.nat(), (objects, at) => {
          const texts = objects.map(
            ({ section, lines }, index) => `${section} ${index}\n${' x\n'.repeat(lines)}`,
          );
          const before = last({ artefacts: new Map([['running-config', texts.join('')]]) });
          const cut = texts.slice(0, at % texts.length).join('');
          expect(against(holding(texts.join('')), before)).toBe('unchanged');
          expect(against(holding(cut), before)).toBeTypeOf('object');
        }),
      );
    });
  });
});

describe('artefacts of contexts', () => {
  const [, , running] = tiny.commands;
  const driver: Driver = {
    ...tiny,
    commands: [
      ...tiny.commands,
      {
        ...(running as ArtefactCommand),
        name: 'context-{context}.marked',
        wholeWhen: { atLeastLines: 1, proof: 'end-marker' },
        forEach: { over: 'version', items: () => [] },
      },
    ],
  };
  const of = (texts: Record<string, string>): SpoolEntry =>
    entry({ artefacts: Object.entries(texts).map(([name, masked]) => ({ name, masked, sealed: null })) });
  const before = (texts: Record<string, string>) => last({ artefacts: new Map(Object.entries(texts)) });
  const compared = (previous: Record<string, string>, next: Record<string, string>) =>
    compare(before(previous), of(next), driver, noExpectation);

  it('a new one is a change, one that went is held', () => {
    const one = { 'running-config': config };
    const two = { ...one, 'context-a.marked': 'x a\n' };
    expect(compared(one, two)).toBe('changed');
    expect(compared(two, two)).toBe('unchanged');
    expect(compared(two, one)).toEqual({
      code: 'verify.shrunk',
      detail: { artefact: 'context-a.marked', previousLines: 1, lines: 0, lostSections: ['x'] },
    });
  });

  it('are judged by the command that they come from', () => {
    const long = 'a 1\na 2\na 3\n';
    const short = 'a 1\na 2\n';
    expect(compared({ 'context-a.marked': long }, { 'context-a.marked': short })).toBe('changed');
    expect(compared({ 'running-config': long }, { 'running-config': short })).toMatchObject({
      code: 'verify.prefix',
    });
  });
});

describe('the names of artefacts', () => {
  it('lead to their command, the plain name first', () => {
    const commands = ['a-{x}.cfg', 'a-b.cfg'].map((name) => ({
      ...(tiny.commands[2] as ArtefactCommand),
      name,
      ...(name.includes('{') ? { forEach: { over: 'version', items: () => [] } } : {}),
    }));
    const driver = { ...tiny, commands };
    expect(commandOf(driver, 'a-b.cfg')?.name).toBe('a-b.cfg');
    expect(commandOf(driver, 'a-x.cfg')?.name).toBe('a-{x}.cfg');
    expect(commandOf(driver, 'a-.cfg')).toBeNull();
    expect(commandOf(driver, 'a-xycfg')).toBeNull();
  });

  it('are few in a subject', () => {
    expect(namesInShort(['a'])).toBe('a');
    expect(namesInShort(['a', 'b', 'c'])).toBe('a, b, c');
    expect(namesInShort(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more');
  });
});
