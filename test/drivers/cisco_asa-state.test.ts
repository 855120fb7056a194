import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/cisco_asa.ts';
import type { Seen, StateReport } from '../../src/drivers/driver.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { mask, read } from '../support/conformance-reading.ts';
import { loadCase } from '../support/devices/cases.ts';

function stateOf(texts: Readonly<Record<string, string>>): StateReport | undefined {
  const seen: Seen = { text: (name) => texts[name] ?? null, options: {}, dialogue: 'terminal' };
  return driver.state?.(seen);
}

const pair = (first: string, serials: string, ...units: readonly string[]): string =>
  `${first}\nFailover unit Primary\nVersion: Ours 9.16(4)57, Mate 9.16(4)57\n${serials}\n${units.join('\n')}\n`;

const both = 'Serial Number: Ours JAD0000AAAA, Mate JAD0000BBBB';

describe('a failover pair of ASAs', () => {
  it.each([
    ['\tThis host: Primary - Active \n\tOther host: Secondary - Standby Ready', 'Primary - Active', false],
    ['This host: Secondary - Standby Ready\nOther host: Primary - Active', 'Secondary - Standby Ready', true],
    ['  This host: Secondary - Bulk Sync\nOther host: Primary - Active', 'Secondary - Bulk Sync', true],
    ['This host: Primary - Failed\nOther host: Secondary - Active', 'Primary - Failed', false],
  ])('%j is told in the words of the unit', (units, ha, standby) => {
    expect(stateOf({ failover: pair('Failover On ', both, units) })).toEqual({
      ha,
      standby,
      partnerSerials: ['JAD0000BBBB'],
    });
  });

  it.each([
    ['Active', 'Standby Ready', false],
    ['Standby Ready', 'Active', false],
    ['Standby Ready', 'Standby Ready', true],
  ])('with two groups, %s and %s, stands by only where none is active', (one, two, standby) => {
    const units = `This host: Primary\n Group 1 State: ${one}\n Active time: 28 (sec)\n Group 2 State: ${two}\n Active time: 0 (sec)\n \nslot 0: ASA-5545\nOther host: Secondary\n Group 1 State: Active\n Group 2 State: Active\nslot 0: ASA-5545`;
    expect(stateOf({ failover: pair('Failover On', '', units) })).toEqual({
      ha: `Primary - Group 1 ${one}, Group 2 ${two}`,
      standby,
    });
  });

  it.each(['Unknown', 'N/A', ''])('whose mate is %j has no partner yet', (mate) => {
    const text = pair(
      'Failover On',
      `Serial Number: Ours JAD0000AAAA, Mate ${mate}`,
      'This host: Primary - Active',
    );
    expect(stateOf({ failover: text })).toEqual({ ha: 'Primary - Active', standby: false });
  });

  it('is none where failover is off, and stands by where that was switched off on a standby unit', () => {
    const units = 'This host: Secondary - Disabled';
    expect(stateOf({ failover: pair('Failover Off ', both, units) })).toEqual({});
    expect(stateOf({ failover: pair('Failover Off (pseudo-Standby)', both, units) })).toEqual({
      ha: 'Failover Off (pseudo-Standby)',
      standby: true,
    });
    expect(stateOf({})).toEqual({});
  });

  it('gives the same text whichever unit answers, and each names the other', async () => {
    const readings = [];
    for (const name of ['failover-active', 'failover-taken-over', 'failover-standby'])
      readings.push(judge(driver, (await read(driver, loadCase('cisco_asa', name))).collected, mask));
    const [active, takenOver, standby] = readings;
    expect(new Set(readings.map(({ artefacts }) => artefacts[0]?.masked)).size).toBe(1);
    expect(active?.artefacts[0]?.masked).toContain('failover lan unit <volatile>\n');
    expect(active?.condition).toMatchObject({ ha: 'Primary - Active', standby: false });
    expect(takenOver?.condition).toMatchObject({ ha: 'Secondary - Active', standby: false });
    expect(standby?.condition).toMatchObject({ ha: 'Secondary - Standby Ready', standby: true });
    expect(active?.serials).toEqual(['JAD22480AB1', 'JAD22480CD2']);
    expect(takenOver?.serials).toEqual(['JAD22480CD2', 'JAD22480AB1']);
  });

  it('keeps the line about the unit where there is no pair', async () => {
    const reading = judge(driver, (await read(driver, loadCase('cisco_asa', 'typical'))).collected, mask);
    expect(reading.artefacts[0]?.masked).toMatch(/^failover lan unit primary$/m);
  });
});

