import type { Clock } from '../core/clock.ts';
import { type Device, type SecretRef, worse } from '../core/device.ts';
import { quotable } from '../core/display.ts';
import { BackupError, failureOf, type Restorable, type Stage } from '../core/errors.ts';
import type { Capture, Command, Dialogue, Driver, Way } from '../drivers/driver.ts';
import { cannotBeRefusal, looksWhole } from './belief.ts';
import { type Conversation, firstLines, OtherShell, type Reply, type Surroundings } from './conversation.ts';
import { ExecSession } from './exec.ts';
import type { HostKeys } from './host-keys.ts';
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
  /** Told when a stage begins: `connect`, `login`, `collect`. The one before is then over. */
  readonly onStage?: (stage: Stage) => void;
  readonly transcript: Transcript;
}

/** Everything that one session gave. Nothing here is judged yet. */
export interface Collected {
  /** By command name. A facts command that the device may refuse, and refused, is absent. */
  readonly captures: ReadonlyMap<string, Capture>;
  /** The second reading, by command name; empty unless `readTwice`. */
  readonly again: ReadonlyMap<string, Capture>;
  /** By artefact: what the way it was asked for, and the prompt, make of it. */
  readonly restorable: ReadonlyMap<string, { readonly is: Restorable; readonly because: string | null }>;
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
  return inSession(request, open, async (conversation) => {
    await conversation.prepare();
    return readAll(conversation, request);
  });
}

/**
 * Connects and logs in as far as the prompt (with `exec`: as far as the first answer), then takes its
 * leave. Throws what `collect` throws.
 */
export function reach(request: CollectRequest, open: Connect = connect): Promise<Reached> {
  return inSession(request, open, async (conversation, dialogue) => {
    const [first] = request.driver.commands;
    if (conversation.prompt !== null || first === undefined)
      return { prompt: conversation.prompt ?? '', dialogue };
    const { send } = waysOf(first)[0];
    const { capture, refused } = await ask(conversation, first, send, request);
    if (refused !== null) throw refusedError(send, refused);
    return { prompt: quotable(firstLines(capture.text)[0] ?? ''), dialogue };
  });
}

/* ── Commands ─────────────────────────────────────────────────────────────────────────────── */

async function readAll(conversation: Conversation, request: CollectRequest): Promise<Collected> {
  const captures = new Map<string, Capture>();
  const again = new Map<string, Capture>();
  const restorable = new Map<string, { readonly is: Restorable; readonly because: string | null }>();
  const twice: { readonly command: Command; readonly way: Way }[] = [];

  for (const command of request.driver.commands) {
    const answer = await firstGranted(conversation, command, request);
    if (answer === null) continue;
    captures.set(command.name, answer.reply.capture);
    if (command.keep !== 'artefact') continue;
    restorable.set(command.name, worth(answer.way, answer.reply));
    if (request.readTwice && command.wholeWhen.proof === 'structure')
      twice.push({ command, way: answer.way });
  }
  for (const { command, way } of twice) {
    const reply = await ask(conversation, command, way.send, request);
    if (reply.refused !== null) throw refusedError(way.send, reply.refused);
    again.set(command.name, reply.capture);
  }
  return { captures, again, restorable };
}

/** The first way that the device does not refuse; null where it refused what it may refuse. */
async function firstGranted(
  conversation: Conversation,
  command: Command,
  request: CollectRequest,
): Promise<{ readonly way: Way; readonly reply: Reply } | null> {
  const ways = waysOf(command);
  for (const [index, way] of ways.entries()) {
    const reply = await ask(conversation, command, way.send, request);
    const { refused } = reply;
    if (refused === null) return { way, reply };
    // A device that is not ready would refuse the better way only now: the worse one is no answer to that.
    if (refused.means === 'collect.not-ready') throw refusedError(way.send, refused);
    if (index < ways.length - 1) continue;
    if (command.keep === 'facts' && command.mayBeRefusedBecause !== undefined) return null;
    throw refusedError(way.send, refused);
  }
  return null;
}

