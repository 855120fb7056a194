import ssh2 from 'ssh2';
import type { Clock } from '../core/clock.ts';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import { keyType, type Offer, offer } from './algorithms.ts';
import type { CollectRequest } from './collect.ts';
import { hostKeyCheck } from './host-key-check.ts';
import { blobType, type PinnedKey } from './host-keys.ts';
import { Negotiation } from './negotiation.ts';
import { parsePrivateKey } from './private-key.ts';
import { type Connection, connection, type Dialled, goodbye, type Ssh2Error } from './ssh-connection.ts';
import { Login, type Means } from './ssh-login.ts';
import { openSocket, type Target } from './tcp.ts';
import { Wire } from './wire.ts';

/** The most text that a device may show before the login is through (RFC 4252 section 5.4). */
const bannerLimitBytes = 64 * 1024;
export type ConnectRequest = Pick<
  CollectRequest,
  'device' | 'readSecret' | 'hostKeys' | 'clock' | 'signal' | 'onStage'
>;

export type { Connection } from './ssh-connection.ts';

/**
 * Connects and logs in. The host key is checked before anything secret is sent, and the password is sent
 * in one authentication request at the most (see `Authentication`).
 *
 * Throws BackupError; nothing is left open then.
 * - `inventory.secret-unavailable`: before the first packet; also for an unusable key file or agent.
 * - `connect.unresolved`, `connect.refused`, `connect.unreachable`, `connect.timeout`.
 * - `connect.timeout` also where the port accepts and then says nothing: there is no SSH server to speak of,
 *   as with a firewall that answers for the device.
 * - `connect.protocol`: something else than SSH answered, or the SSH protocol was broken.
 * - `connect.lost-before-login`: closed, or silent past `timeouts.loginMs`, once the server had said that it
 *   is one: it is there and does not let us in, and the cause lies on the device (sessions, AAA).
 * - `connect.no-common-algorithm`, `connect.host-key-unknown`, `connect.host-key-changed`.
 * - `login.rejected`, `login.method-unavailable`, `login.question-unknown`, `login.password-expired`.
 * - `run.interrupted`: the signal was aborted. `store.*`: a first key could not be pinned.
 */
