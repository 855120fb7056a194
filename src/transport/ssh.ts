import type { Device } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import { keyType, type Offer, offer } from './algorithms.ts';
import type { CollectRequest } from './collect.ts';
import { hostKeyCheck } from './host-key-check.ts';
import { blobType, type PinnedKey } from './host-keys.ts';
import { asServer, jumpError, Passage } from './jump.ts';
import { type Connection, connection, type Dialled, goodbye } from './ssh-connection.ts';
import { dial } from './ssh-dial.ts';
import { Login, type Server } from './ssh-login.ts';
import { readMeans, type Ssh2Means } from './ssh-means.ts';
import type { Target } from './tcp.ts';

export type ConnectRequest = Pick<
  CollectRequest,
  'device' | 'readSecret' | 'hostKeys' | 'clock' | 'signal' | 'onStage' | 'onPassed'
>;

export type { Connection } from './ssh-connection.ts';

/** Where a server is, and the jump hosts before it. */
type Way = Target & Pick<Device, 'jump'>;

/**
 * Connects, through the jump hosts of the device where it has any, and logs in. Everywhere on the way the host
 * key is checked before anything secret is sent, and a password is sent in one authentication request at the
 * most (see `Authentication`). Each jump host has the time of the device: its `connect` and its `login`.
 *
 * Throws BackupError; nothing is left open then.
 * - `inventory.secret-unavailable`: before the first packet; also for an unusable key file or agent, and for
 *   the secrets of jump hosts.
 * - `connect.unresolved`, `connect.refused`, `connect.unreachable`, `connect.timeout`; with `via` where a jump
 *   host tried.
 * - `connect.timeout` also where the port accepts and then says nothing: there is no SSH server to speak of,
 *   as with a firewall that answers for the device.
 * - `connect.protocol`: something else than SSH answered, or the SSH protocol was broken.
 * - `connect.lost-before-login`: closed, or silent past `timeouts.loginMs`, once the server had said that it
 *   is one: it is there and does not let us in, and the cause lies on the device (sessions, AAA).
 * - `connect.no-common-algorithm`, `connect.host-key-unknown`, `connect.host-key-changed`.
 * - `login.rejected`, `login.method-unavailable`, `login.question-unknown`, `login.password-expired`.
 * - `connect.jump`: one of all these at a jump host, or it does not pass connections on.
 * - `run.interrupted`: the signal was aborted. `store.*`: a first key could not be pinned.
 */
export async function connect(request: ConnectRequest): Promise<Connection> {
  const { device, clock, signal, readSecret } = request;
  const jumpMeans = await meansOfJumps(device, request);
  const means = await readMeans(device.credentials, readSecret, clock, device.timeouts.connectMs);
  const passage = await pass(device, jumpMeans, request);
  let dialled: Dialled;
  try {
    dialled = await logIn(device, means, passage, request, () => request.onStage?.('login'));
  } catch (error) {
    passage.drop();
    throw passage.blame(error);
  }
  const made = connection(dialled, device, clock, signal);
  let ended: Promise<void> | null = null;
  return {
    ...made,
    end() {
      ended ??= made.end().then(() => passage.end());
      return ended;
    },
  };
}

/**
 * Every host key that a server shows, one connection for each type that it has and `device.ssh` allows;
 * each is proven (the server signed with it), and no connection to it goes as far as authentication. To the
 * jump hosts before it we do log in. Throws what `connect` throws up to the host key.
 */
export async function presentedKeys(
  request: Omit<ConnectRequest, 'device' | 'onStage'> & { readonly device: Way },
): Promise<readonly PinnedKey[]> {
  const { device: target, signal } = request;
  const passage = await pass(target, await meansOfJumps(target, request), request);
  try {
    return await keysOf(target, passage, request);
  } catch (error) {
    throw passage.blame(error);
  } finally {
    if (signal.aborted) passage.drop();
    else await passage.end();
  }
}