/** A facts command has one way, and its worth does not matter. */
function waysOf(command: Command): readonly [Way, ...Way[]] {
  if (command.keep === 'artefact') return command.firstOf;
  return [{ send: command.send, restorable: 'yes', because: null }];
}

function ask(
  conversation: Conversation,
  command: Command,
  send: string,
  { device }: CollectRequest,
): Promise<Reply> {
  return conversation.ask({
    before: command.before ?? [],
    send,
    idleMs: command.idleMs ?? device.timeouts.idleMs,
    looksWhole: (text) => looksWhole(command, text),
    cannotBeRefusal: (text) => cannotBeRefusal(command, text),
  });
}

function refusedError(command: string, { means, reply }: NonNullable<Reply['refused']>): BackupError {
  return means === 'collect.not-ready'
    ? new BackupError(means, { reply })
    : new BackupError(means, { command, reply });
}

/** What the way and the prompt together make of a copy, with the reasons that made it so. */
function worth(way: Way, { prompt }: Reply): { readonly is: Restorable; readonly because: string | null } {
  const statements = [{ is: way.restorable, because: way.because }, ...(prompt === null ? [] : [prompt])];
  const is = statements.map((statement) => statement.is).reduce(worse);
  const reasons = statements.filter((statement) => statement.is === is && statement.because !== null);
  return { is, because: reasons.length === 0 ? null : reasons.map(({ because }) => because).join('; ') };
}

/* ── Session ──────────────────────────────────────────────────────────────────────────────── */

type Body<T> = (conversation: Conversation, dialogue: string) => Promise<T>;

/** Gives `body` a conversation; whatever happens, nothing is left open and no timer runs on. */
async function inSession<T>(request: CollectRequest, open: Connect, body: Body<T>): Promise<T> {
  const { device, clock } = request;
  const limitMs = device.maxRuntimeMs;
  const stop = new AbortController();
  const interrupt = () => stop.abort(new BackupError('run.interrupted', { by: 'signal' }));
  const timer = clock.after(limitMs, () => stop.abort(new BackupError('collect.too-long', { limitMs })));
  const transcript = maskingTranscript(request.transcript);
  const secrets = createSessionSecrets(device, request.readSecret, transcript);
  let connection: Connection | null = null;
  let receivedBytes = 0;
  if (request.signal.aborted) interrupt();
  else request.signal.addEventListener('abort', interrupt);
  try {
    request.onStage?.('connect');
    connection = await open({ ...request, readSecret: secrets.read, signal: stop.signal });
    transcript.note('logged in over SSH');
    const accepted: Body<T> = (conversation, dialogue) => {
      request.onLoggedIn?.();
      request.onStage?.('collect');
      return body(conversation, dialogue);
    };
    return await converse(connection, accepted, request.driver, {
      device,
      refusals: request.driver.refusals,
      secrets,
      transcript,
      clock,
      connectedAtMs: connection.connectedAtMs,
      signal: stop.signal,
      maxBytes: request.maxBytes,
      onPiece(piece) {
        receivedBytes += piece.length;
        transcript.received(piece);
        request.onProgress(receivedBytes);
      },
    });
  } catch (thrown) {
    // Whoever was interrupted may have failed of it in a way of his own: the reason is what counts.
    const failure = stop.signal.aborted ? stop.signal.reason : thrown;
    noteFailure(failure, transcript);
    throw failure;
  } finally {
    timer.cancel();
    request.signal.removeEventListener('abort', interrupt);
    await connection?.end();
    transcript.flush();
  }
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
      const result = await body(conversation, dialogue.name);
      await conversation.leave();
      return result;
    } catch (thrown) {
      if (!(thrown instanceof OtherShell)) throw thrown;
      ({ reply } = thrown);
      surroundings.transcript.note(`another shell listens: ${reply}`);
    }
  }
  const [first] = driver.commands;
  const command = first === undefined ? '' : waysOf(first)[0].send;
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
