import { OperationError, UsageError } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import type { Fleet, FleetDevice } from './services.ts';

/** What a person wrote to say which devices are meant. */
export interface Selection {
  readonly names: readonly string[];
  readonly group?: string | undefined;
}

/**
 * The devices that are meant, in the order of the inventory; all of them where nothing is said. Every
 * unknown word is named at once (UsageError). An inventory without devices is an OperationError.
 */
export function select(fleet: Fleet, { names, group }: Selection): readonly FleetDevice[] {
  if (fleet.devices.length === 0)
    throw new OperationError('the inventory names no device', 'add one to `devices:` of the inventory');
  if (names.length > 0 && group !== undefined)
    throw new UsageError('devices and a group are both named', 'name either devices or one `--group`');
  if (group !== undefined) return inGroup(fleet, group);
  if (names.length === 0) return fleet.devices;
  checkNames(
    names,
    fleet.devices.map(({ name }) => name),
  );
  return fleet.devices.filter(({ name }) => names.includes(name));
}

/**
 * The same, without the disabled ones; one that is named although it is disabled is a UsageError,
 * because nothing is to be sent to it.
 */
export function selectEnabled(fleet: Fleet, selection: Selection): readonly FleetDevice[] {
  const devices = select(fleet, selection);
  const disabled = devices.filter(({ enabled }) => !enabled).map(({ name }) => name);
  if (selection.names.length > 0 && disabled.length > 0)
    throw new UsageError(
      `${disabled.join(', ')} ${disabled.length === 1 ? 'is' : 'are'} disabled in the inventory`,
      'set `enabled: true` there, or name other devices',
    );
  const enabled = devices.filter((device) => device.enabled);
  if (enabled.length === 0)
    throw new OperationError(
      'every device that is meant is disabled in the inventory',
      'set `enabled: true` there',
    );
  return enabled;
}

/** Names of devices, also of those that only the ledger knows; all of the inventory where none is said. */
export function selectKnown(fleet: Fleet, names: readonly string[]): readonly string[] {
  const gone = names.filter((name) => fleet.gone.includes(name));
  const others = names.filter((name) => !gone.includes(name));
  const devices = gone.length > 0 && others.length === 0 ? [] : select(fleet, { names: others });
  return [...devices.map(({ name }) => name), ...new Set(gone)];
}

/** A single name whose history is to be read: of the inventory, or known from before. */
export function known(fleet: Fleet, name: string): string {
  checkNames([name], [...fleet.devices.map((device) => device.name), ...fleet.gone]);
  return name;
}

function inGroup(fleet: Fleet, group: string): readonly FleetDevice[] {
  if (!fleet.groups.includes(group)) {
    const todo = `${hint([group], fleet.groups)}the groups are ${listed(fleet.groups)}`;
    throw new UsageError(`there is no group "${group}"`, todo);
  }
  const devices = fleet.devices.filter((device) => device.group === group);
  if (devices.length === 0)
    throw new UsageError(
      `no device is in group "${group}"`,
      'set `group:` of a device in the inventory, or name another group',
    );
  return devices;
}

/** Throws UsageError where a name is not among `valid`. */
export function checkNames(names: readonly string[], valid: readonly string[]): void {
  const unknown = names.filter((name) => !valid.includes(name));
  if (unknown.length === 0) return;
  const quoted = unknown.map((name) => `"${name}"`).join(', ');
  throw new UsageError(
    `there is no device ${quoted}`,
    `${hint(unknown, valid)}\`roundsman status\` lists every device`,
  );
}

function hint(words: readonly string[], valid: readonly string[]): string {
  const near = words.map((word) => nearest(word, valid)).filter((word) => word !== null);
  return near.length === 0 ? '' : `did you mean ${near.map((word) => `"${word}"`).join(', ')}? `;
}

function listed(words: readonly string[]): string {
  const shown = words.slice(0, 12).join(', ');
  return words.length > 12 ? `${shown} and ${words.length - 12} more` : shown;
}
