/** What is simulated. */
export interface FleetOptions {
  /** How many, 1 to 10 000; they take the platforms in turn. */
  readonly devices: number;
  readonly platforms: readonly FleetPlatform[];
  /** The size of a configuration in its first version, as displayed. */
  readonly sizeBytes: number;
  /** Added to what the loopback takes, on each way from the client to the device and back together. */
  readonly roundTripMs: number;
  /** Of each connection, towards the client; null: as fast as the loopback. */
  readonly bytesPerSecond: number | null;
  /** Whether FortiGates stop at each screen. An ASA has its pager turned off for the session, as always. */
  readonly pager: boolean;
  /** 0: any that is free. */
  readonly port: number;
}

export type FleetPlatform = 'cisco_asa' | 'fortinet_fortigate' | 'f5_bigip';

const allPlatforms: readonly FleetPlatform[] = ['cisco_asa', 'fortinet_fortigate', 'f5_bigip'];

export const standard: FleetOptions = {
  devices: 100,
  platforms: allPlatforms,
  sizeBytes: 50_000,
  roundTripMs: 0,
  bytesPerSecond: null,
  pager: true,
  port: 0,
};

/** The account on every device; it is the enable password too. */
export const account = { username: 'backup', password: 'bench-only' } as const;

/** One simulated device, by its number. */
export interface FleetDevice {
  readonly number: number;
  readonly platform: FleetPlatform;
  /** Also its name in an inventory. */
  readonly hostname: string;
  /** Of 127.0.0.0/8; all of them listen on one port. */
  readonly address: string;
  readonly serial: string;
}

const prefixes: { readonly [P in FleetPlatform]: readonly [name: string, serial: string] } = {
  cisco_asa: ['asa', 'JAD22'],
  fortinet_fortigate: ['fgt', 'FGT91GTK'],
  f5_bigip: ['lb', '4a5b6c7d-1122-3344-5566'],
};

/** The first address is 127.20.0.1; the last octet is 1 to 250. */
export function deviceOf(number: number, platforms: readonly FleetPlatform[]): FleetDevice {
  const platform = platforms[number % platforms.length] ?? 'cisco_asa';
  const [name, serial] = prefixes[platform];
  const rest = Math.floor(number / 250);
  return {
    number,
    platform,
    hostname: `${name}-${String(number).padStart(5, '0')}`,
    address: `127.${20 + Math.floor(rest / 250)}.${rest % 250}.${1 + (number % 250)}`,
    serial: `${serial}${String(number).padStart(8, '0')}`,
  };
}

/** The number of the device that has this address; null where none can have it. */
export function numberAt(address: string): number | null {
  const [, b, c, d] = /^127\.(\d+)\.(\d+)\.(\d+)$/.exec(address) ?? [];
  if (b === undefined || Number(d) < 1 || Number(d) > 250 || Number(b) < 20) return null;
  return ((Number(b) - 20) * 250 + Number(c)) * 250 + Number(d) - 1;
}
