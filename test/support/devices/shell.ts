import { type Display, fill, names, spoiled } from './answers.ts';
import type { Machine, Reply, State } from './machine.ts';
import { Output } from './output.ts';
import type { After, Far, Session, Typed } from './persona.ts';
import { Screens } from './screens.ts';
import type { DeviceSpec, Faults } from './spec.ts';

interface ShellParts {
  readonly far: Far;
  readonly after: After;
  readonly terminal: { readonly columns: number; readonly rows: number };
  readonly typed: Typed[];
  readonly display: Display;
}

/** Waits for what the client types next. */
type Waiting =
  | { readonly for: 'line' }
  | { readonly for: 'pager'; readonly screens: Screens; readonly done: () => void }
  | { readonly for: 'confirm'; readonly yes: () => void };

/** One interactive session: a line editor over a machine. */
export class Shell implements Session {
  readonly #machine: Machine;
  readonly #spec: DeviceSpec;
  readonly #faults: Faults;
  readonly #parts: ShellParts;
  readonly #output: Output;
  #state: string;
  #waiting: Waiting = { for: 'line' };
  #line = '';
  #input: string[] = [];
  #folder = '/Common';
  #paging = true;
  #attempts = 0;
  #commands = 0;
  #over = false;

  constructor(machine: Machine, spec: DeviceSpec, parts: ShellParts) {
    this.#machine = machine;
    this.#spec = spec;
    this.#faults = spec.faults ?? {};
    this.#parts = parts;
    this.#state = machine.start;
    this.#output = new Output(parts.far, this.#faults, parts.after, () => this.#readInput());
    const greeting = machine.greeting === '' ? '' : parts.display('', machine.greeting, {});
    this.#answer(greeting, machine.habits.pager.pagesGreeting, () => this.#prompt());
  }

  type(latin1: string): void {
    this.#input.push(...latin1);
    this.#readInput();
  }

  resume(): void {
    this.#output.resume();
  }

  hangUp(): void {
    this.#over = true;
    this.#output.stop();
  }

