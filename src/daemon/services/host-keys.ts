import { readFile } from 'node:fs/promises';
import type { HostKey, OfferedKeys, Services } from '../../cli/services.ts';
import type { Device, JumpHost } from '../../core/device.ts';
import { failureOf, OperationError, UsageError } from '../../core/errors.ts';
import type { PlannedDevice } from '../../inventory/precedence.ts';
import type { LoginGate } from '../../scheduler/login-gate.ts';
import { fingerprint, type PinnedKey } from '../../transport/host-keys.ts';
import { parseKnownHosts } from '../../transport/known-hosts.ts';
import { presentedKeys } from '../../transport/ssh.ts';
import { eachDevice } from '../fleet.ts';
import { createRunner } from '../runner.ts';
import { type Configuration, type Context, deviceNamed, type State } from './context.ts';
import { atOnce, type Visiting } from './visiting.ts';

/**
 * Asks each device for its host keys, and first the jump hosts before them. Logs in to jump hosts alone, and only
 * to what is behind them; obeys the hold-back of their credentials, by `ownGate` where this process has one. Jump
 * hosts first, outermost first, each once; then the devices in the order of `names`. `visit` gives each session to a
 * device its turn.
 */
export async function offeredKeys(
  context: Context,
  names: readonly string[],
  signal: AbortSignal,
  ownGate: LoginGate | null,
  visit: Visiting = atOnce,
): Promise<readonly OfferedKeys[]> {
  const configuration = await context.configuration();
  const { clock, readSecret } = context;
  const devices = names.map((name) => deviceNamed(configuration, name));
  const jumps = jumpsBefore(devices);
  const state = jumps.length === 0 ? await context.state() : await context.changing();
  const gate = jumps.length === 0 ? null : (ownGate ?? (await createRunner(context, state, null)).gate);
  const ask = async (servers: readonly PlannedDevice[], jumpHost: boolean): Promise<OfferedKeys[]> => {
    const found = new Map<string, OfferedKeys>();
    await eachDevice(servers, configuration.settings.workers, signal, async (device) => {
      const asking = async (either: AbortSignal): Promise<readonly PinnedKey[]> => {
        const request = { device, hostKeys: state.hostKeys, clock, signal: either };
        return gate === null || device.jump.length === 0
          ? presentedKeys({ ...request, readSecret })
          : gate.aroundJumps(device, either, (login) =>
              presentedKeys({ ...request, readSecret: login.readSecret, onPassed: login.passed }),
            );
      };
      // A jump host takes many sessions, a device one.
      const turn = jumpHost ? atOnce : visit;
      const offered = await turn(device.name, signal, asking).then(
        (keys) => ({ keys, failure: null }),
        (error: unknown) => ({ keys: [], failure: failureOf(error) }),
      );
      found.set(device.name, beside(device, jumpHost, offered.keys, offered.failure, state));
    });
    return servers.flatMap(({ name }) => found.get(name) ?? []);
  };
  return [...(await ask(jumps, true)), ...(await ask(devices, false))];
}

/** The keys that a known_hosts file (or the output of ssh-keyscan) holds for each device and each jump host before them. */
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
  const devices = names.map((name) => deviceNamed(configuration, name));
  const shownOf = (jumpHost: boolean) => (server: PlannedDevice) =>
    beside(server, jumpHost, known.of(server.host, server.port), null, state);
  return [...jumpsBefore(devices).map(shownOf(true)), ...devices.map(shownOf(false))];
}

/**
 * The jump hosts before these devices as if they were devices themselves, each once, by the shortest way to it,
 * nearest to us first.
 */
function jumpsBefore(devices: readonly PlannedDevice[]): readonly PlannedDevice[] {
  const found = new Map<string, PlannedDevice>();
  for (const device of devices) {
    for (const [index, hop] of device.jump.entries()) {
      const way = device.jump.slice(0, index);
      if ((found.get(hop.name)?.jump.length ?? Number.POSITIVE_INFINITY) <= way.length) continue;
      found.set(hop.name, { ...device, ...hop, jump: way });
    }
  }
  return [...found.values()].sort((a, b) => a.jump.length - b.jump.length);
}

/** Pins keys; each pinning is a record in the hash chain. */
export async function trust(
  context: Context,
  trusted: Parameters<Services['trust']>[0],
  replace: boolean,
): Promise<void> {
  const configuration = await context.configuration();
  const state = await context.changing();
  for (const { device: name, jumpHost, keys } of trusted) {
    const { host, port } = jumpHost ? jumpHostNamed(configuration, name) : deviceNamed(configuration, name);
    const pinned: PinnedKey[] = keys.map(({ type, blob }) => ({ host, port, type, blob }));
    if (replace) await state.hostKeys.replace(host, port, pinned);
    else await state.hostKeys.pin(pinned);
    const fingerprints = keys.map((key) => key.fingerprint);
    state.ledger.record('trust', context.clock.nowMs(), {
      ...(jumpHost ? { jump_host: name } : { device: name }),
      ...{ host, port, replace, fingerprints },
    });
  }
}

/** Throws UsageError where no device goes through it. */
function jumpHostNamed({ devices }: Configuration, name: string): JumpHost {
  const found = devices.flatMap(({ jump }) => jump).find((hop) => hop.name === name);
  if (found !== undefined) return found;
  throw new UsageError(`no device goes through a jump host ${name}`, 'see `jump_hosts:` of the inventory');
}

function beside(
  device: Device,
  jumpHost: boolean,
  offered: readonly PinnedKey[],
  failure: OfferedKeys['failure'],
  state: State,
): OfferedKeys {
  const { name, host, port, hostKeys } = device;
  return {
    device: name,
    jumpHost,
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
