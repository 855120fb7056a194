import { afterEach, describe, expect, it } from 'vitest';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { Directory, type DirectoryOptions, plainAddress } from '../../src/syslog/directory.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { pass, planned, tiny } from './support.ts';

const clock = new FakeClock();
let directory: Directory | null = null;

function directoryOf(devices: readonly PlannedDevice[], said: Partial<DirectoryOptions> = {}): Directory {
  directory = new Directory({
    clock,
    drivers: new Map([['tiny', tiny]]),
    known: () => new Map(),
    resolve: async () => [],
    localAddresses: () => ['192.0.2.5', 'fe80::1'],
    ...said,
  });
  directory.configure(devices);
  return directory;
}

afterEach(() => {
  directory?.[Symbol.dispose]();
});

const relay = '198.51.100.1';

describe('which device a message is from', () => {
  it('the address that it came from decides, whatever it calls itself', () => {
    const { find } = bound(
      directoryOf([planned('fw1', { host: '192.0.2.1' }), planned('fw2', { host: '192.0.2.2' })]),
    );
    expect(find('CHANGED id=fw2', '192.0.2.1')).toBe('fw1');
    expect(find('CHANGED', '::ffff:192.0.2.2')).toBe('fw2');
    expect(find('CHANGED', '192.0.2.3')).toBeNull();
  });

  it('addresses have many spellings', () => {
    const { find } = bound(directoryOf([planned('fw1', { host: '2001:DB8:0:0::1' })]));
    expect(find('CHANGED', '2001:db8::1')).toBe('fw1');
    expect(plainAddress('fe80::1%eth0')).toBe('fe80::1');
  });

  it('through a relay it is found by its inventory name, its hostname, its serial number or the address in the header', () => {
    const known = () => new Map([['fw1', { hostname: 'Edge.example.net', serials: ['JAD1', 'JAD2'] }]]);
    const devices = [planned('fw1', { host: '192.0.2.1' }), planned('fw2', { host: '192.0.2.2' })];
    const { find } = bound(directoryOf(devices, { known }));
    expect(find('CHANGED id=FW2', relay)).toBe('fw2');
    expect(find('CHANGED id=edge.example.net', relay)).toBe('fw1');
    expect(find('CHANGED sn=JAD2', relay)).toBe('fw1');
    expect(find('<13>Mar  4 01:30:00 fw2.example.net CHANGED', relay)).toBe('fw2');
    expect(find('<13>Mar  4 01:30:00 192.0.2.2 : CHANGED', relay)).toBe('fw2');
    expect(find('<13>Mar  4 01:30:00 fw9 CHANGED', relay)).toBeNull();
  });

  it('a name that two devices have is nobody', () => {
    const known = (names: readonly string[]) =>
      new Map(names.map((name) => [name, { hostname: 'edge', serials: [] }]));
    const devices = [planned('fw1', { host: '192.0.2.1' }), planned('fw2', { host: '192.0.2.2' })];
    expect(bound(directoryOf(devices, { known })).find('CHANGED id=edge', relay)).toBeNull();
  });

  it('of devices behind one address the name tells, and only they', () => {
    const devices = ['fw1', 'fw2'].map((name) => planned(name, { host: '192.0.2.1' }));
    const { find } = bound(directoryOf([...devices, planned('fw3', { host: '192.0.2.3' })]));
    expect(find('CHANGED id=fw2', '192.0.2.1')).toBe('fw2');
    expect(find('CHANGED id=fw3', '192.0.2.1')).toBeNull();
    expect(find('CHANGED', '192.0.2.1')).toBeNull();
  });

  it('the way in which one platform names itself finds no device of another', () => {
    const { find } = bound(directoryOf([planned('fw1', { platform: 'other', host: '192.0.2.1' })]));
    expect(find('CHANGED id=fw1', relay)).toBeNull();
  });

  it('host names are resolved, again after a while, and keep their last address while they cannot be', async () => {
    let answers: string[] | null = ['192.0.2.1'];
    const resolve = async () => {
      if (answers === null) throw new Error('SERVFAIL');
      return answers;
    };
    const { find } = bound(directoryOf([planned('fw1', { host: 'fw1.example.net' })], { resolve }));
    await pass(clock, 1);
    expect(find('CHANGED', '192.0.2.1')).toBe('fw1');
    answers = ['192.0.2.2', '2001:db8::2'];
    await pass(clock, 300_000);
    expect(find('CHANGED', '192.0.2.1')).toBeNull();
    expect(find('CHANGED', '2001:db8::2')).toBe('fw1');
    answers = null;
    await pass(clock, 300_000);
    expect(find('CHANGED', '192.0.2.2')).toBe('fw1');
  });

  it('a device that was read for the first time is known by its hostname from then on', () => {
    let hostname: string | null = null;
    const made = directoryOf([planned('fw1', { host: '192.0.2.1' })], {
      known: (names) => new Map(names.map((name) => [name, { hostname, serials: [] }])),
    });
    expect(made.find('CHANGED id=edge', relay)).toBeNull();
    hostname = 'edge';
    made.learn('fw1');
    expect(made.find('CHANGED id=edge', relay)?.name).toBe('fw1');
  });

  it('ours are the addresses of this machine, the source address and the last jump host', () => {
    const hop = { name: 'bastion', host: '192.0.2.99', port: 22 } as PlannedDevice['jump'][number];
    const device = planned('fw1', { jump: [hop], sourceAddress: '192.0.2.6' });
    const made = directoryOf([device]);
    const ours = ['192.0.2.5', '::ffff:192.0.2.5', 'fe80::1', '192.0.2.6', '192.0.2.99', '192.0.2.7'];
    expect(ours.map((from) => made.isOurs(from, device))).toEqual([true, true, true, true, true, false]);
  });

  it('stops looking up when it is disposed of', async () => {
    directoryOf([planned('fw1', { host: 'fw1.example.net' })]);
    directory?.[Symbol.dispose]();
    await pass(clock, 1);
    expect(clock.pending).toBe(0);
  });
});

function bound(made: Directory): { find: (text: string, address: string) => string | null } {
  return { find: (text, address) => made.find(text, address)?.name ?? null };
}