export async function connect(request: ConnectRequest): Promise<Connection> {
  const { device, hostKeys, clock, signal } = request;
  const onTrusted = () => request.onStage?.('login');
  const means = await readMeans(request);
  const check = hostKeyCheck(device, hostKeys);
  const base = offer(device.ssh, check.pinnedTypes);
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
    const login = new Login(device, means, check, hostKeys);
    try {
      const dialled = await dial({ target: device, algorithms, clock, signal, verify, login, onTrusted });
      return connection(dialled, device, clock, signal);
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

/**
 * Every host key that a server shows, one connection for each type that it has and `device.ssh` allows;
 * each is proven (the server signed with it), and no connection goes as far as authentication.
 * Throws what `connect` throws up to the host key.
 */
export async function presentedKeys({
  device: target,
  clock,
  signal,
}: {
  readonly device: Target;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<readonly PinnedKey[]> {
  const keys: PinnedKey[] = [];
  for (;;) {
    const types = keys.map((key) => key.type);
    const algorithms = withoutTypes(offer(target.ssh, []), types);
    let presented: Buffer | null = null;
    const verify = (blob: Buffer) => {
      presented = Buffer.from(blob);
      return null;
    };
    const dialled = await dial({ target, algorithms, clock, signal, verify, login: null });
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

/* ── What to log in with ──────────────────────────────────────────────────────────────────── */

type Ssh2Means = Means<ssh2.ParsedKey, ssh2.BaseAgent>;

async function readMeans({ device, readSecret, clock, signal }: ConnectRequest): Promise<Ssh2Means> {
  const { password, privateKey, passphrase, agent } = device.credentials;
  const means = {
    password: password === null ? null : await readSecret(password),
    key:
      privateKey === null
        ? null
        : parsePrivateKey(
            await readSecret(privateKey),
            passphrase === null ? undefined : await readSecret(passphrase),
            privateKey,
          ),
    agent: agent ? await openAgent(clock, device.timeouts.connectMs) : null,
  };
  if (signal.aborted) throw new BackupError('run.interrupted', { by: 'signal' });
  return means;
}

/** The agent at $SSH_AUTH_SOCK, once it has shown that it holds a key. */
async function openAgent(clock: Clock, withinMs: number): Promise<ssh2.BaseAgent> {
  const unusable = (problem: string) =>
    new BackupError('inventory.secret-unavailable', { reference: 'the SSH agent', problem });
  const path = process.env.SSH_AUTH_SOCK;
  if (path === undefined || path === '') throw unusable('SSH_AUTH_SOCK is not set');
  const agent = new ssh2.OpenSSHAgent(path);
  const keys = await new Promise<number>((resolve, reject) => {
    const timer = clock.after(withinMs, () => reject(unusable('the agent does not answer')));
    agent.getIdentities((error, found) => {
      timer.cancel();
      if (error) reject(unusable('the agent at SSH_AUTH_SOCK cannot be reached'));
      else resolve(found?.length ?? 0);
    });
  });
  if (keys === 0) throw unusable('the agent holds no key (`ssh-add -l`)');
  return agent;
}

/* ── One connection ───────────────────────────────────────────────────────────────────────── */

interface Dial {
  readonly target: Target;
  readonly algorithms: Offer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Null: the key is trusted. Called again at every later key exchange. */
  readonly verify: (blob: Buffer) => BackupError | null;
  /** Null: stop once the server has proven its host key. */
  readonly login: Login<ssh2.ParsedKey, ssh2.BaseAgent> | null;
  /** Called once the host key is trusted and the login begins. */
  readonly onTrusted?: () => void;
}

/** The one place where the errors of ssh2 and of the socket under it become ours. */
async function dial(request: Dial): Promise<Dialled> {
  const { target, algorithms, clock, signal, verify, login, onTrusted } = request;
  const { host, port } = target;
  const { loginMs } = target.timeouts;
  const socket = await openSocket(target, clock, signal);
  const connectedAtMs = clock.monotonicMs();

  return new Promise<Dialled>((resolve, reject) => {
    let settled = false;
    let ident: string | null = null;
    let hostKey: Buffer | null = null;
    let denied: BackupError | null = null;
    let bannerBytes = 0;
    const negotiation = new Negotiation();
    const client = new ssh2.Client();
    const wire = new Wire(socket, (software) => {
      ident = software;
    });

    const settle = () => {
      settled = true;
      deadline.cancel();
      signal.removeEventListener('abort', interrupted);
    };
    const fail = (error: unknown) => {
      if (settled) return;
      settle();
      client.end();
      wire.destroy();
      reject(error);
    };
    const succeed = () => {
      if (settled) return;
      settle();
      resolve({
        client,
        socket,
        wire,
        ident: ident ?? '',
        connectedAtMs,
        hostKeyAlgorithms: negotiation.hostKeys,
      });
    };
    const lost = () => {
      const sent = login?.authentication.anythingTried === true ? ({ credentialSent: true } as const) : {};
      const afterMs = clock.monotonicMs() - connectedAtMs;
      return new BackupError('connect.lost-before-login', { afterMs, ...sent });
    };
    const interrupted = () => fail(new BackupError('run.interrupted', { by: 'signal' }));
    const deadline = clock.after(loginMs, () =>
      fail(ident === null ? new BackupError('connect.timeout', { host, port, afterMs: loginMs }) : lost()),
    );
    signal.addEventListener('abort', interrupted, { once: true });

    const plain = (text: string) => login?.authentication.plain(text) ?? clip(harmless(text), 200);
    const meaning = (error: Ssh2Error): BackupError => {
      if (denied !== null) return denied;
      // ssh2 has put a property of its own on it.
      if (error instanceof BackupError) return new BackupError(error.code, error.detail);
      const mismatch = negotiation.failure(error.message, target.ssh, ident ?? '');
      if (mismatch !== null) return mismatch;
      if (typeof error.code === 'number') {
        return login?.authentication.anythingTried && refusals.includes(error.code)
          ? login.authentication.rejected()
          : lost();
      }
      if (error.level === 'client-socket' || /^Connection lost|^Instance unusable/.test(error.message)) {
        return lost();
      }
      return new BackupError('connect.protocol', {
        received: plain(`${ident ?? ''}, then: ${error.message}`),
      });
    };

    // ssh2 emits two errors for one failed handshake, and more while it closes: the first one counts.
    client.on('error', (error: Ssh2Error) => {
      // A key of the agent that cannot sign: ssh2 goes on to the next one.
      if (error.level !== 'agent') fail(meaning(error));
    });
    client.on('end', () => fail(denied ?? lost()));
    client.on('close', () => fail(denied ?? lost()));
    client.on('banner', (text) => {
      bannerBytes += text.length;
      if (bannerBytes > bannerLimitBytes) {
        fail(new BackupError('connect.protocol', { received: plain(`a login banner without end: ${text}`) }));
      }
    });
    client.on('change password', () =>
      fail(new BackupError('login.password-expired', { username: login?.username ?? '' })),
    );
    if (login === null) client.on('handshake', succeed);
    client.on('ready', succeed);

    const authenticate = async (
      offered: readonly string[] | null,
      partial: boolean | null,
      next: ssh2.NextAuthHandler,
    ): Promise<void> => {
      if (login === null || settled) return;
      if (offered === null) onTrusted?.();
      try {
        if (hostKey !== null) await login.pinFirst(hostKey);
      } catch (error) {
        fail(error);
      }
      if (settled) return;
      const method = login.next(offered, partial === true, fail);
      if (method instanceof BackupError) fail(method);
      else next(method);
    };

    try {
      client.connect({
        sock: wire,
        username: login?.username ?? '',
        ident: 'Roundsman',
        // Deadlines are ours, on our clock.
        readyTimeout: 0,
        algorithms: {
          kex: [...algorithms.kex] as ssh2.KexAlgorithm[],
          serverHostKey: [...algorithms['host-key']] as ssh2.ServerHostKeyAlgorithm[],
          cipher: [...algorithms.cipher] as ssh2.CipherAlgorithm[],
          hmac: [...algorithms.mac] as ssh2.MacAlgorithm[],
          compress: ['none'],
        },
        // Without this ssh2 accepts every key.
        hostVerifier: (blob: Buffer) => {
          denied = verify(blob);
          hostKey = Buffer.from(blob);
          return denied === null;
        },
        authHandler: (offered, partial, next) => {
          // ssh2 throws where the connection broke while the key was being pinned.
          authenticate(offered, partial, next).catch((error: Ssh2Error) => fail(meaning(error)));
        },
        debug: (line) => {
          if (!settled) negotiation.debugLine(line);
        },
      });
    } catch (error) {
      settle();
      wire.destroy();
      reject(error);
    }
  });
}

/**
 * Reasons for a disconnect (RFC 4253 section 11.1) that, after a credential, mean that it was refused:
 * OpenSSH answers the last attempt that it allows with 2, "Too many authentication failures".
 */
const refusals: readonly (string | number)[] = [2, 13, 14, 15];

function withoutTypes(base: Offer, types: readonly string[]): Offer {
  return { ...base, 'host-key': base['host-key'].filter((name) => !types.includes(keyType(name))) };
}

function isNoCommonHostKey(error: BackupError): boolean {
  return (
    error.code === 'connect.no-common-algorithm' && 'kind' in error.detail && error.detail.kind === 'host-key'
  );
}
