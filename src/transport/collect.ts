import type { Clock } from '../core/clock.ts';
import type { Device, SecretRef } from '../core/device.ts';
import { quotable } from '../core/display.ts';
import { BackupError, type Failure, failureOf, type Restorable, type Stage } from '../core/errors.ts';
import type { ArtefactCommand, Capture, Dialogue, Driver, Seen } from '../drivers/driver.ts';
import { makeArchives } from './archives.ts';
import { type Conversation, firstLines, OtherShell, type Surroundings } from './conversation.ts';
import { ExecSession } from './exec.ts';
import type { HostKeys } from './host-keys.ts';
import { tidyMs } from './patience.ts';
import { optionsOf } from './placeholders.ts';
import { Reader, type Talk, waysOf } from './reading.ts';
import { createSessionSecrets } from './secrets.ts';
import { ShellSession } from './session.ts';
import { type Connection, type ConnectRequest, connect } from './ssh.ts';
import { type MaskingTranscript, maskingTranscript, type Transcript } from './transcript.ts';

/** What is needed to read one device once. */
export interface CollectRequest {
  readonly device: Device;
  readonly driver: Driver;
  /** The value behind a reference. Throws BackupError `inventory.secret-unavailable`. */
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  readonly hostKeys: HostKeys;
  readonly clock: Clock;
  /** Aborting ends the session at once with `run.interrupted{by: signal}`. */
  readonly signal: AbortSignal;
  /** Ask a second time for every artefact whose completeness is proven by structure alone. */
  readonly readTwice: boolean;
  /** Largest artefact, in bytes. */
  readonly maxBytes: number;
  /** Told of every piece that arrives; the number of bytes received so far. */
  readonly onProgress: (receivedBytes: number) => void;
  /** Told once the device has accepted the login: nothing after that is a rejected credential. */
  readonly onLoggedIn?: () => void;
  /** Told once a jump host has accepted the login, by its name. */
  readonly onPassed?: (hop: string) => void;
  /** Told when a stage begins: `connect`, `login`, `collect`. The one before is then over. */
  readonly onStage?: (stage: Stage) => void;
  readonly transcript: Transcript;
  /** The archives that are due now; absent: none. */
  readonly archives?: readonly ArchiveOrder[];
}

/** One archive to be made and fetched after everything else was read. */
export interface ArchiveOrder {
  /** The name of the driver's command, such as `ucs`. */
  readonly name: string;
  /** Null: the device does not encrypt it. */
  readonly passphrase: SecretRef | null;
  /** Null: it is not made. What a session that was cut off may have left of it on the device is removed. */
  readonly sink: ArchiveSink | null;
  /** Told before the device is asked for it. */
  readonly onBegun?: () => void;
}

/**
 * Where the octets of an archive go. What was written counts only where the result says so: after a failure the
 * caller throws it away.
 */
export interface ArchiveSink {
  /** The next octets; resolves when more may come. What it rejects with becomes the result of this archive. */
  write(chunk: Buffer): Promise<void>;
}

/** What became of one archive: as many octets with this SHA-256 (64 hexadecimal digits), or why there is none. */
export type ArchiveResult = { readonly digest: string; readonly bytes: number } | Failure;

/** Everything that one session gave. Nothing here is judged yet. Names are expanded: `vdom-root`, not `vdom-{vdom}`. */
export interface Collected {
  /** By name. What was not asked, what the device may refuse and refused, and what was gone by then is absent. */
  readonly captures: ReadonlyMap<string, Capture>;
  /** The second reading, by name; empty unless `readTwice`. */
  readonly again: ReadonlyMap<string, Capture>;
  /** Each artefact that was read, in the order of reading, with the command that it comes from. */
  readonly artefacts: ReadonlyMap<string, ArtefactCommand>;
  /** By artefact: what the way it was asked for, and the prompt, make of it. */
  readonly restorable: ReadonlyMap<string, { readonly is: Restorable; readonly because: string | null }>;
  /** All answers together, for `driver.state`. */
  readonly seen: Seen;
  /** By name, one for each order. The failure of an archive is a result here and fails nothing else. */
  readonly archives: ReadonlyMap<string, ArchiveResult>;
  /** Secrets of this session, one character per byte. A device that shows one puts it into no copy and into no fact. */
  readonly secrets?: readonly string[];
}

/** How far `reach` came. */
export interface Reached {
  /** The prompt, or with `exec` the first line of the first answer; one line, harmless. */
  readonly prompt: string;
  /** Name of the dialogue that the device speaks. */
  readonly dialogue: string;
}

/** Connects and logs in, as `connect` does. */
export type Connect = (request: ConnectRequest) => Promise<Connection>;

/**
 * Reads one device once: connects, logs in, sends the driver's commands in their order, takes its leave.
 * The connection is ended on every path.
 *
 * Throws BackupError: what `connect` throws, `login.*`, `connect.lost-before-login`, `collect.*`,
 * `inventory.secret-unavailable`, and `run.interrupted` after an abort. Anything else is a bug of ours.
 */
export function collect(request: CollectRequest, open: Connect = connect): Promise<Collected> {
  return inSession(request, open, async (talk) => {
    await talk.conversation.prepare();
    const reader = new Reader(talk, request);
    const read = await reader.readAll();
    const archives = await makeArchives(talk, request.archives ?? [], request.driver, reader.seen);
    return { ...read, archives, secrets: talk.surroundings.secrets.known() };
  });
}

/**
 * Connects and logs in as far as the prompt (with `exec`: as far as the first answer), then takes its
 * leave. Throws what `collect` throws.
 */
