import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/cisco_ios.ts';
import type { Seen } from '../../src/drivers/driver.ts';
import { cutsAtLines, factsIn, judged, masked, promptsOf } from '../support/driver-probe.ts';

const complete = `Building configuration...

Current configuration : 300 bytes
!
! Last configuration change at 10:00:00 UTC Tue Mar 3 2026 by netops
! NVRAM config last updated at 10:05:00 UTC Tue Mar 3 2026 by netops
!
version 15.7
!
hostname rtr-1
!
interface GigabitEthernet0/1
 ip address 192.0.2.1 255.255.255.0
!
banner motd #
end
rtr-1#
#
!
end
`;

const seen = (texts: Readonly<Record<string, string>>): Seen => ({
  text: (command) => texts[command] ?? null,
  options: {},
  dialogue: 'terminal',
});

describe('prompts of IOS', () => {
  it.each([
    ['rtr-1>', ['user', 'enableDenied']],
    ['rtr-1#', ['privileged']],
    ['sw_core.example.net# ', ['privileged']],
    ['rtr-1-stby#', ['privileged']],
    ['rtr-1(config)#', ['configuration']],
    ['rtr-1(config-if)#', ['configuration']],
  ])('%j is %j', (line, expected) => {
    const prompts = expected.filter((mode) => mode !== 'enableDenied');
    expect(promptsOf(driver, line)).toEqual(prompts);
  });

  it.each(['interface Vlan1#', ' rtr-1#', 'rtr-1# show', '!#', '#'])('%j is none', (line) => {
    expect(promptsOf(driver, line)).toEqual([]);
  });
});

describe('completeness of IOS', () => {
  it('takes a whole configuration, and no cut of it', () => {
    expect(judged(driver, complete)).toEqual({ whole: true });
    for (const cut of cutsAtLines(complete)) expect(judged(driver, cut).whole).toBe(false);
  });

  it('does not take the word "end" inside of a banner for the end', () => {
    const cut = complete.slice(0, complete.indexOf('rtr-1#\n'));
    expect(cut.endsWith('end\n')).toBe(true);
    expect(judged(driver, cut)).toEqual({ whole: false, because: 'a banner is still open at the end' });
  });

  it('any generated configuration is whole, and none of its cuts', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
    const block = fc
      .tuple(name, fc.array(name, { maxLength: 4 }))
      .map(
        ([head, inside]) =>
          `${['interface', 'router bgp', 'line vty'].at(head.length % 3)} ${head}\n${inside.map((line) => ` ${line}\n`).join('')}!\n`,
      );
    const banner = fc
      .tuple(
        fc.constantFrom('^C', '#', '@'),
        fc.array(fc.constantFrom('end', 'hello', '!', 'version 1', ''), { maxLength: 4 }),
      )
      .map(([mark, lines]) => `banner login ${mark}\n${lines.map((line) => `${line}\n`).join('')}${mark}\n`);
    fc.assert(
      fc.property(fc.array(fc.oneof(block, banner), { maxLength: 8 }), (parts) => {
        const text = `version 17.9\n!\nhostname x\n!\n!\n!\n${parts.join('')}end\n`;
        expect(judged(driver, text)).toEqual({ whole: true });
        for (const cut of cutsAtLines(text)) expect(judged(driver, cut).whole).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});

describe('what IOS tells of itself', () => {
  it('finds the facts in the output of old and new images', () => {
    expect(
      factsIn(
        driver,
        'version',
        'Cisco IOS XE Software, Version 17.09.04a\nCisco IOS Software [Cupertino], X, Version 17.9.4a, RELEASE SOFTWARE (fc3)\nsw uptime is 1 week\ncisco C9200L-24P-4G (ARM64) processor with 519464K/3071K bytes of memory.\nProcessor board ID JAE24FFFFFF\n',
      ),
    ).toEqual({
      version: '17.09.04a',
      hostname: 'sw',
      model: 'C9200L-24P-4G',
      serial: 'JAE24FFFFFF',
    });
  });

  it.each([
    ['10:05:00 UTC Tue Mar 3 2026', false],
    ['09:59:59 UTC Tue Mar 3 2026', true],
    ['09:59:59 CET Tue Mar 3 2026', undefined],
    ['not a time', undefined],
  ])('saved at %s: unsaved is %s', (saved, unsaved) => {
    const text = complete.replace('10:05:00 UTC Tue Mar 3 2026', saved);
    expect(driver.state?.(seen({ 'running-config': text })).unsaved).toBe(unsaved);
  });

  it('a change that was never written since the start is unsaved; a head without times says nothing', () => {
    const never = complete.replace(/^! NVRAM.*\n/m, '');
    expect(driver.state?.(seen({ 'running-config': never })).unsaved).toBe(true);
    expect(driver.state?.(seen({ 'running-config': 'version 15.1\nend\n' })).unsaved).toBeUndefined();
  });

  it.each([
    ['Current privilege level is 15\n', undefined],
    ['Current privilege level is 7\n', 'partial'],
    ['% Invalid input\n', undefined],
  ])('%j makes the copy %s', (privilege, is) => {
    expect(driver.state?.(seen({ privilege })).worth?.[0]?.is).toBe(is);
  });

  it('never throws at whatever a device sends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        driver.state?.(seen({ privilege: text, 'running-config': text }));
        driver.outline(text);
      }),
    );
  });
});

it('masks every form of a key, and leaves names alone', () => {
  const text = `version 15.7\nusername a privilege 15 secret 5 $1$abcd$efghijklmnop\nsnmp-server community s3cret RO\nsnmp-server host 192.0.2.1 s3cret\nsnmp-server host 192.0.2.2 version 3 auth ops\nstandby-thing\ninterface x\n standby 1 authentication s3cret\n ip ospf authentication message-digest\nend\n`;
  const out = masked(driver, text);
  expect(out).not.toMatch(/s3cret|efghijklmnop/);
  expect(out).toContain('version 3 auth ops');
  expect(out).toContain('ip ospf authentication message-digest');
});
