import { describe, expect, it } from 'vitest';
import type { BackupError } from '../../src/core/errors.ts';
import type { Capture, Driver } from '../../src/drivers/driver.ts';
import { judge, rulesDigest } from '../../src/pipeline/judge.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import type { Collected } from '../../src/transport/collect.ts';
import { capture, tiny } from './tiny-driver.ts';

const mask = createMask(Buffer.alloc(32, 7), 'fw1');
const running = 'begin\nuptime 4\npassword abc\nend\n';

function collected(texts: Record<string, string>, over: Partial<Collected> = {}): Collected {
  const all = { version: 'host fw1\nserial A1\n', 'running-config': running, marked: 'x\n: end\n', ...texts };
  const captures = new Map<string, Capture>(Object.entries(all).map(([name, text]) => [name, capture(text)]));
  return { captures, again: new Map(), restorable: new Map(), ...over };
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
    ];
    expect(new Set([tiny, ...variants].map(rulesDigest)).size).toBe(5);
    expect(rulesDigest({ ...tiny, title: 'Other', facts: [] })).toBe(rulesDigest(tiny));
  });
});
