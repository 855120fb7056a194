import type { Socket } from 'node:net';
import type { Git, GitChild } from './git.ts';

/** A process without questions for so long is let go. */
const idleMs = 1_000;
/** After so many a new one takes over: what became of the files under an old one it would not notice. */
const mostQuestions = 2_000;

interface Question {
  readonly name: string;
  readonly answer: (blob: Buffer | null) => void;
}

/**
 * Reads blobs by `<commit>:<path>` through one `git cat-file --batch` that stays while questions come: to start a
 * process for each is about a fifth of an unchanged backup. Null where it did not get one, whatever the
 * reason; a process of its own then tells why. Never rejects.
 */
export function blobReader(git: Git): (name: string) => Promise<Buffer | null> {
  let current: Reader | null = null;
  return (name) =>
    new Promise((answer) => {
      if (current === null || !current.takes) current = new Reader(git.start(['cat-file', '--batch']));
      current.ask({ name, answer });
    });
}

class Reader {
  readonly #child: GitChild;
  readonly #handles: readonly { ref(): unknown; unref(): unknown }[];
  readonly #asked: Question[] = [];
  #questions = 0;
  #over = false;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  /** What has to be there before it is worth looking at again. */
  #neededBytes = 0;
  readonly #idle: NodeJS.Timeout;

  constructor(child: GitChild) {
    const { process } = child;
    this.#child = child;
    this.#handles = [process, process.stdin as Socket, process.stdout as Socket, process.stderr as Socket];
    this.#idle = setTimeout(() => this.#end(), idleMs).unref();
    process.stdout.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#receivedBytes += chunk.length;
      if (this.#receivedBytes >= this.#neededBytes) this.#read();
    });
    void child.ended.then(() => {
      this.#end();
      for (const { answer } of this.#asked.splice(0)) answer(null);
    });
  }

  get takes(): boolean {
    return !this.#over && this.#questions < mostQuestions;
  }

  ask(question: Question): void {
    // Without a question it keeps nobody from ending.
    if (this.#asked.length === 0) for (const handle of this.#handles) handle.ref();
    this.#asked.push(question);
    this.#questions += 1;
    this.#idle.refresh();
    this.#child.process.stdin.write(`${question.name}\n`);
    if (!this.takes) this.#end();
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#idle);
    this.#child.process.stdin.end();
  }

  /** `<id> blob <bytes>`, the bytes and a line feed; or `<name> missing`. */
  #read(): void {
    let all = Buffer.concat(this.#received);
    for (;;) {
      const feed = all.indexOf('\n');
      const end = feed === -1 ? 0 : feed + 1;
      const [, type, size] = / (\w+) (\d+)$/.exec(all.toString('latin1', 0, Math.max(0, feed))) ?? [];
      const bytes = size === undefined ? 0 : Number(size) + 1;
      this.#neededBytes = feed === -1 ? 0 : end + bytes;
      if (feed === -1 || all.length < this.#neededBytes) break;
      const question = this.#asked.shift();
      question?.answer(type === 'blob' ? all.subarray(end, end + bytes - 1) : null);
      all = all.subarray(end + bytes);
      this.#idle.refresh();
    }
    this.#received = [all];
    this.#receivedBytes = all.length;
    if (this.#asked.length === 0) for (const handle of this.#handles) handle.unref();
  }
}
