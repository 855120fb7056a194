import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';

export interface Sshd {
  readonly port: number;
  /** The user that may log in, which is whoever runs the tests. */
  readonly username: string;
  /** `SHA256:…`, in the order of `hostKeys`. */
  readonly hostFingerprints: readonly string[];
  /** Public keys in one line each (`ssh-ed25519 AAAA…`), in the order of `hostKeys`. */
  readonly hostKeyLines: readonly string[];
  /** A private key without a passphrase that is authorised. */
  readonly userKeyPath: string;
  /** What the server wrote to its log so far (LogLevel VERBOSE). */
  log(): string;
  stop(): Promise<void>;
}

/**
 * A real OpenSSH server on a free loopback port, with its own configuration and keys. It accepts
 * `userKeyPath` and nothing else: password authentication would need PAM and a real account, so
 * passwords are tested against servers made with ssh2. `forceCommand` takes the place of the user's
 * login shell for shell and exec alike (the line that exec asked for is in $SSH_ORIGINAL_COMMAND).
 * Use it inside `describeWith('sshd', …)`.
 */
export async function startSshd(
  options: {
    readonly forceCommand?: string;
    /** Default: ed25519 alone. */
    readonly hostKeys?: readonly HostKeyType[];
    /** Further lines of sshd_config. */
    readonly extraConfig?: string;
  } = {},
): Promise<Sshd> {
  const dir = await mkdtemp(join(tmpdir(), 'roundsman-sshd-'));
  let log = '';
  try {
    // Debian's sshd refuses to start as root without this directory; a container has no init to make it.
    if (process.getuid?.() === 0 && !existsSync('/run/sshd')) await mkdir('/run/sshd', { mode: 0o755 });

    const hostKeyLines: string[] = [];
    const hostFingerprints: string[] = [];
    const config: string[] = [];
    for (const type of options.hostKeys ?? ['ed25519']) {
      const path = join(dir, `host_${type}`);
      await generateKey(path, type);
      config.push(`HostKey ${path}`);
      hostKeyLines.push((await readFile(`${path}.pub`, 'utf8')).split(' ').slice(0, 2).join(' '));
      hostFingerprints.push((await run('ssh-keygen', ['-lf', `${path}.pub`])).stdout.split(' ')[1] ?? '');
    }
    const userKeyPath = join(dir, 'user_ed25519');
    await generateKey(userKeyPath, 'ed25519');

    const port = await freePort();
    config.push(
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `PidFile ${join(dir, 'sshd.pid')}`,
      `AuthorizedKeysFile ${userKeyPath}.pub`,
      'StrictModes no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'UsePAM no',
      'PrintMotd no',
      'LogLevel VERBOSE',
    );
    if (options.forceCommand !== undefined) config.push(`ForceCommand ${options.forceCommand}`);
    if (options.extraConfig !== undefined) config.push(options.extraConfig);
    const configPath = join(dir, 'sshd_config');
    await writeFile(configPath, `${config.join('\n')}\n`);

    // sshd re-executes itself and insists on an absolute path.
    const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const exited = once(child, 'exit');
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      log += text;
    });
    await listening(port, () => child.exitCode !== null || child.signalCode !== null);

    return {
      port,
      username: userInfo().username,
      hostFingerprints,
      hostKeyLines,
      userKeyPath,
      log: () => log,
      async stop() {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
        await exited;
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw new Error(`sshd did not start: ${log}`, { cause: error });
  }
}

/** Writes `path` and `path.pub`, with a passphrase where one is given. */
export async function generateKey(path: string, type: HostKeyType, passphrase = ''): Promise<void> {
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  await run('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', 'test', '-f', path]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Polls until something accepts on `port`; fails once `dead` says that nothing ever will. */
async function listening(port: number, dead: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (dead()) throw new Error('exited at start');
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (accepted) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('does not listen');
}
