import type { Machine, Reply, State } from '../../test/support/devices/machine.ts';

/** What a session needs of its device. */
export interface Subject {
  readonly machine: Machine;
  /** `text` of the machine as this device displays it, lines ended as on a terminal. */
  readonly fill: (text: string, more: { readonly [key: string]: string }) => string;
  /** The configuration as the terminal shows it. */
  readonly screen: () => Buffer;
  readonly pager: boolean;
}

export interface Terminal {
  rows: number;
}

/** One login at a terminal: what was typed in one packet is answered in one packet. */
export class TerminalSession {
  readonly #subject: Subject;
  readonly #terminal: Terminal;
  readonly #send: (bytes: Buffer) => void;
  readonly #end: () => void;
  #state: string;
  #line = '';
  #paging: boolean;
  #out: Buffer[] = [];
  #text = '';
  /** What the pager holds back, from `at` on. */
  #rest: { readonly bytes: Buffer; at: number } | null = null;
  #over = false;

  constructor(subject: Subject, terminal: Terminal, send: (bytes: Buffer) => void, end: () => void) {
    this.#subject = subject;
    this.#terminal = terminal;
    this.#send = send;
    this.#end = end;
    this.#state = subject.machine.start;
    this.#paging = subject.pager;
    this.#text += subject.fill(subject.machine.greeting, {});
    this.#prompt();
    this.#flush();
  }

  type(bytes: Buffer): void {
    for (const code of bytes) {
      if (this.#over) break;
      if (this.#rest !== null) this.#pagerKey(code);
      else if (code === 13 || code === 10) this.#enter();
      else this.#key(String.fromCharCode(code));
    }
    this.#flush();
    if (this.#over) this.#end();
  }

  #key(character: string): void {
    const state = this.#current();
    this.#line += character;
    this.#text += state.kind === 'secret' ? (state.echo ?? character) : character;
  }

  #enter(): void {
    const line = this.#line;
    this.#line = '';
    const state = this.#current();
    this.#text += this.#subject.machine.habits.enter;
    if (state.kind === 'secret') {
      const right = line === state.expects;
      if (!right) this.#text += this.#subject.fill(state.wrong.text, {});
      this.#state = right ? state.right : state.wrong.to;
      this.#prompt();
    } else if (state.kind === 'prompt') this.#command(line.trim(), state.replies, state.unknown);
  }

  #command(command: string, replies: readonly Reply[], unknown: string): void {
    if (command === '') {
      this.#prompt();
      return;
    }
    const reply = replies.find(({ on }) => on.test(command));
    const text = reply === undefined ? unknown : (reply.text ?? '');
    if (reply?.pagerOff === true) this.#paging = false;
    if (reply?.to !== undefined) {
      this.#text += this.#subject.fill(text, {});
      this.#state = reply.to;
      this.#prompt();
      return;
    }
    const [word = ''] = command.split(' ');
    const bytes = text.startsWith('{{config}}')
      ? this.#subject.screen()
      : Buffer.from(this.#subject.fill(text, { word, caret: '     ^\r\n' }), 'latin1');
    if (reply?.ends === true) {
      this.#push(bytes);
      this.#over = true;
      return;
    }
    this.#rest = { bytes, at: 0 };
    // The echoed command takes a row of the first screen.
    this.#page(this.#rows() - 2);
  }

  #rows(): number {
    const { rows } = this.#subject.machine.habits.pager;
    return rows === 'terminal' ? this.#terminal.rows : rows;
  }

  #pagerKey(code: number): void {
    const { erase } = this.#subject.machine.habits.pager;
    const [space, enter, quit] = [32, 13, 113];
    if (code !== space && code !== enter && code !== quit) return;
    this.#text += erase;
    if (code === quit) {
      this.#rest = null;
      this.#prompt();
    } else this.#page(code === space ? this.#rows() - 1 : 1);
  }

  /** The next `rows` lines; all that is left where nothing is paged. */
  #page(rows: number): void {
    const rest = this.#rest;
    if (rest === null) return;
    const { bytes, at } = rest;
    let end = at;
    if (this.#paging) {
      for (let row = 0; row < rows && end < bytes.length; row++)
        end = bytes.indexOf(10, end) + 1 || bytes.length;
    } else end = bytes.length;
    this.#push(bytes.subarray(at, end));
    if (end < bytes.length) {
      rest.at = end;
      this.#text += this.#subject.machine.habits.pager.marker(Math.floor((end * 100) / bytes.length));
      return;
    }
    this.#rest = null;
    this.#prompt();
  }

  #prompt(): void {
    const state = this.#current();
    if (state.kind === 'prompt') this.#text += this.#subject.machine.habits.beforePrompt;
    this.#text += this.#subject.fill(state.prompt, {});
  }

  #current(): State {
    const state = this.#subject.machine.states[this.#state];
    if (state === undefined) throw new Error(`this machine has no state ${this.#state}`);
    return state;
  }

  #push(bytes: Buffer): void {
    if (this.#text !== '') this.#out.push(Buffer.from(this.#text, 'latin1'));
    this.#text = '';
    if (bytes.length > 0) this.#out.push(bytes);
  }

  #flush(): void {
    this.#push(Buffer.alloc(0));
    const [first, ...others] = this.#out;
    this.#out = [];
    if (first !== undefined) this.#send(others.length === 0 ? first : Buffer.concat([first, ...others]));
  }
}
