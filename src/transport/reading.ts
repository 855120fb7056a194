import { worse } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import type { ArtefactCommand, Capture, Item, Seen, Way } from '../drivers/driver.ts';
import { believing, type TextCommand } from './belief.ts';
import type { Collected, CollectRequest } from './collect.ts';
import { type Conversation, quoteReply, type Reply, type Surroundings, tooLarge } from './conversation.ts';
import { filled, unplain } from './placeholders.ts';
import type { Connection } from './ssh-connection.ts';
import { fetchFile } from './transfer.ts';

/** One dialogue that has come as far as its commands, and the connection under it. */
export interface Talk {
  readonly conversation: Conversation;
  readonly connection: Connection;
  readonly surroundings: Surroundings;
  /** Name of the dialogue. */
  readonly dialogue: string;
}

/** More contexts, VDOMs or route domains no device of these platforms has. */
const mostItems = 512;

/** All answers of one session together, as a multiple of the largest that one may be: they are held in memory. */
const mostAnswers = 4;
/** A name becomes the name of a file, in which whatever is no letter, digit, `.`, `_` or `-` takes three characters. */
const longestFileName = 200;

/** One thing to ask for: a command, or a command for one item, with nothing left to fill in. */
interface Asking {
  readonly command: TextCommand;
  readonly name: string;
  /** Null where the command is asked once. */
  readonly item: Item | null;
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly ways: readonly Way[];
}

interface Granted {
  readonly way: Way;
  readonly reply: Reply;
}

/** Asks for everything that the driver lists, in its order. Throws BackupError as `collect` does. */
export class Reader {
  readonly #talk: Talk;
  readonly #request: Pick<CollectRequest, 'driver' | 'readTwice'>;
  readonly #captures = new Map<string, Capture>();
  readonly #again = new Map<string, Capture>();
  readonly #artefacts = new Map<string, ArtefactCommand>();
  readonly #restorable = new Map<string, ReturnType<typeof worth>>();
  #heldBytes = 0;
  readonly #twice: { readonly asking: Asking; readonly way: Way }[] = [];
  /** What is known so far. */
  readonly seen: Seen;

  constructor(talk: Talk, request: Pick<CollectRequest, 'driver' | 'readTwice'>) {
    this.#talk = talk;
    this.#request = request;
    this.seen = {
      text: (command) => this.#captures.get(command)?.text ?? null,
      options: talk.surroundings.options,
      dialogue: talk.dialogue,
    };
  }

  async readAll(): Promise<Omit<Collected, 'archives' | 'secrets'>> {
    for (const command of this.#commands()) {
      if (command.when?.(this.seen) === false) continue;
      for (const asking of this.#askingsOf(command)) await this.#read(asking);
    }
    for (const { asking, way } of this.#twice) await this.#readAgain(asking, way);
    return {
      captures: this.#captures,
      again: this.#again,
      artefacts: this.#artefacts,
      restorable: this.#restorable,
      seen: this.seen,
    };
  }

  /** The answer to the first command that is read here at all; null where there is none. */
  async readFirst(): Promise<Capture | null> {
    const command = this.#commands().find(
      (one) => one.forEach === undefined && one.when?.(this.seen) !== false,
    );
    const asking = command === undefined ? null : askingFor(command, null, this.seen);
    const way = asking?.ways.find(({ by }) => by === undefined);
    if (asking === null || way === undefined) return null;
    const { capture, refused } = await this.#ask(asking, way);
    if (refused !== null) throw refusedError(capture.sent, refused);
    return capture;
  }

  #commands(): readonly TextCommand[] {
    return this.#request.driver.commands.flatMap((command) => (command.keep === 'archive' ? [] : [command]));
  }

