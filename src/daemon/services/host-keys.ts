import { readFile } from 'node:fs/promises';
import type { HostKey, OfferedKeys } from '../../cli/services.ts';
import type { Device } from '../../core/device.ts';
import { failureOf, OperationError } from '../../core/errors.ts';
import { fingerprint, type PinnedKey } from '../../transport/host-keys.ts';
import { parseKnownHosts } from '../../transport/known-hosts.ts';
import { presentedKeys } from '../../transport/ssh.ts';
import { eachDevice } from '../fleet.ts';
import { type Context, deviceNamed, type State } from './context.ts';

/** Asks each device for its host keys; sends no credential. In the order of `names`. */
export async function offeredKeys(
  context: Context,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly OfferedKeys[]> {
  const configuration = await context.configuration();
  const state = await context.state();
  const devices = names.map((name) => deviceNamed(configuration, name));
  const found = new Map<string, OfferedKeys>();
  await eachDevice(devices, configuration.settings.workers, signal, async (device) => {
    const offered = await presentedKeys({ device, clock: context.clock, signal }).then(
      (keys) => ({ keys, failure: null }),
      (error: unknown) => ({ keys: [], failure: failureOf(error) }),
    );
    found.set(device.name, beside(device, offered.keys, offered.failure, state));
  });
  return devices.flatMap((device) => found.get(device.name) ?? []);
}

/** The keys that a known_hosts file (or the output of ssh-keyscan) holds for each device. */
export async function keysFromFile(
  context: Context,
  names: readonly string[],
  file: string,
): Promise<readonly OfferedKeys[]> {
  const configuration = await context.configuration();
  const state = await context.state();
  const content = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new OperationError(`${file} cannot be read`, 'name a file in known_hosts format', { cause: error });
  });
  const known = parseKnownHosts(content);
  return names.map((name) => {
    const device = deviceNamed(configuration, name);
    return beside(device, known.of(device.host, device.port), null, state);
  });
}

/** Pins keys; each pinning is a record in the hash chain. */
export async function trust(
  context: Context,
  trusted: readonly { device: string; keys: readonly HostKey[] }[],
  replace: boolean,
): Promise<void> {
  const configuration = await context.configuration();
  const state = await context.changing();
  for (const { device: name, keys } of trusted) {
    const { host, port } = deviceNamed(configuration, name);
    const pinned: PinnedKey[] = keys.map(({ type, blob }) => ({ host, port, type, blob }));
    if (replace) await state.hostKeys.replace(host, port, pinned);
    else await state.hostKeys.pin(pinned);
    const fingerprints = keys.map((key) => key.fingerprint);
    state.ledger.record('trust', context.clock.nowMs(), { device: name, host, port, replace, fingerprints });
  }
}

function beside(
  device: Device,
  offered: readonly PinnedKey[],
  failure: OfferedKeys['failure'],
  state: State,
): OfferedKeys {
  const { name, host, port, hostKeys } = device;
  return {
    device: name,
    host,
    port,
    offered: offered.map(shown),
    pinned: state.hostKeys.of(host, port).map(shown),
    demanded: hostKeys,
    failure,
  };
}

function shown({ type, blob }: PinnedKey): HostKey {
  return { type, blob, fingerprint: fingerprint(blob) };
}