export function reach(request: CollectRequest, open: Connect = connect): Promise<Reached> {
  return inSession(request, open, async (talk) => {
    const { conversation, dialogue } = talk;
    if (conversation.prompt !== null) return { prompt: conversation.prompt, dialogue };
    const first = await new Reader(talk, request).readFirst();
    const { mask } = talk.surroundings.transcript;
    return { prompt: quotable(mask(firstLines(first?.text ?? '')[0] ?? '')), dialogue };
  });
}

/* ── Session ──────────────────────────────────────────────────────────────────────────────── */

type Body<T> = (talk: Talk) => Promise<T>;

/** Gives `body` a conversation; whatever happens, nothing is left open and no timer runs on. */
async function inSession<T>(request: CollectRequest, open: Connect, body: Body<T>): Promise<T> {
  const { device, clock } = request;
  const limitMs = device.maxRuntimeMs;
  const stop = new AbortController();
  const interrupt = () => stop.abort(new BackupError('run.interrupted', { by: 'signal' }));
  const cut = new AbortController();
  const cutNow = () => cut.abort(stop.signal.reason);
  let held = false;
  let timer = clock.after(limitMs, () => stop.abort(new BackupError('collect.too-long', { limitMs })));
  stop.signal.addEventListener('abort', () => {
    timer.cancel();
    if (held) timer = clock.after(tidyMs, cutNow);
    else cutNow();
  });
  const transcript = maskingTranscript(request.transcript);
  const secrets = createSessionSecrets(device, request.readSecret, transcript);
  let connection: Connection | null = null;
  let receivedBytes = 0;
  if (request.signal.aborted) interrupt();
  else request.signal.addEventListener('abort', interrupt);
  try {
    request.onStage?.('connect');
    connection = await open({ ...request, readSecret: secrets.read, signal: cut.signal });
    transcript.note('logged in over SSH');
    const accepted: Body<T> = (talk) => {
      request.onLoggedIn?.();
      request.onStage?.('collect');
      return body(talk);
    };
    const progress = (bytes: number): void => {
      receivedBytes += bytes;
      request.onProgress(receivedBytes);
    };
    return await converse(connection, accepted, request.driver, {
      device,
      options: optionsOf(request.driver, device.options),
      refusals: request.driver.refusals,
      secrets,
      transcript,
      clock,
      connectedAtMs: connection.connectedAtMs,
      signal: stop.signal,
      holdOpen(next) {
        held = next;
        if (!held && stop.signal.aborted) cutNow();
      },
      cut: cut.signal,
      maxBytes: request.maxBytes,
      onPiece(piece) {
        transcript.received(piece);
        progress(piece.length);
      },
      onOctets: progress,
    });
  } catch (thrown) {
    // Whoever was interrupted may have failed of it in a way of his own: the reason is what counts.
    const reason: unknown = stop.signal.aborted ? stop.signal.reason : thrown;
    await secrets.readAhead();
    const failure = withoutSecrets(reason, secrets.known());
    noteFailure(failure, transcript);
    throw failure;
  } finally {
    timer.cancel();
    request.signal.removeEventListener('abort', interrupt);
    await connection?.end();
    transcript.flush();
  }
}

/** A failure quotes the device, and is stored, logged and shown: it holds no secret, whoever put it together. */
function withoutSecrets(thrown: unknown, secrets: readonly string[]): unknown {
  if (!(thrown instanceof BackupError)) return thrown;
  // Shorter ones could be words of ours, such as a name of an account.
  const hidden = secrets.filter((secret) => secret.length >= 8);
  const mask = (text: string): string =>
    hidden.reduce((left, secret) => left.replaceAll(secret, '«masked»'), text);
  const detail = masked(thrown.detail, mask) as typeof thrown.detail;
  return JSON.stringify(detail) === JSON.stringify(thrown.detail)
    ? thrown
    : new BackupError(thrown.code, detail, { cause: thrown.cause });
}

/** Every string in `value` masked. */
function masked(value: unknown, mask: (text: string) => string): unknown {
  if (typeof value === 'string') return mask(value);
  if (Array.isArray(value)) return value.map((member) => masked(member, mask));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, masked(member, mask)]));
}

function noteFailure(thrown: unknown, transcript: MaskingTranscript): void {
  const { code, detail } = failureOf(thrown);
  transcript.note(`failed: ${code} ${JSON.stringify(detail)}`);
}

/** Tries the driver's dialogues in their order on one connection, as long as another shell answers. */
async function converse<T>(
  connection: Connection,
  body: Body<T>,
  driver: Driver,
  surroundings: Surroundings,
): Promise<T> {
  let reply = '';
  for (const dialogue of driver.dialogues) {
    surroundings.transcript.note(`dialogue: ${dialogue.name}`);
    try {
      const conversation = await begin(dialogue, connection, surroundings);
      const result = await body({ conversation, connection, surroundings, dialogue: dialogue.name });
      await conversation.leave();
      return result;
    } catch (thrown) {
      if (!(thrown instanceof OtherShell)) throw thrown;
      ({ reply } = thrown);
      surroundings.transcript.note(`another shell listens: ${reply}`);
    }
  }
  const first = driver.commands.find(({ keep }) => keep !== 'archive');
  const command = first === undefined || first.keep === 'archive' ? '' : waysOf(first)[0].send;
  throw new BackupError('collect.command-refused', { command, reply });
}

async function begin(
  dialogue: Dialogue,
  connection: Connection,
  surroundings: Surroundings,
): Promise<Conversation> {
  if (dialogue.channel === 'exec')
    return new ExecSession(dialogue, (line) => connection.exec(line), surroundings);
  const channel = await connection.shell().catch((thrown: unknown) => {
    throw OtherShell.orNot(thrown);
  });
  return ShellSession.open(dialogue, channel, surroundings);
}
