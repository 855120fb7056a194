import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import ssh2, { type AuthContext, type Connection, type ServerChannel } from 'ssh2';
import {
  createPersona,
  type Displayed,
  type Far,
  type Persona,
  type Session,
  type Typed,
} from './persona.ts';
import { platformOf } from './platforms.ts';
import { serveSftp } from './sftp.ts';
import type { DeviceSpec, Faults, LoginMethod } from './spec.ts';

/** A fake device behind a real SSH server on 127.0.0.1. */
export interface FakeDevice {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Of the host key that it shows now, as OpenSSH prints it. */
  readonly fingerprint: string;
  /** The host key as in a known_hosts line: type, blank, base64. */
  readonly hostKey: string;
  /** Lines that were typed, or sent as exec requests; key presses and secrets are in `typed`. */
  readonly received: readonly string[];
  readonly typed: readonly Typed[];
  readonly displayed: readonly Displayed[];
  readonly persona: Persona;
  /** Authentication attempts that carried a credential. */
  readonly logins: number;
  /** Every password that was offered, right or wrong. */
  readonly passwordsSeen: readonly string[];
  /** TCP connections that were ever made, and those open now. */
  readonly connections: number;
  readonly sessions: number;
  change(config: string): void;
  /** From the next connection on. */
  setFaults(faults: Faults): void;
  /** Closes every connection; the port refuses from now on. Stopping twice does nothing. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface HostKey {
  readonly pem: string;
  readonly type: string;
  readonly fingerprint: string;
  readonly base64: string;
}

const made = new Map<string, HostKey>();

/** Made once per process: hundreds of devices share them. */
function hostKey(name: 'first' | 'second' | 'rsa'): HostKey {
  let key = made.get(name);
  if (key === undefined) {
    key = name === 'rsa' ? rsaKey() : ed25519Key();
    made.set(name, key);
  }
  return key;
}

function ed25519Key(): HostKey {
  const { private: pem } = ssh2.utils.generateKeyPairSync('ed25519');
  // ssh2 cannot read back every key that it makes (about 2 in 1000).
  return ssh2.utils.parseKey(pem) instanceof Error ? ed25519Key() : described(pem);
}

function rsaKey(): HostKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return described(privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
}

function described(pem: string): HostKey {
  const parsed = ssh2.utils.parseKey(pem);
  if (parsed instanceof Error) throw parsed;
  const blob = parsed.getPublicSSH();
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { pem, type: parsed.type, fingerprint: `SHA256:${digest}`, base64: blob.toString('base64') };
}

/** What an image of the years before 2015 offers. */
const oldAlgorithms = {
  kex: ['diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
  serverHostKey: ['ssh-rsa'],
  cipher: ['aes256-cbc', 'aes128-cbc', '3des-cbc'],
  hmac: ['hmac-sha1', 'hmac-md5'],
} as const;

/** Starts a device. `port` asks for a port of before, to come back after `stop` as a reloaded device does. */
export async function startFakeDevice(spec: DeviceSpec, port = 0): Promise<FakeDevice> {
  const persona = createPersona(spec);
  const sockets = new Set<Socket>();
  const state = { logins: 0, passwordsSeen: [] as string[], connections: 0, rejected: 0 };

  // As SSH servers do for a terminal: small packets are not held back.
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    state.connections += 1;
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    const faults = persona.spec.faults ?? {};
    if (faults.mute === true) return;
    sshServer(persona, state, socket).injectSocket(socket);
  });
  await new Promise<void>((ready, failed) => {
    listener.once('error', failed);
    listener.listen(port, '127.0.0.1', ready);
  });
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  const stop = async (): Promise<void> => {
    const gone = [...sockets].map((socket) => once(socket.destroy(), 'close'));
    await Promise.all([closed(listener), ...gone]);
  };
  return {
    host: '127.0.0.1',
    port: address.port,
    get fingerprint() {
      return shownKey(persona.spec).fingerprint;
    },
    get hostKey() {
      const key = shownKey(persona.spec);
      return `${key.type} ${key.base64}`;
    },
    get received() {
      return persona.typed.filter(({ kind }) => kind === 'line' || kind === 'exec').map(({ text }) => text);
    },
    typed: persona.typed,
    displayed: persona.displayed,
    persona,
    get logins() {
      return state.logins;
    },
    passwordsSeen: state.passwordsSeen,
    get connections() {
      return state.connections;
    },
    get sessions() {
      return sockets.size;
    },
    change: (config) => persona.change(config),
    setFaults: (faults) => persona.setFaults(faults),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function closed(listener: Server): Promise<void> {
  return new Promise((done) => {
    if (listener.listening) listener.close(() => done());
    else done();
  });
}

function shownKey(spec: DeviceSpec): HostKey {
  if (spec.faults?.oldAlgorithms === true) return hostKey('rsa');
  return hostKey(spec.faults?.otherHostKey === true ? 'second' : 'first');
}

interface LoginState {
  logins: number;
  rejected: number;
  readonly passwordsSeen: string[];
}

/** One SSH server for one connection: what it offers is read when the client comes. */
function sshServer(persona: Persona, state: LoginState, socket: Socket): InstanceType<typeof ssh2.Server> {
  const { spec } = persona;
  const faults = spec.faults ?? {};
  const options = {
    hostKeys: [shownKey(spec).pem],
    ident: spec.ident ?? platformOf(spec.platform).ident,
    ...(spec.sshBanner === undefined ? {} : { banner: spec.sshBanner }),
    ...(faults.oldAlgorithms === true ? { algorithms: { ...oldAlgorithms } } : {}),
  };
  // The types demand mutable lists where ssh2 only reads.
  return new ssh2.Server(options as unknown as ssh2.ServerConfig, (client: Connection) => {
    let attempts = 0;
    client.on('error', () => {});
    client.on('authentication', (context) => {
      const judge = (right: boolean): void => {
        attempts += 1;
        state.logins += 1;
        if (!right) state.rejected += 1;
        const { attempts: allowed, locksOut } = platformOf(spec.platform);
        const locked = locksOut === true && state.rejected >= allowed;
        if (right && !locked) context.accept();
        else if (attempts >= allowed) socket.end();
        else context.reject([...offered(spec)]);
      };
      authenticate(spec, context, state, judge);
    });
    client.on('session', (accept) => serveSession(accept(), persona, socket));
  });
}

function offered(spec: DeviceSpec): readonly LoginMethod[] {
  return spec.methods ?? platformOf(spec.platform).methods;
}

function authenticate(
  spec: DeviceSpec,
  context: AuthContext,
  state: LoginState,
  judge: (right: boolean) => void,
): void {
  const methods = offered(spec);
  const faults = spec.faults ?? {};
  const rightUser = context.username === (spec.username ?? 'backup');
  const isRight = (password: string): boolean => {
    state.passwordsSeen.push(password);
    return rightUser && faults.wrongPassword !== true && password === (spec.password ?? '');
  };
  if (context.method === 'none' || !methods.some((method) => method === context.method)) {
    context.reject([...methods]);
    return;
  }
  if (context.method === 'password') judge(isRight(context.password));
  else if (context.method === 'publickey') {
    const known = spec.publicKey === undefined ? null : ssh2.utils.parseKey(spec.publicKey);
    const matches =
      known !== null &&
      !(known instanceof Error) &&
      rightUser &&
      context.key.data.equals(known.getPublicSSH());
    if (context.signature === undefined) {
      // Only asks whether this key would do.
      if (matches) context.accept();
      else context.reject([...methods]);
      return;
    }
    judge(
      matches && known.verify(context.blob ?? Buffer.alloc(0), context.signature, context.hashAlgo) === true,
    );
  } else if (context.method === 'keyboard-interactive') {
    context.prompt([{ prompt: faults.oddQuestion ?? 'Password: ', echo: false }], (answers) => {
      if (!isRight(answers[0] ?? '')) judge(false);
      else if (faults.passwordExpired === true)
        context.prompt(
          [{ prompt: '(current) BIG-IP password: ', echo: false }],
          '',
          'You are required to change your password immediately (root enforced)\n',
          () => judge(false),
        );
      // OpenSSH with PAM asks a second time, and asks nothing.
      else context.prompt([], () => judge(true));
    });
  }
}

function serveSession(session: ssh2.Session, persona: Persona, socket: Socket): void {
  const terminal = { columns: 80, rows: 24 };
  session.on('pty', (accept, _reject, info) => {
    if (info.cols > 0) terminal.columns = info.cols;
    if (info.rows > 0) terminal.rows = info.rows;
    accept?.();
  });
  session.on('window-change', (accept, _reject, info) => {
    terminal.columns = info.cols;
    terminal.rows = info.rows;
    accept?.();
  });
  session.on('shell', (accept) => connect(accept(), socket, (far) => persona.shell(far, terminal)));
  session.on('exec', (accept, _reject, info) =>
    connect(accept(), socket, (far) => persona.exec(info.command, far)),
  );
  if (persona.spec.files !== undefined)
    session.on('sftp', (accept) => serveSftp(accept(), persona, () => socket.destroy()));
}

/** Ties a channel and a persona's session together. */
function connect(channel: ServerChannel, socket: Socket, open: (far: Far) => Session): void {
  let session: Session | null = null;
  const far: Far = {
    write: (latin1, source) =>
      (source === 'stderr' ? channel.stderr : channel).write(Buffer.from(latin1, 'latin1')),
    end(exitStatus) {
      if (exitStatus !== null) channel.exit(exitStatus);
      channel.end();
    },
    // What was written before has to reach the other side: a reset would drop it.
    cut: () => setImmediate(() => socket.end(() => socket.destroy())),
  };
  channel.on('error', () => {});
  channel.on('data', (data: Buffer) => session?.type(data.toString('latin1')));
  channel.on('drain', () => session?.resume());
  channel.stderr.on('drain', () => session?.resume());
  channel.on('close', () => session?.hangUp());
  session = open(far);
}
