import { account, deviceOf, type FleetDevice, type FleetPlatform } from '../fleet/options.ts';

/** A device in the inventory of a day. */
interface Listed {
  readonly device: FleetDevice;
  group: string;
  /** The day of its retirement, as `YYYY-MM-DD`; null: none. */
  retired: string | null;
}

/** Of so many devices one group is read four times a day. */
const often = 'often';
const oftenEvery = 20;
const groups = ['north', 'south', 'east', 'west'];
const credentials = 20;

/** The inventory of a fleet that changes every day: devices come, go, move and retire. */
export class SoakInventory {
  readonly #platforms: readonly FleetPlatform[];
  readonly #listed = new Map<number, Listed>();
  /** Those that stay as they are from the first day to the last. */
  readonly #steady: number;
  #next: number;

  constructor(devices: number, platforms: readonly FleetPlatform[]) {
    this.#platforms = platforms;
    this.#next = devices;
    this.#steady = Math.floor(devices / 2);
    for (let number = 0; number < devices; number++) this.#add(number);
  }

  /** Names of devices that no edit concerns, by how many slots they have a day. */
  get steady(): ReadonlyMap<string, number> {
    const names = [...this.#listed.values()].filter(({ device }) => device.number < this.#steady);
    return new Map(names.map(({ device, group }) => [device.hostname, group === often ? 4 : 1]));
  }

  /** The numbers of those that are read today. */
  get numbers(): readonly number[] {
    return [...this.#listed].flatMap(([number, { retired }]) => (retired === null ? [number] : []));
  }

  /** One edit of each kind for every 200 devices, one at least. */
  edit(atMs: number): void {
    const times = Math.max(1, Math.round(this.#listed.size / 200));
    for (let time = 0; time < times; time++) {
      this.#add(this.#next++);
      const movable = [...this.#listed.values()].filter(
        ({ device, group, retired }) => device.number >= this.#steady && group !== often && retired === null,
      );
      const [leaves, retires, moves] = movable;
      if (leaves !== undefined) this.#listed.delete(leaves.device.number);
      if (retires !== undefined) retires.retired = new Date(atMs).toISOString().slice(0, 10);
      if (moves !== undefined)
        moves.group = groups[(groups.indexOf(moves.group) + 1) % groups.length] ?? often;
    }
  }

  yaml(port: number, fingerprint: string): string {
    const accounts = Array.from(
      { length: credentials },
      (_, n) =>
        `  account-${n}: { username: ${account.username}, password: { file: ./password }, enable: true, logins_per_second: 100 }\n`,
    );
    const devices = [...this.#listed.values()].map(({ device, group, retired }) => {
      const { number, hostname, platform, address } = device;
      const gone = retired === null ? '' : `, retired: ${retired}`;
      return `  - { name: ${hostname}, platform: ${platform}, host: ${address}, port: ${port}, group: ${group}, credentials: account-${number % credentials}, host_key: "${fingerprint}"${gone} }\n`;
    });
    const named = groups.map((group) => `  ${group}: {}\n`).join('');
    const patience = this.#platforms.map(
      (platform) => `  ${platform}: { timeouts: { connect: 5s, login: 10s, idle: 5s } }\n`,
    );
    return `credentials:\n${accounts.join('')}platforms:\n${patience.join('')}groups:\n  ${often}: { schedule: "0 2,8,14,20 * * *" }\n${named}devices:\n${devices.join('')}`;
  }

  #add(number: number): void {
    const group = number % oftenEvery === 0 ? often : (groups[number % groups.length] ?? often);
    this.#listed.set(number, { device: deviceOf(number, this.#platforms), group, retired: null });
  }
}
