import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostsOf } from '../../src/syslog/header.ts';

describe('the device in a header', () => {
  it.each([
    ['<165>Oct 06 2021 15:02:30 192.0.2.9 : %ASA-5-111010: x', '192.0.2.9'],
    ['<165>Oct  6 15:02:30 fw-hq %ASA-5-111010: x', 'fw-hq'],
    ['<166>2018-06-27T12:17:46Z asa : %ASA-6-302015: x', 'asa'],
    ['Mar 09 2017 10:25:04 MDF-FW5515X : %ASA-5-111005: x', 'MDF-FW5515X'],
    ['HQ-FW5585 : %ASA-5-111005: x', 'HQ-FW5585'],
    ['<166>:Aug 15 13:44:38 UTC: %ASA-6-302015: x', null],
    ['<165>Nov 08 2013 10:18:30: %ASA-5-111008: x', null],
    ['%ASA-5-111008: x', null],
    ['<165>1 2026-03-04T01:30:00.003Z fw1.example.net app 8710 ID47 - x', 'fw1.example.net'],
    ['<165>1 - fw1 app - - - x', 'fw1'],
    ['<134>*Mar  4 01:30:00.123 UTC: host.example.com: x', null],
    [
      '<133>Mar  4 01:30:00 slot1/lb1.example.net notice mcpd[8013]: 01070417:5: AUDIT - x',
      'lb1.example.net',
    ],
    ['<189>date=2026-03-04 time=01:30:00 devname="fw"', null],
    ['<13>Mar  4 01:30:00 2001:db8::7 x', '2001:db8::7'],
  ])('%s', (text, host) => {
    const [first = null] = hostsOf(text);
    if (host === null) expect(['UTC', null]).toContain(first);
    else expect(first).toBe(host);
  });

  it('a time zone between timestamp and name hides nothing', () => {
    expect(hostsOf('<13>Mar  4 01:30:00 CEST fw1: x')).toEqual(['CEST', 'fw1']);
  });

  it('whatever is sent, there are at most two words, and they are short', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        const hosts = hostsOf(text);
        expect(hosts.length).toBeLessThanOrEqual(2);
        for (const host of hosts) expect(host).toMatch(/^[\w.:-]{1,255}$/);
      }),
    );
  });
});