describe('changes of an ASA that were not saved', () => {
  const changed = (at: string) => `Serial Number: JAD\nConfiguration last modified by ops at ${at}\n`;
  const written = (at: string) => `: Written by enable_15 at ${at}\n`;

  it.each([
    ['later', '10:00:01.000 UTC Tue Mar 3 2026', '10:00:00.000 UTC Tue Mar 3 2026', true],
    ['earlier', '09:59:59.999 UTC Tue Mar 3 2026', '10:00:00.000 UTC Tue Mar 3 2026', false],
    ['in the same second', '10:00:00.100 UTC Tue Mar 3 2026', '10:00:00.900 UTC Tue Mar 3 2026', false],
    [
      'in another month and year',
      '00:00:00.000 CET Thu Jan 1 2026',
      '23:59:59.000 CET Wed Dec 31 2025',
      true,
    ],
    [
      'an hour away and in another zone',
      '11:00:00.000 CEST Sun Mar 29 2026',
      '10:00:00.000 CET Sun Mar 29 2026',
      undefined,
    ],
    [
      'days later and in another zone',
      '11:00:00.000 CEST Wed Apr 1 2026',
      '10:00:00.000 CET Sat Mar 28 2026',
      true,
    ],
    [
      'days earlier and in another zone',
      '11:00:00.000 CEST Fri Oct 23 2026',
      '10:00:00.000 CET Wed Oct 28 2026',
      false,
    ],
    ['before nobody knows when', '11:00:00.000 UTC Wed Apr 1 2026', 'some time', undefined],
    ['nobody knows when', 'the dawn of time', '10:00:00.000 UTC Tue Mar 3 2026', undefined],
  ])('are told where the last change is %s', (_when, change, save, unsaved) => {
    expect(stateOf({ version: changed(change), saved: written(save) })?.unsaved).toBe(unsaved);
  });

  it('are none where nothing was changed since the start', () => {
    const version = 'Configuration has not been modified since last system restart.\n';
    expect(stateOf({ version })).toEqual({ unsaved: false });
  });

  it('are not guessed at where a command was refused', () => {
    expect(stateOf({ version: changed('10:00:01.000 UTC Tue Mar 3 2026') })).toEqual({});
    expect(stateOf({ saved: written('10:00:01.000 UTC Tue Mar 3 2026') })).toEqual({});
  });

  const at = {
    version: changed('09:00:00.000 UTC Tue Mar 3 2026'),
    saved: written('10:00:00.000 UTC Tue Mar 3 2026'),
  };
  const unit = {
    ...at,
    mode: 'Security context mode: multiple \n',
    system: '',
    contexts: '*a  x\n',
    'running-config': 'context a\n  config-url disk0:/a.cfg\n',
  };
  const sum = (digit: string) => `ASA Version 9\nCryptochecksum:${digit.repeat(32)}\n: end\n`;

  it.each([
    ['the same', sum('1'), sum('1'), false],
    ['another one', sum('1'), sum('2'), true],
    ['none', sum('1'), 'ASA Version 9\n: end\n', undefined],
  ])('are told of a context where its file has %s as checksum', (_what, running, saved, unsaved) => {
    const texts = { ...unit, 'context-a.running-config': running, 'context-a.startup-config': saved };
    expect(stateOf(texts)?.unsaved).toBe(unsaved);
  });

  it('are not ruled out where a context has no file to compare', () => {
    expect(stateOf({ ...unit, 'context-a.running-config': sum('1') })?.unsaved).toBeUndefined();
  });

  it('are seen in a whole session', async () => {
    const unsavedIn = async (name: string) =>
      judge(driver, (await read(driver, loadCase('cisco_asa', name))).collected, mask).condition.unsaved;
    expect(await unsavedIn('contexts')).toBe(true);
    expect(await unsavedIn('typical')).toBe(false);
    expect(await unsavedIn('enable-5')).toBe(null);
  });
});