  async #read(asking: Asking): Promise<void> {
    const { command, name } = asking;
    const granted = await this.#firstGranted(asking);
    if (granted === null) return;
    const { way, reply } = granted;
    this.#captures.set(name, reply.capture);
    if (command.keep === 'facts') return;
    this.#artefacts.set(name, command);
    this.#restorable.set(name, worth(way, reply));
    if (this.#request.readTwice && command.wholeWhen.proof === 'structure') this.#twice.push({ asking, way });
  }

  async #readAgain(asking: Asking, way: Way): Promise<void> {
    const { name } = asking;
    const { capture, refused } = await this.#ask(asking, way);
    if (refused === null) {
      this.#again.set(name, capture);
      return;
    }
    if (refused.means === 'collect.not-ready' || !(await this.#isGone(asking)))
      throw refusedError(capture.sent, refused);
    for (const kept of [this.#captures, this.#artefacts, this.#restorable]) kept.delete(name);
  }

  /** The first way that the device does not refuse; null where it refused what it may refuse, or what is gone. */
  async #firstGranted(asking: Asking): Promise<Granted | null> {
    const { command, ways } = asking;
    let last: BackupError | null = null;
    for (const way of ways) {
      const reply = await this.#ask(asking, way);
      if (reply.refused === null) return { way, reply };
      // What was refused may have been a step on the way there.
      last = refusedError(reply.capture.sent, reply.refused);
      // A device that is not ready would refuse the better way only now: the worse one is no answer to that.
      if (reply.refused.means === 'collect.not-ready') throw last;
    }
    if (command.mayBeRefusedBecause !== undefined) return null;
    if (last !== null && (await this.#isGone(asking))) return null;
    throw (
      last ??
      new BackupError('collect.command-refused', {
        command: asking.name,
        reply: 'none of the ways to ask for it is one on this device',
      })
    );
  }

  /* ── Items ──────────────────────────────────────────────────────────────────────────────── */

  #askingsOf(command: TextCommand): readonly Asking[] {
    const { forEach } = command;
    if (forEach === undefined) return [askingFor(command, null, this.seen)];
    const listing = this.#captures.get(forEach.over);
    if (listing === undefined) return [];
    const refuse = (reply: string) =>
      new BackupError('collect.command-refused', {
        command: listing.sent,
        reply: quoteReply(reply, this.#talk.surroundings.transcript.mask),
      });
    const items = forEach.items(listing.text, this.seen);
    if (items.length > mostItems) throw refuse(`it names ${items.length} items, more than ${mostItems}`);
    for (const item of items) {
      const odd = unplain(item);
      if (odd !== null) throw refuse(`it names "${odd}", which is never typed`);
    }
    const askings = items.map((item) => askingFor(command, item, this.seen));
    for (const { name } of askings) {
      if (this.#talk.surroundings.transcript.mask(name) !== name)
        throw refuse('it names an item that holds a credential of ours');
      if (name.replace(/[^\w.-]/g, '%XX').length > longestFileName)
        throw refuse(`it names ${name}, which is too long for a file`);
      if (askings.filter((one) => one.name === name).length > 1) throw refuse(`it names ${name} twice`);
      if (this.#captures.has(name)) throw refuse(`it names ${name}, which is something else already`);
    }
    return askings;
  }

  /** Whether the item of a refused command is no longer listed: somebody removed it while we were reading. */
  async #isGone({ command, item, name }: Asking): Promise<boolean> {
    const { forEach } = command;
    if (forEach === undefined || item === null) return false;
    const over = this.#commands().find((one) => one.name === forEach.over);
    if (over === undefined) return false;
    const granted = await this.#firstGranted(askingFor(over, null, this.seen));
    if (granted === null) return false;
    const left = forEach.items(granted.reply.capture.text, this.seen);
    if (left.some((one) => filled(command.name, one) === name)) return false;
    this.#talk.surroundings.transcript.note(`${name} is no longer listed and is left out`);
    return true;
  }

  /* ── One question ───────────────────────────────────────────────────────────────────────── */

  async #ask(asking: Asking, way: Way): Promise<Reply> {
    const reply = await this.#askOnce(asking, way);
    const limitBytes = mostAnswers * this.#talk.surroundings.maxBytes;
    this.#heldBytes += reply.capture.text.length;
    // Each of 512 contexts may be as large as one is allowed to be, and none of them is on the disk yet.
    if (this.#heldBytes > limitBytes) throw tooLarge(limitBytes);
    return reply;
  }

  #askOnce(asking: Asking, way: Way): Promise<Reply> {
    const { conversation, surroundings } = this.#talk;
    const { command, before, after } = asking;
    const idleMs = command.idleMs ?? surroundings.device.timeouts.idleMs;
    if (way.by !== undefined) return this.#fetch(asking, way.by, way.send, idleMs);
    return conversation.ask({
      before,
      send: way.send,
      after,
      execLine: command.execLine ?? null,
      idleMs,
      ...believing(command),
    });
  }

  /** The content of a file, as an answer. */
  async #fetch({ name }: Asking, by: 'scp' | 'sftp', path: string, idleMs: number): Promise<Reply> {
    const { connection, conversation, surroundings } = this.#talk;
    const { clock, signal, transcript, maxBytes, onOctets } = surroundings;
    const parts: Buffer[] = [];
    transcript.note(`fetching ${path} by ${by}`);
    const reply = { stderr: '', prompt: conversation.worth };
    const capture = { endedBy: 'transfer', exitStatus: null, sent: path } as const;
    try {
      const bytes = await fetchFile(by, {
        connection,
        path,
        name,
        limitBytes: maxBytes,
        clock,
        signal,
        idleMs,
        mask: transcript.mask,
        async take(octets) {
          parts.push(octets);
          onOctets(octets.length);
        },
      });
      transcript.note(`${bytes} octets`);
      return {
        ...reply,
        capture: { ...capture, text: Buffer.concat(parts).toString('latin1') },
        refused: null,
      };
    } catch (thrown) {
      if (!(thrown instanceof BackupError) || thrown.code !== 'collect.command-refused') throw thrown;
      const words = (thrown as BackupError<'collect.command-refused'>).detail.reply;
      transcript.note(`refused: ${words}`);
      const refused = { means: 'collect.command-refused', reply: words } as const;
      return { ...reply, capture: { ...capture, text: '' }, refused };
    }
  }
}

function askingFor(command: TextCommand, item: Item | null, seen: Seen): Asking {
  const fill = (template: string): string => (item === null ? template : filled(template, item));
  return {
    command,
    item,
    name: fill(command.name),
    before: (command.before ?? []).map(fill),
    after: (command.after ?? []).map(fill),
    ways: waysOf(command).flatMap((way) =>
      way.when?.(seen) === false ? [] : [{ ...way, send: fill(way.send) }],
    ),
  };
}

/** A facts command has one way, and its worth does not matter. */
export function waysOf(command: TextCommand): readonly [Way, ...Way[]] {
  if (command.keep === 'artefact') return command.firstOf;
  return [{ send: command.send, restorable: 'yes', because: null }];
}

function refusedError(command: string, { means, reply }: NonNullable<Reply['refused']>): BackupError {
  return means === 'collect.not-ready'
    ? new BackupError(means, { reply })
    : new BackupError(means, { command, reply });
}

/** What the way and the prompt together make of a copy, with the reasons that made it so. */
function worth(
  way: Way,
  { prompt }: Reply,
): { readonly is: Way['restorable']; readonly because: string | null } {
  const statements = [{ is: way.restorable, because: way.because }, ...(prompt === null ? [] : [prompt])];
  const is = statements.map((statement) => statement.is).reduce(worse);
  const reasons = statements.filter((statement) => statement.is === is && statement.because !== null);
  return { is, because: reasons.length === 0 ? null : reasons.map(({ because }) => because).join('; ') };
}
