import type { Credentials, Device } from '../../src/core/device.ts';

/** A device with the defaults of the inventory, and what a test is about. */
export function plainDevice(
  change: Partial<Omit<Device, 'credentials'>> & { credentials?: Partial<Credentials> },
): Device {
  const { credentials, ...rest } = change;
  return {
    name: 'fw1',
    platform: 'cisco_asa',
    group: 'default',
    host: '127.0.0.1',
    port: 22,
    enabled: true,
    hostKeys: [],
    firstUse: false,
    ssh: { profile: 'modern', allow: [] },
    sourceAddress: null,
    timeouts: { connectMs: 15_000, loginMs: 30_000, idleMs: 60_000 },
    maxRuntimeMs: 1_800_000,
    expect: { hostname: null, serials: [] },
    formerly: [],
    jump: [],
    options: {},
    archives: [],
    ...rest,
    credentials: {
      name: 'readonly',
      username: 'backup',
      password: null,
      enable: null,
      privateKey: null,
      passphrase: null,
      agent: false,
      loginsPerSecond: 5,
      ...credentials,
    },
  };
}
