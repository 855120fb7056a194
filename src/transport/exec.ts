import { BackupError } from '../core/errors.ts';
import type { ExecDialogue } from '../drivers/driver.ts';
import type { Channel, ChannelEnd } from './channel.ts';
import {
  type Conversation,
  connectionLost,
  firstLines,
  match,
  OtherShell,
  type Question,
  quoteReply,
  type Refused,
  type Reply,
  refusalIn,
  type Surroundings,
  tooLarge,
} from './conversation.ts';
import { Listener } from './listener.ts';

/** Opens one channel with one command. Throws BackupError as `Connection.exec` does. */
export type OpenChannel = (commandLine: string) => Promise<Channel>;

/** The dialogue of one channel for each command: no terminal, no echo, no prompt; an exit status instead. */
export class ExecSession implements Conversation {
  readonly prompt = null;
  readonly worth = null;
  readonly #dialogue: ExecDialogue;
  readonly #open: OpenChannel;
  readonly #with: Surroundings;
  /** True once a command was answered by the shell that this dialogue speaks to. */
  #rightShell = false;

  constructor(dialogue: ExecDialogue, open: OpenChannel, surroundings: Surroundings) {
    this.#dialogue = dialogue;
    this.#open = open;
    this.#with = surroundings;
  }

  async prepare(): Promise<void> {}

  async leave(): Promise<void> {}

  async ask(question: Question): Promise<Reply> {
    const { transcript } = this.#with;
    const commands = [...question.before, question.send].join('; ');
    // A function: in a replacement text `$` would not stand for itself.
    const line = (question.execLine ?? this.#dialogue.line).replace('{commands}', () => commands);
    transcript.sent(`${line}\n`);
    const { stdout, stderr, end } = await this.#run(line, question);
    const { exitStatus, error } = end;
    // Without a status nobody said that the output is whole.
    if (exitStatus === null) throw connectionLost(question.send, stdout.length, error);
    transcript.note(`exit status ${exitStatus}`);

    const words = [...firstLines(stderr), ...firstLines(stdout)];
    if (!this.#rightShell && match(this.#dialogue.otherShellWhen, words.join('\n')) !== null)
      throw new OtherShell(quoteReply(words[0] ?? '', transcript.mask));
    this.#rightShell = true;
    const capture = { text: stdout, endedBy: 'exit-status', exitStatus, sent: question.send } as const;
    const refused = this.#refusalIn(question, stdout, stderr, exitStatus);
    return { capture, stderr, refused, prompt: null };
  }

  #refusalIn(question: Question, stdout: string, stderr: string, exitStatus: number): Refused | null {
    const { refusals, transcript } = this.#with;
    const onStdout =
      exitStatus !== 0 || !question.cannotBeRefusal(stdout)
        ? refusalIn(stdout, refusals, transcript.mask)
        : null;
    const refused = refusalIn(stderr, refusals, transcript.mask) ?? onStdout;
    if (refused !== null || exitStatus === 0) return refused;
    const words = firstLines(stderr)[0] ?? firstLines(stdout)[0];
    // The words alone may be an ordinary answer, and would not say why it was not taken.
    const status = `exit status ${exitStatus}`;
    const reply = words === undefined ? status : quoteReply(`${status}: ${words}`, transcript.mask);
    return { means: 'collect.command-refused', reply };
  }

  async #run(
    line: string,
    { send, idleMs, signal = this.#with.signal }: Question,
  ): Promise<{ stdout: string; stderr: string; end: ChannelEnd }> {
    const { clock, onPiece, maxBytes } = this.#with;
    const channel = await this.#open(line).catch((thrown: unknown) => {
      // Refused later, it is not for want of a shell: the device has no more channels to give.
      throw this.#rightShell ? thrown : OtherShell.orNot(thrown);
    });
    try {
      const listener = new Listener(channel, clock, signal, onPiece);
      const end = await listener.until<ChannelEnd>({
        look: (quietMs) => {
          if (quietMs < idleMs) return { lookAgainAfterQuietMs: idleMs };
          const receivedBytes = listener.stdout.length;
          throw new BackupError('collect.stalled', { command: send, idleMs, receivedBytes });
        },
        ended: (ended) => ended,
        limitBytes: maxBytes,
        tooLarge: () => tooLarge(maxBytes),
      });
      return { stdout: listener.stdout.text(), stderr: listener.stderr.text(), end };
    } finally {
      channel.close();
    }
  }
}
