import { describe, expect, it } from 'vitest';
import type { BackupError } from '../../src/core/errors.ts';
import type { ArtefactCommand, Capture, Driver, Seen, StateReport } from '../../src/drivers/driver.ts';
import { judge, rulesDigest } from '../../src/pipeline/judge.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import type { Collected } from '../../src/transport/collect.ts';
import { capture, tiny } from './tiny-driver.ts';

const mask = createMask(Buffer.alloc(32, 7), 'fw1');
const running = 'begin\nuptime 4\npassword abc\nend\n';

function artefactsOf(driver: Driver): Map<string, ArtefactCommand> {
  return new Map(
    driver.commands.flatMap((command) => (command.keep === 'artefact' ? [[command.name, command]] : [])),
  );
}

function collected(texts: Record<string, string>, over: Partial<Collected> = {}): Collected {
  const all = { version: 'host fw1\nserial A1\n', 'running-config': running, marked: 'x\n: end\n', ...texts };
  const captures = new Map<string, Capture>(Object.entries(all).map(([name, text]) => [name, capture(text)]));
  const seen: Seen = { text: () => null, options: {}, dialogue: 'shell' };
  const artefacts = artefactsOf(tiny);
  const restorable = new Map();
  return { captures, again: new Map(), artefacts, restorable, seen, archives: new Map(), ...over };
}

