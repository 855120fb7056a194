import { gitEnvironment } from './git.ts';
import { type NamelessFile, namelessFile } from './nameless.ts';

/** What a push proves itself with, and whom it believes. Read anew for each push. */
export type Access =
  | {
      readonly way: 'ssh';
      /** In a format that OpenSSH reads, without a passphrase. */
      readonly privateKey: string;
      /** `ssh-ed25519 AAAA…`; one of them has to be shown. */
      readonly hostKeys: readonly string[];
    }
  | {
      readonly way: 'https';
      /** Null: nothing is sent. */
      readonly login: { readonly username: string; readonly password: string } | null;
      /** PEM file of those who may sign the certificate; null: those that the system trusts. */
      readonly ca: string | null;
    }
  | { readonly way: 'file' };

/** Another repository that gets every commit. */
export interface Remote {
  readonly name: string;
  /** Without a password in it. */
  readonly url: string;
  /** Throws BackupError `inventory.secret-unavailable`. */
  readonly access: () => Promise<Access>;
}

/** How git is called so that nobody but this remote is asked, and nothing but this access is used. */
export interface Arranged extends AsyncDisposable {
  /** Options of git itself. */
  readonly options: readonly string[];
  /** Options of `git push`. */
  readonly pushOptions: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Texts that must not be seen in what git says. */
  readonly secrets: readonly string[];
}

/** Longer than this without a byte, and a connection is taken for dead; seconds. */
const deadAfter = 45;

export async function arrange(url: string, access: Access): Promise<Arranged> {
  const environment = {
    ...gitEnvironment(),
    // Neither keys, nor passwords, nor settings that happen to lie in a home directory.
    HOME: '/nonexistent',
    GIT_ALLOW_PROTOCOL: access.way,
  };
  // One processor of the machine at most: backups go on meanwhile.
  const options = ['-c', 'pack.threads=1'];
  if (access.way === 'ssh') return await overSsh(access, environment, options);
  if (access.way === 'https') return await overHttps(url, access, environment, options);
  return {
    // What others put into the hooks of a local repository would run with our rights.
    ...{ options, pushOptions: ['--receive-pack=git -c core.hooksPath=/dev/null receive-pack'] },
    ...{ environment, secrets: [], [Symbol.asyncDispose]: async () => {} },
  };
}

async function overSsh(
  { privateKey, hostKeys }: Extract<Access, { way: 'ssh' }>,
  environment: Readonly<Record<string, string>>,
  options: readonly string[],
): Promise<Arranged> {
  await using files = new AsyncDisposableStack();
  const file = async (text: string): Promise<NamelessFile> => files.use(await namelessFile(text));
  // OpenSSH wants the line feed that secrets are read without.
  const key = await file(`${privateKey.trimEnd()}\n`);
  const known = await file(hostKeys.map((one) => `${alias} ${one}\n`).join(''));
  const settings: readonly string[] = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${known.path}`,
    'GlobalKnownHostsFile=/dev/null',
    `HostKeyAlias=${alias}`,
    'CheckHostIP=no',
    'UpdateHostKeys=no',
    'VerifyHostKeyDNS=no',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    'ClearAllForwardings=yes',
    'ForwardAgent=no',
    'ControlMaster=no',
    'ControlPath=none',
    'ConnectTimeout=30',
    'ServerAliveInterval=15',
    `ServerAliveCountMax=${deadAfter / 15}`,
  ];
  const command = ['ssh', '-F', 'none', '-i', key.path, ...settings.flatMap((one) => ['-o', one])];
  const opened = files.move();
  return {
    ...{ options, pushOptions: [] },
    environment: { ...environment, GIT_SSH_COMMAND: command.join(' '), GIT_SSH_VARIANT: 'ssh' },
    secrets: [],
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** The name under which ssh looks for the pinned keys, whatever the address of the remote. */
const alias = 'remote';

async function overHttps(
  url: string,
  { login, ca }: Extract<Access, { way: 'https' }>,
  environment: Readonly<Record<string, string>>,
  options: readonly string[],
): Promise<Arranged> {
  // git would hand a password to whoever it is sent on to.
  const settings = [
    'http.followRedirects=false',
    'http.lowSpeedLimit=1',
    `http.lowSpeedTime=${deadAfter * 2}`,
  ];
  if (ca !== null) settings.push(`http.sslCAInfo=${ca}`, 'http.sslCAPath=/nonexistent');
  const secrets: string[] = [];
  let file: NamelessFile | null = null;
  if (login !== null) {
    const { username, password } = login;
    file = await namelessFile(`username=${username}\npassword=${password}\n`);
    // The path is no secret, and the shell reads what lies there only when git asks for it.
    const helper = `!f() { test "$1" != get || cat ${file.path}; }; f`;
    settings.push('credential.helper=', `credential.${new URL(url).origin}.helper=${helper}`);
    secrets.push(password, encodeURIComponent(password));
    secrets.push(Buffer.from(`${username}:${password}`).toString('base64'));
  }
  return {
    options: [...options, ...settings.flatMap((setting) => ['-c', setting])],
    ...{ pushOptions: [], environment, secrets },
    async [Symbol.asyncDispose]() {
      await file?.[Symbol.asyncDispose]();
    },
  };
}
