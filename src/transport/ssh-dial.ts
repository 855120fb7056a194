import type {
  BaseAgent,
  CipherAlgorithm,
  KexAlgorithm,
  MacAlgorithm,
  NextAuthHandler,
  ParsedKey,
  ServerHostKeyAlgorithm,
} from 'ssh2';
import type { Clock } from '../core/clock.ts';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import type { Offer } from './algorithms.ts';
import { Negotiation } from './negotiation.ts';
import type { Dialled, Ssh2Error } from './ssh-connection.ts';
import { ssh2 } from './ssh-library.ts';
import type { Login } from './ssh-login.ts';
import type { Carrier, Target } from './tcp.ts';
import { Wire } from './wire.ts';

/** The most text that a device may show before the login is through (RFC 4252 section 5.4). */
const bannerLimitBytes = 64 * 1024;

/** One connection that is to be made. */
export interface Dial {
  readonly target: Target;
  /** Opens what SSH is spoken over; throws BackupError. */
  readonly carrier: () => Promise<Carrier>;
  readonly algorithms: Offer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Null: the key is trusted. Called again at every later key exchange. */
  readonly verify: (blob: Buffer) => BackupError | null;
  /** Null: stop once the server has proven its host key. */
  readonly login: Login<ParsedKey, BaseAgent> | null;
  /** Called once the host key is trusted and the login begins. */
  readonly onTrusted?: () => void;
}

/**
 * Connects and, where there is a login, logs in. The one place where the errors of ssh2 and of what is under
 * it become ours: see `connect`. Nothing of it is left open after a failure.
 */
export async function dial(request: Dial): Promise<Dialled> {
  const { target, carrier, algorithms, clock, signal, verify, login, onTrusted } = request;
  const { host, port } = target;
  const { loginMs } = target.timeouts;
  const socket = await carrier();
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
      next: NextAuthHandler,
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
          kex: [...algorithms.kex] as KexAlgorithm[],
          serverHostKey: [...algorithms['host-key']] as ServerHostKeyAlgorithm[],
          cipher: [...algorithms.cipher] as CipherAlgorithm[],
          hmac: [...algorithms.mac] as MacAlgorithm[],
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