describe('judge', () => {
  it('gives every artefact in both forms, with facts', () => {
    const reading = judge(tiny, collected({}), mask);
    expect(reading.artefacts).toEqual([
      {
        name: 'running-config',
        exact: running,
        masked: `begin\npassword ${mask.token('password', 'abc', false)}\nend\n`,
      },
      { name: 'marked', exact: 'x\n: end\n', masked: 'x\n: end\n' },
    ]);
    expect(reading.facts.hostname).toBe('fw1');
    expect(reading.serials).toEqual(['A1']);
  });

  it('keeps secrets in the text where there is no mask, and still compares two readings', () => {
    expect(judge(tiny, collected({}), null).artefacts[0]?.masked).toBe('begin\npassword abc\nend\n');
    const again = new Map([['running-config', capture('begin\npassword abd\nend\n')]]);
    expect(() => judge(tiny, collected({}, { again }), null)).toThrow('verify.incomplete');
  });

  it('refuses a session with one artefact that is cut, or missing', () => {
    const thrown = (session: Collected): unknown => {
      try {
        return judge(tiny, session, mask);
      } catch (error) {
        return (error as BackupError).detail;
      }
    };
    expect(thrown(collected({ marked: 'x\n' }))).toMatchObject({ artefact: 'marked', lines: 1 });
    const session = collected({});
    const captures = new Map(session.captures);
    captures.delete('marked');
    expect(thrown({ ...session, captures })).toEqual({
      artefact: 'marked',
      because: 'the session kept no answer',
      lines: 0,
    });
  });

  it('stops where something that looks like a secret is left', () => {
    const broken = { token: () => 'ftp://u:n0tr3al@h/' };
    const error = (() => {
      try {
        return judge(tiny, collected({}), broken);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toMatchObject({
      code: 'redact.leak',
      detail: { artefact: 'running-config', rule: 'url-password', line: 2 },
    });
  });

  it('says on what ground a copy counts as whole', () => {
    const reading = judge(tiny, collected({}), mask);
    expect(reading.restorable).toBe('yes');
    expect(reading.restorableBecause).toMatch(/whole by structure/);
  });

  it('joins what the session and the text say of its worth, worst first', () => {
    const restorable = new Map([['running-config', { is: 'partial', because: 'a role' } as const]]);
    expect(judge(tiny, collected({}, { restorable }), mask)).toMatchObject({
      restorable: 'partial',
      restorableBecause: 'a role',
    });
    const hidden = { marked: 'secret *****\n: end\n' };
    expect(judge(tiny, collected(hidden, { restorable }), mask)).toMatchObject({
      restorable: 'no',
      restorableBecause: 'the device hid its secrets',
    });
    expect(judge(tiny, collected({ 'running-config': `${running}limited\n` }), mask)).toMatchObject({
      restorable: 'partial',
      restorableBecause: 'the account sees a part',
    });
  });
});

describe('what the answers tell together', () => {
  const telling = (report: StateReport): Driver => ({ ...tiny, state: () => report });

  it('becomes the condition, null where the device said nothing', () => {
    expect(judge(tiny, collected({}), mask).condition).toEqual({
      ha: null,
      standby: null,
      sync: null,
      unsaved: null,
    });
    const driver = telling({ ha: 'Primary - Active', standby: false, sync: 'In Sync', unsaved: true });
    expect(judge(driver, collected({}), mask).condition).toEqual({
      ha: 'Primary - Active',
      standby: false,
      sync: 'In Sync',
      unsaved: true,
    });
  });

  it('is harmless and short, whatever the device puts there', () => {
    const driver = telling({
      ha: `\x1b]0;x\x07\n${'a'.repeat(500)}`,
      sync: ' \r\n ',
      partnerSerials: ['\x9bB1'],
    });
    const { condition, serials } = judge(driver, collected({}), mask);
    expect(condition.ha).toMatch(/^\\x1b\]0;x\\x07\\x0aa+…$/);
    expect(condition.ha).toHaveLength(120);
    expect(condition.sync).toBeNull();
    expect(serials).toEqual(['A1', '\\x9bB1']);
  });

  it('names partners after the own serial number, each once and not without end', () => {
    const partnerSerials = ['B1', 'A1', 'B1', ...Array.from({ length: 500 }, (_, n) => `C${n}`)];
    const { serials } = judge(telling({ partnerSerials }), collected({}), mask);
    expect(serials.slice(0, 3)).toEqual(['A1', 'B1', 'C0']);
    expect(serials).toHaveLength(64);
  });

  it('joins every reason of the worst kind', () => {
    const worth = [
      { is: 'partial', because: 'no private keys' },
      { is: 'partial', because: 'one context without config-url' },
    ] as const;
    const restorable = new Map([['running-config', { is: 'partial', because: 'a role' } as const]]);
    expect(judge(telling({ worth }), collected({}, { restorable }), mask)).toMatchObject({
      restorable: 'partial',
      restorableBecause: 'no private keys; one context without config-url; a role',
    });
  });

  it('that throws is a defect, and nothing is kept', () => {
    const driver: Driver = {
      ...tiny,
      state: () => {
        throw new TypeError('x');
      },
    };
    expect(() => judge(driver, collected({}), mask)).toThrow(TypeError);
  });

  it('stops at a unit that stands by, where the inventory says so', () => {
    const driver = telling({ ha: 'Secondary - Standby', standby: true });
    const seen = (on_standby: string): Seen => ({
      text: () => null,
      options: { on_standby },
      dialogue: 'shell',
    });
    expect(judge(driver, collected({}, { seen: seen('store') }), mask).artefacts).toHaveLength(2);
    expect(() => judge(driver, collected({}, { seen: seen('skip') }), mask)).toThrow('collect.standby');
    expect(judge(tiny, collected({}, { seen: seen('skip') }), mask).artefacts).toHaveLength(2);
  });

  it('applies rules for members of a group to members alone, also between two readings', () => {
    const volatile = [
      ...tiny.volatile,
      { line: /^unit /, act: 'drop', because: 'its own', inHa: true, example: 'unit a' } as const,
    ];
    const text = 'begin\nunit a\nend\n';
    const masked = (driver: Driver) =>
      judge(driver, collected({ 'running-config': text }), mask).artefacts[0]?.masked;
    expect(masked({ ...tiny, volatile })).toBe(text);
    expect(masked({ ...telling({ ha: 'Active' }), volatile })).toBe('begin\nend\n');
    const again = new Map([['running-config', capture('begin\nunit b\nend\n')]]);
    const session = collected({ 'running-config': text }, { again });
    expect(() => judge({ ...tiny, volatile }, session, mask)).toThrow('verify.incomplete');
    expect(judge({ ...telling({ ha: 'Active' }), volatile }, session, mask).artefacts).toHaveLength(2);
  });
});

describe('several artefacts', () => {
  const [, , running] = tiny.commands;
  const contexts: Driver = {
    ...tiny,
    commands: [
      ...tiny.commands,
      {
        ...(running as ArtefactCommand),
        name: 'context-{context}.running-config',
        forEach: { over: 'version', items: () => [] },
      },
    ],
  };
  const [, , , , command] = contexts.commands as readonly ArtefactCommand[];
  const session = (names: readonly string[]): Collected => {
    const texts = Object.fromEntries(names.map((name) => [name, `begin\n${name}\nend\n`]));
    const artefacts = artefactsOf(tiny);
    for (const name of names) artefacts.set(name, command as ArtefactCommand);
    return collected(texts, { artefacts });
  };

  it('are each proven, masked and named as the session names them', () => {
    const names = ['context-admin.running-config', 'context-b.running-config'];
    expect(judge(contexts, session(names), mask).artefacts.map(({ name }) => name)).toEqual([
      'running-config',
      'marked',
      ...names,
    ]);
    const cut = session(names);
    const captures = new Map(cut.captures).set('context-b.running-config', capture('begin\n'));
    expect(() => judge(contexts, { ...cut, captures }, mask)).toThrow('verify.incomplete');
  });

  it('need no item of a command that has none', () => {
    expect(judge(contexts, session([]), mask).artefacts).toHaveLength(2);
  });

  it('that are all gone are no backup', () => {
    const bare = { ...tiny, commands: tiny.commands.filter(({ keep }) => keep === 'facts') };
    expect(() => judge(bare, collected({}, { artefacts: new Map() }), mask)).toThrow('verify.incomplete');
  });

  it('one that was left out because the device has none is no failure, one that every device has is', () => {
    const optional = tiny.commands.map((one) =>
      one.name === 'marked' ? { ...one, mayBeRefusedBecause: 'some have none' } : one,
    );
    const artefacts = artefactsOf(tiny);
    artefacts.delete('marked');
    expect(judge({ ...tiny, commands: optional }, collected({}, { artefacts }), mask).artefacts).toHaveLength(
      1,
    );
    const session = collected({}, { artefacts });
    const captures = new Map(session.captures);
    captures.delete('marked');
    expect(() => judge(tiny, { ...session, captures }, mask)).toThrow('verify.incomplete');
  });
});

describe('a file that was transferred', () => {
  const transferred = (text: string) => capture(text, { endedBy: 'transfer' });
  const session = (text: string): Collected => {
    const plain = collected({});
    return { ...plain, captures: new Map(plain.captures).set('running-config', transferred(text)) };
  };

  it('needs no word on structure: its length was told', () => {
    expect(judge(tiny, session(running), mask).restorableBecause).toBeNull();
  });

  it('still has to be what the platform calls whole', () => {
    expect(() => judge(tiny, session('begin\nbroken\nend\n'), mask)).toThrow('verify.incomplete');
    expect(() => judge(tiny, session(''), mask)).toThrow('verify.incomplete');
  });

  it('may hold what looks like a pager', () => {
    expect(judge(tiny, session(`${running}--More-- \nend\n`), mask).artefacts).toHaveLength(2);
  });
});

describe('rulesDigest', () => {
  it('is stable, and changes with every rule that decides what goes to git', () => {
    expect(rulesDigest(tiny)).toMatch(/^[0-9a-f]{16}$/);
    expect(rulesDigest({ ...tiny })).toBe(rulesDigest(tiny));
    const variants: Driver[] = [
      { ...tiny, volatile: tiny.volatile.slice(1) },
      { ...tiny, secrets: tiny.secrets.slice(1) },
      {
        ...tiny,
        secrets: tiny.secrets.map((rule) => ({ ...rule, line: new RegExp(rule.line.source, 'i') })),
      },
      { ...tiny, secrets: tiny.secrets.map((rule) => ({ ...rule, kind: 'token' })) },
      { ...tiny, volatile: tiny.volatile.map((rule) => ({ ...rule, inHa: true })) },
    ];
    expect(new Set([tiny, ...variants].map(rulesDigest)).size).toBe(6);
    expect(rulesDigest({ ...tiny, title: 'Other', facts: [] })).toBe(rulesDigest(tiny));
  });
});
