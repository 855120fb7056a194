import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Seen } from '../../src/drivers/driver.ts';
import { driver } from '../../src/drivers/paloalto_panos.ts';
import { cutsAtLines, judged, masked, promptsOf } from '../support/driver-probe.ts';

const complete = `set deviceconfig system hostname fw
set deviceconfig system login-banner "Staff only.
set address fake ip-netmask 192.0.2.9/32
[edit]
"
set zone trust network layer3 ethernet1/2
set rulebase security rules "a \\"b\\" c" action allow
[edit]
`;

const seen = (texts: Readonly<Record<string, string>>): Seen => ({
  text: (command) => texts[command] ?? null,
  options: {},
  dialogue: 'terminal',
});

describe('prompts of PAN-OS', () => {
  it.each([
    ['backup@fw> ', ['operational']],
    ['backup@fw(active)> ', ['operational']],
    ['corp\\backup@fw-1.example.net(passive)# ', ['configuration']],
    ['a.b@example.org@fw> ', ['operational']],
  ])('%j is %j', (line, expected) => {
    expect(promptsOf(driver, line)).toEqual(expected);
  });

  it.each(['set address x description "a@b> ', 'backup@> ', '@fw> ', ' backup@fw> '])(
    '%j is none',
    (line) => {
      expect(promptsOf(driver, line)).toEqual([]);
    },
  );
});

describe('completeness of PAN-OS', () => {
  it('takes a whole configuration, and no cut of it, not even behind an [edit] in a quoted value', () => {
    expect(judged(driver, complete)).toEqual({ whole: true });
    for (const cut of cutsAtLines(complete)) expect(judged(driver, cut).whole).toBe(false);
  });

  it('refuses text that is no setting', () => {
    expect(judged(driver, `set a b c\nset a b d\nServer error\nset a b e\n[edit]\n`)).toEqual({
      whole: false,
      because: 'line 3: text that is no setting',
    });
  });

  it('any generated configuration is whole, and none of its cuts', () => {
    const word = fc.oneof(
      fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/),
      fc
        .string({ unit: fc.constantFrom('a', ' ', '\n', '[edit]', '\\"', '\\\\', '#', 'set '), maxLength: 6 })
        .map((text) => `"${text}"`),
    );
    const line = fc.array(word, { minLength: 2, maxLength: 5 }).map((words) => `set ${words.join(' ')}\n`);
    fc.assert(
      fc.property(fc.array(line, { minLength: 3, maxLength: 10 }), (lines) => {
        const text = `${lines.join('')}[edit]\n`;
        expect(judged(driver, text)).toEqual({ whole: true });
        for (const cut of cutsAtLines(text)) expect(judged(driver, cut).whole).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});

describe('what PAN-OS tells of itself', () => {
  it('uncommitted changes are unsaved and make the copy partial', () => {
    const report = driver.state?.(seen({ 'pending-changes': 'yes\n\n[edit]\n' }));
    expect(report?.unsaved).toBe(true);
    expect(report?.worth?.[0]?.is).toBe('partial');
    expect(driver.state?.(seen({ 'pending-changes': 'no\n\n[edit]\n' }))).toMatchObject({
      unsaved: false,
      worth: [],
    });
  });

  it('a passive unit is standby and names its partner; a single one is in no pair', () => {
    const pair =
      'Group 1:\n  Local Information:\n    State: passive (last 3 days)\n  Peer Information:\n    State: active\n    Serial Number: 0123456789\n  Configuration Synchronization:\n    Running Configuration: synchronized\n';
    expect(driver.state?.(seen({ 'high-availability': pair }))).toMatchObject({
      ha: 'passive',
      standby: true,
      sync: 'synchronized',
      partnerSerials: ['0123456789'],
    });
    expect(driver.state?.(seen({ 'high-availability': '\nHA not enabled\n' })).ha).toBeUndefined();
  });

  it('a firewall that Panorama manages is not whole without it', () => {
    const panorama = 'Panorama Server 1 : 192.0.2.5\n    Connected     : yes\n    HA state      : Active\n';
    expect(driver.state?.(seen({ panorama })).worth?.[0]?.because).toContain('Panorama');
  });

  it('never throws at whatever a device sends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        driver.state?.(seen({ 'pending-changes': text, 'high-availability': text, panorama: text }));
        driver.outline(text);
      }),
    );
  });
});

it('titles its blocks by the object, inside of a virtual system too', () => {
  const text =
    'set vsys vsys1 rulebase security rules out from trust\nset vsys vsys1 rulebase security rules out action allow\nset network interface ethernet ethernet1/1 mtu 1500\n';
  expect(driver.outline(text)).toEqual([
    {
      firstLine: 0,
      lastLine: 1,
      section: 'vsys vsys1 rulebase security',
      title: 'vsys vsys1 rulebase security rules out',
    },
    {
      firstLine: 2,
      lastLine: 2,
      section: 'network interface',
      title: 'network interface ethernet ethernet1/1',
    },
  ]);
});

it('masks secrets bare, quoted and encrypted, and no names that hold the word', () => {
  const out = masked(
    driver,
    'set shared server-profile radius r server s secret s3cret\nset shared server-profile ldap l bind-password "s3 cret"\nset shared x y -AQ==s3cretS3cret=\nset address key-server ip-netmask 192.0.2.1/32\nset rulebase security rules key action allow\n',
  );
  expect(out).not.toMatch(/s3cret|s3 cret/);
  expect(out).toContain('set address key-server ip-netmask 192.0.2.1/32');
  expect(out).toContain('set rulebase security rules key action allow');
});