  #readInput(): void {
    // What is typed while an answer is under way waits, as in a terminal's own buffer.
    while (!this.#over && !this.#output.busy) {
      const character = this.#input.shift();
      if (character === undefined) return;
      this.#key(character);
    }
  }

  #key(character: string): void {
    const waiting = this.#waiting;
    if (waiting.for === 'pager') {
      this.#pagerKey(character, waiting.screens, waiting.done);
      return;
    }
    if (waiting.for === 'confirm') {
      this.#parts.typed.push({ kind: 'key', text: character });
      this.#waiting = { for: 'line' };
      this.#emit(`${character}\r\n`);
      if (character === 'y') waiting.yes();
      else this.#prompt();
      return;
    }
    const state = this.#current();
    if (state.kind === 'key') {
      this.#parts.typed.push({ kind: 'key', text: character });
      const chosen = state.keys[character];
      if (chosen === undefined) return;
      this.#emit(chosen.echo);
      this.#enter(chosen.to);
      return;
    }
    if (character === '\r' || character === '\n') {
      const line = this.#line;
      this.#line = '';
      if (state.kind === 'secret') this.#secret(line, state);
      else this.#command(line, state.replies, state.unknown);
      return;
    }
    this.#line += character;
    this.#emit(state.kind === 'secret' ? (state.echo ?? character) : this.#echo(character));
  }

  /** The echo of one character, scrolled where the line has reached the right margin. */
  #echo(character: string): string {
    const { columns } = this.#parts.terminal;
    const prompt = this.#promptText();
    const room = columns - prompt.length - 1;
    if (!this.#machine.habits.scrollsLongLines || this.#line.length <= room) return character;
    const kept = this.#line.slice(-(Math.max(room, 4) >> 1));
    return this.#line.length % 10 === 0 ? `\r${prompt}$${kept}` : character;
  }

  #secret(line: string, state: State & { readonly kind: 'secret' }): void {
    this.#parts.typed.push({ kind: 'secret', text: line });
    this.#emit(this.#machine.habits.enter);
    if (state.expects !== null && line === state.expects) {
      this.#attempts = 0;
      this.#enter(state.right);
      return;
    }
    this.#attempts += 1;
    if (this.#attempts < state.wrong.attempts) {
      this.#emit(state.prompt);
      return;
    }
    this.#attempts = 0;
    this.#emit(lines(state.wrong.text));
    this.#enter(state.wrong.to);
  }

  #command(line: string, replies: readonly Reply[], unknown: string): void {
    this.#parts.typed.push({ kind: 'line', text: line });
    this.#output.command(line);
    this.#emit(this.#machine.habits.enter);
    const command = line.trim();
    this.#commands += command === '' ? 0 : 1;
    if (names(this.#faults.silentTo, command)) return;
    if (this.#faults.endless !== undefined && names(this.#faults.endless.command, command)) {
      this.#output.endless(this.#faults.endless.line);
      return;
    }
    const reply = replies.find((known) => known.on.test(command));
    const match = reply?.on.exec(command);
    if (reply?.pagerOff === true) this.#paging = false;
    if (reply?.folder !== undefined) this.#folder = reply.folder.replace('$1', match?.[1] ?? '');
    if (reply?.to !== undefined) {
      if (reply.text !== undefined) this.#emit(lines(reply.text));
      this.#enter(reply.to);
      return;
    }
    const words = command.split(/\s+/);
    const more = {
      line: command,
      word: words[0] ?? '',
      caret: `${' '.repeat(this.#promptText().length)}^\n`,
      count: '0',
      model: this.#spec.facts?.model ?? '',
    };
    const meant =
      command === ''
        ? ''
        : this.#parts.display(command, reply?.text ?? (reply === undefined ? unknown : ''), more);
    const text = spoiled(command, meant, this.#faults);
    const finish = (): void => {
      if (reply?.ends === true) this.#end();
      else this.#afterAnswer(command);
    };
    const count = text.split('\n').length - 1;
    if (reply?.confirm !== undefined && reply.confirm.over > 0 && count > reply.confirm.over) {
      this.#emit(fill(reply.confirm.question, { count: String(count) }));
      this.#waiting = { for: 'confirm', yes: () => this.#answer(text, true, finish) };
      return;
    }
    this.#answer(text, true, finish);
  }

  #afterAnswer(command: string): void {
    this.#prompt();
    const interrupts = this.#spec.interrupts;
    if (interrupts !== undefined && command === interrupts.after) {
      this.#emit(lines(`\n${interrupts.text}\n`));
      this.#prompt();
    }
  }

  /** Hands `text` out, a screen at a time where the pager is on. */
  #answer(text: string, mayPage: boolean, done: () => void): void {
    const { pager } = this.#machine.habits;
    const rows = pager.rows === 'terminal' ? this.#parts.terminal.rows : pager.rows;
    const screens = new Screens(
      text,
      pager.wraps ? this.#parts.terminal.columns : Number.POSITIVE_INFINITY,
      rows,
    );
    // The echoed command takes a row of the first screen.
    if (!mayPage || !this.#paging || screens.fitsOn(rows - 2)) {
      this.#emit(lines(text));
      done();
      return;
    }
    this.#emit(pager.opens + screens.next(rows - 2));
    this.#wait(screens, done);
  }

  #wait(screens: Screens, done: () => void): void {
    const { pager } = this.#machine.habits;
    this.#emit(screens.atEnd && pager.atEnd !== null ? pager.atEnd : pager.marker(screens.percent));
    this.#waiting = { for: 'pager', screens, done };
  }

  #pagerKey(key: string, screens: Screens, done: () => void): void {
    const { pager } = this.#machine.habits;
    this.#parts.typed.push({ kind: 'key', text: key });
    const amount = key === ' ' ? screens.rows - 1 : key === '\r' || key === '\n' ? 1 : 0;
    if (key !== 'q' && amount === 0) return;
    if (key !== 'q' && screens.atEnd) return;
    this.#waiting = { for: 'line' };
    this.#emit(pager.erase);
    if (key === 'q') {
      this.#emit(pager.closes);
      done();
      return;
    }
    this.#emit(screens.next(amount));
    if (!screens.atEnd || pager.atEnd !== null) {
      this.#wait(screens, done);
      return;
    }
    this.#emit(pager.closes);
    done();
  }

  #enter(state: string): void {
    this.#state = state;
    this.#prompt();
  }

  #prompt(): void {
    const state = this.#current();
    if (state.kind === 'prompt') this.#emit(this.#machine.habits.beforePrompt + this.#promptText());
    else this.#emit(state.kind === 'key' ? lines(state.prompt) : state.prompt);
  }

  #promptText(): string {
    const status = this.#spec.status ?? [''];
    return fill(this.#current().prompt, {
      host: this.#spec.hostname,
      status: status[Math.min(this.#commands, status.length - 1)] ?? '',
      folder: this.#folder,
    });
  }

  #current(): State {
    const state = this.#machine.states[this.#state];
    if (state === undefined) throw new Error(`this fake has no state ${this.#state}`);
    return state;
  }

  #emit(text: string): void {
    if (!this.#over) this.#output.push(text);
  }

  #end(): void {
    this.#over = true;
    this.#output.end(0);
  }
}

function lines(text: string): string {
  return text.replaceAll('\n', '\r\n');
}
