import { isIP, SocketAddress } from 'node:net';
import type { Clock, Timer } from '../core/clock.ts';
import type { Driver } from '../drivers/driver.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import { hostsOf } from './header.ts';
import { namesIn } from './recognise.ts';

/** What a device calls itself. */
interface Known {
  readonly hostname: string | null;
  readonly serials: readonly string[];
}

export interface DirectoryOptions {
  readonly clock: Clock;
  readonly drivers: ReadonlyMap<string, Driver>;
  /** What each of these devices called itself when it was last read; absent: it never was. */
  readonly known: (devices: readonly string[]) => ReadonlyMap<string, Known>;
  /** Every address of a host name; rejects where it has none. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  /** Addresses of this machine. */
  readonly localAddresses: () => readonly string[];
}

/** Names and hostnames change under us; a lookup each for thousands of devices takes its time. */
const refreshMs = 5 * 60_000;
const lookupsAtOnce = 8;

/**
 * Which device a message is from. By the address that it came from; where no device has that one (a relay, an
 * address translation) or several have it, by the name, address or serial number in the message.
 */
export class Directory implements Disposable {
  readonly #options: DirectoryOptions;
  #devices: readonly PlannedDevice[] = [];
  #byAddress = new Map<string, PlannedDevice[]>();
  #byName = new Map<string, PlannedDevice[]>();
  #local = new Set<string>();
  /** Addresses of the host names of devices and jump hosts. What could not be resolved again keeps its last ones. */
  readonly #resolved = new Map<string, readonly string[]>();
  #timer: Timer | null = null;
  #round = 0;

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /** From now on these are the devices. Host names are looked up afterwards, and every five minutes. */
  configure(devices: readonly PlannedDevice[]): void {
    this.#devices = devices;
    this.#index();
    void this.#lookUp();
  }

  /** A device was read: it may have a name or a serial number now that it had not before. */
  learn(name: string): void {
    const device = this.#devices.find((each) => each.name === name);
    if (device === undefined) return;
    const known = this.#options.known([name]).get(name);
    for (const each of namesOf(device, known)) add(this.#byName, each, device);
  }

  /** Null: nobody whom we know, or more than one of them could be meant. */
  find(text: string, address: string): PlannedDevice | null {
    const here = this.#byAddress.get(plainAddress(address)) ?? [];
    if (here.length === 1) return here[0] ?? null;
    for (const { name, platform } of this.#said(text)) {
      const named = this.#called(name).filter(
        (device) =>
          (platform === null || device.platform === platform) && (here.length === 0 || here.includes(device)),
      );
      if (named.length === 1) return named[0] ?? null;
    }
    return null;
  }

  /** Whether a session that a device sees coming from this address is one of ours: this machine, or the last jump host. */
  isOurs(from: string, device: PlannedDevice): boolean {
    const address = plainAddress(from);
    const jump = device.jump.at(-1);
    if (this.#local.has(address) || device.sourceAddress === from) return true;
    return jump !== undefined && this.#addressesOf(jump.host).includes(address);
  }

  [Symbol.dispose](): void {
    this.#round += 1;
    this.#timer?.cancel();
  }

  #said(text: string): readonly { readonly name: string; readonly platform: string | null }[] {
    const found: { name: string; platform: string | null }[] = [];
    for (const driver of this.#options.drivers.values())
      for (const name of namesIn(driver, text)) found.push({ name, platform: driver.id });
    for (const name of hostsOf(text)) found.push({ name, platform: null });
    return found;
  }

  #called(said: string): readonly PlannedDevice[] {
    if (isIP(said) !== 0) return this.#byAddress.get(plainAddress(said)) ?? [];
    const name = said.toLowerCase();
    return this.#byName.get(name) ?? this.#byName.get(name.split('.')[0] ?? '') ?? [];
  }

  #addressesOf(host: string): readonly string[] {
    return isIP(host) === 0 ? (this.#resolved.get(host) ?? []) : [plainAddress(host)];
  }

  #index(): void {
    this.#byAddress = new Map();
    this.#byName = new Map();
    this.#local = new Set(this.#options.localAddresses().map(plainAddress));
    const known = this.#options.known(this.#devices.map(({ name }) => name));
    for (const device of this.#devices) {
      for (const address of this.#addressesOf(device.host)) add(this.#byAddress, address, device);
      for (const name of namesOf(device, known.get(device.name))) add(this.#byName, name, device);
    }
  }

  async #lookUp(): Promise<void> {
    this.#timer?.cancel();
    const round = ++this.#round;
    const hosts = new Set(
      this.#devices.flatMap(({ host, jump }) => [host, ...jump.slice(-1).map((hop) => hop.host)]),
    );
    const waiting = [...hosts].filter((host) => isIP(host) === 0);
    for (const host of this.#resolved.keys()) if (!hosts.has(host)) this.#resolved.delete(host);
    const work = async (): Promise<void> => {
      for (let host = waiting.pop(); host !== undefined && round === this.#round; host = waiting.pop()) {
        const found = await this.#options.resolve(host).catch(() => null);
        if (found !== null) this.#resolved.set(host, found.map(plainAddress));
      }
    };
    await Promise.all(Array.from({ length: lookupsAtOnce }, work));
    if (round !== this.#round) return;
    this.#index();
    this.#timer = this.#options.clock.after(refreshMs, () => void this.#lookUp());
  }
}

function namesOf(device: PlannedDevice, known: Known | undefined): readonly string[] {
  const names = [device.name, known?.hostname, device.expect.hostname];
  const serials = [...(known?.serials ?? []), ...device.expect.serials];
  return [...names, ...serials].flatMap((name) => (name ? [name.toLowerCase()] : []));
}

/** One spelling for each address: IPv4 in IPv6 as IPv4, IPv6 in its short form, without a zone. */
export function plainAddress(address: string): string {
  const family = isIP(address);
  if (family === 4) return address;
  const bare = address.split('%')[0] ?? '';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  return family === 6 ? new SocketAddress({ address: bare, family: 'ipv6' }).address : address;
}

function add(to: Map<string, PlannedDevice[]>, key: string, device: PlannedDevice): void {
  const there = to.get(key);
  if (there === undefined) to.set(key, [device]);
  else if (!there.includes(device)) there.push(device);
}
