import type { Clock } from '../../core/clock.ts';
import type { SecretRef } from '../../core/device.ts';
import { OperationError, type Problem, UsageError } from '../../core/errors.ts';
import { nearest } from '../../core/nearest.ts';
import type { Driver } from '../../drivers/driver.ts';
import type { Repository } from '../../gitstore/repository.ts';
import type { Spool } from '../../gitstore/spool.ts';
import type { Retirement } from '../../inventory/inventory.ts';
import type { PlannedDevice } from '../../inventory/precedence.ts';
import type { KnownDevice, Ledger } from '../../ledger/ledger.ts';
import type { HostKeys } from '../../transport/host-keys.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';

/** Settings and inventory as they were read for this call. */
export interface Configuration {
  readonly file: string;
  readonly settings: Settings;
  readonly devices: readonly PlannedDevice[];
  readonly retired: readonly Retirement[];
  readonly groups: readonly string[];
  /** Environment variables that hold secrets, by settings or inventory. */
  readonly secretVariables: readonly string[];
  readonly warnings: readonly Problem[];
  readonly drivers: ReadonlyMap<string, Driver>;
}

/** The state directory, opened. */
export interface State {
  readonly ledger: Ledger;
  readonly repository: Repository;
  readonly spool: Spool;
  readonly hostKeys: HostKeys;
}

/** What every service is made from. Opened at first use, so that `init` and `--help` need nothing. */
export interface Context {
  readonly clock: Clock;
  /** Throws InvalidConfiguration with every mistake, UsageError where there is no configuration. */
  configuration(): Promise<Configuration>;
  /** For reading; another process may be at work. */
  state(): Promise<State>;
  /** For changing: takes the state lock and closes what a crash left behind, once. */
  changing(): Promise<State>;
  log(): Promise<Log>;
  readonly readSecret: (ref: SecretRef) => Promise<string>;
}

/** The device of the inventory. Throws UsageError with the nearest name where there is none. */
export function deviceNamed(configuration: Configuration, name: string): PlannedDevice {
  const found = configuration.devices.find((device) => device.name === name);
  if (found !== undefined) return found;
  const names = configuration.devices.map((device) => device.name);
  const near = nearest(name, names);
  throw new UsageError(
    `there is no device ${name}${near === null ? '' : `; did you mean ${near}?`}`,
    'list the devices with `roundsman status`',
  );
}

/** The driver of a platform. Throws OperationError where it does not exist (any more). */
export function driverOf(configuration: Configuration, platform: string): Driver {
  const driver = configuration.drivers.get(platform);
  if (driver !== undefined) return driver;
  throw new OperationError(
    `there is no driver for platform ${platform}`,
    `use one of ${[...configuration.drivers.keys()].join(', ')}`,
  );
}

/** What the ledger knows of a device. Throws OperationError where it was never read. */
export function knownDevice(state: State, name: string): KnownDevice {
  const known = state.ledger.device(name);
  if (known !== null) return known;
  throw new OperationError(`${name} was never backed up`, `read it once: roundsman backup ${name}`);
}

/**
 * Makes every device of the inventory known to the ledger, renamed ones first, so that a name which
 * changed hands stays with the device that had it. Throws OperationError with every device that is
 * known with another platform.
 */
export function registerFleet(configuration: Configuration, state: State, atMs: number): void {
  const refused: OperationError[] = [];
  state.ledger.registerAll(configuration.devices, atMs, (error) => refused.push(error));
  const [first] = refused;
  if (first !== undefined)
    throw new OperationError(refused.map(({ message }) => message).join('; '), first.todo);
}