async function keysOf(
  target: Target,
  passage: Passage,
  { clock, signal }: Pick<ConnectRequest, 'clock' | 'signal'>,
): Promise<readonly PinnedKey[]> {
  const keys: PinnedKey[] = [];
  for (;;) {
    const types = keys.map((key) => key.type);
    const algorithms = withoutTypes(offer(target.ssh, []), types);
    let presented: Buffer | null = null;
    const verify = (blob: Buffer) => {
      presented = Buffer.from(blob);
      return null;
    };
    const carrier = () => passage.carrier(target);
    const dialled = await dial({ target, carrier, algorithms, clock, signal, verify, login: null });
    await goodbye(dialled, clock);
    const blob = presented as Buffer | null;
    if (blob !== null) keys.push({ host: target.host, port: target.port, type: blobType(blob), blob });
    const seen = keys.map((key) => key.type);
    const more = withoutTypes(algorithms, seen)['host-key'].some((name) =>
      dialled.hostKeyAlgorithms.includes(name),
    );
    if (!more) return keys;
  }
}

/* ── The way there ────────────────────────────────────────────────────────────────────────── */

async function meansOfJumps(
  { jump, timeouts }: Way,
  { readSecret, clock }: Pick<ConnectRequest, 'readSecret' | 'clock'>,
): Promise<readonly Ssh2Means[]> {
  const means: Ssh2Means[] = [];
  for (const { credentials } of jump)
    means.push(await readMeans(credentials, readSecret, clock, timeouts.connectMs));
  return means;
}

/** Logs in to every jump host of `way`, each through the one before; `means` are theirs, in their order. */
async function pass(
  way: Way,
  means: readonly Ssh2Means[],
  request: Omit<ConnectRequest, 'device'>,
): Promise<Passage> {
  const { clock, signal, onPassed } = request;
  if (signal.aborted) throw new BackupError('run.interrupted', { by: 'signal' });
  const passage = new Passage(clock, signal);
  for (const [index, jump] of way.jump.entries()) {
    try {
      const dialled = await logIn(asServer(jump, way), means[index] as Ssh2Means, passage, request);
      passage.add(jump, dialled);
    } catch (error) {
      passage.drop();
      throw jumpError(jump, passage.blame(error));
    }
    onPassed?.(jump.name);
  }
  return passage;
}

/**
 * One login. Where only fingerprints are pinned and another key is shown, the server is asked for its keys of
 * other types before the key counts as changed.
 */
async function logIn(
  server: Server,
  means: Ssh2Means,
  passage: Passage,
  { hostKeys, clock, signal }: Pick<ConnectRequest, 'hostKeys' | 'clock' | 'signal'>,
  onTrusted: () => void = () => {},
): Promise<Dialled> {
  const carrier = () => passage.carrier(server);
  const check = hostKeyCheck(server, hostKeys);
  const base = offer(server.ssh, check.pinnedTypes);
  const wrongTypes: string[] = [];
  let mismatch: BackupError | null = null;
  for (;;) {
    const algorithms = withoutTypes(base, wrongTypes);
    if (mismatch !== null && algorithms['host-key'].length === 0) throw mismatch;
    let wrongType: string | null = null;
    const verify = (blob: Buffer) => {
      const error = check.verify(blob);
      if (error !== null && check.otherTypesMayMatch) wrongType = blobType(blob);
      return error;
    };
    const login = new Login(server, means, check, hostKeys);
    try {
      return await dial({ target: server, carrier, algorithms, clock, signal, verify, login, onTrusted });
    } catch (error) {
      if (!(error instanceof BackupError)) throw error;
      // The server has no key of the types that are left: the one that it showed is what it is.
      if (mismatch !== null && isNoCommonHostKey(error)) throw mismatch;
      if (wrongType === null || wrongTypes.includes(wrongType)) throw error;
      mismatch ??= error;
      wrongTypes.push(wrongType);
    }
  }
}

function withoutTypes(base: Offer, types: readonly string[]): Offer {
  return { ...base, 'host-key': base['host-key'].filter((name) => !types.includes(keyType(name))) };
}

function isNoCommonHostKey(error: BackupError): boolean {
  return (
    error.code === 'connect.no-common-algorithm' && 'kind' in error.detail && error.detail.kind === 'host-key'
  );
}
