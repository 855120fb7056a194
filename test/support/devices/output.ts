import type { After, Far } from './persona.ts';
import type { Faults } from './spec.ts';

type Piece =
  | { readonly text: string; readonly source: 'stdout' | 'stderr' }
  | { readonly pauseMs: number }
  | { readonly exitStatus: number | null };

/** What a session sends, in order, with the faults of the wire: cuts, silence, pauses, slowness, no end. */
export class Output {
  readonly #far: Far;
  readonly #faults: Faults;
  readonly #after: After;
  readonly #idle: () => void;
  readonly #queue: Piece[] = [];
  #held: 'no' | 'timer' | 'reader' = 'no';
  #cancel: () => void = () => {};
  #over = false;
  #silent = false;
  #endlessLine: string | null = null;
  /** Bytes since the mark of each fault; null: its command was not typed yet. */
  #sinceCut: number | null;
  #sinceSilence: number | null;

  /** `idle` is told when everything was sent. */
  constructor(far: Far, faults: Faults, after: After, idle: () => void) {
    this.#far = far;
    this.#faults = faults;
    this.#after = after;
    this.#idle = idle;
    this.#sinceCut = faults.cutAt !== undefined && faults.cutAt.command === undefined ? 0 : null;
    this.#sinceSilence = faults.silentAt !== undefined && faults.silentAt.command === undefined ? 0 : null;
  }

  get busy(): boolean {
    return this.#held !== 'no' || this.#endlessLine !== null;
  }

  /** A command was typed: counters that wait for it begin. */
  command(line: string): void {
    const { cutAt, silentAt } = this.#faults;
    if (cutAt?.command !== undefined && line.startsWith(cutAt.command)) this.#sinceCut = 0;
    if (silentAt?.command !== undefined && line.startsWith(silentAt.command)) this.#sinceSilence = 0;
  }

  push(text: string, source: 'stdout' | 'stderr' = 'stdout'): void {
    const { pauseAfter } = this.#faults;
    const at = pauseAfter === undefined ? -1 : text.indexOf(pauseAfter.text);
    if (pauseAfter === undefined || at < 0) this.#queue.push({ text, source });
    else {
      const end = at + pauseAfter.text.length;
      this.#queue.push({ text: text.slice(0, end), source }, { pauseMs: pauseAfter.ms });
      this.#queue.push({ text: text.slice(end), source });
    }
    this.#drain();
  }

  endless(line: string): void {
    this.#endlessLine = `${line}\r\n`.repeat(Math.max(1, Math.floor(16_384 / (line.length + 2))));
    this.#drain();
  }

  end(exitStatus: number | null): void {
    this.#queue.push({ exitStatus });
    this.#drain();
  }

  resume(): void {
    if (this.#held !== 'reader') return;
    this.#held = 'no';
    this.#drain(true);
  }

  stop(): void {
    this.#over = true;
    this.#cancel();
  }

  /** `resumed`: we were held back, so whoever waits for us to be idle has to be told. */
  #drain(resumed = false): void {
    while (!this.#over && this.#held === 'no') {
      const piece = this.#queue.shift();
      if (piece === undefined) {
        if (this.#endlessLine !== null) {
          this.#queue.push({ text: this.#endlessLine, source: 'stdout' });
          this.#hold(0);
          continue;
        }
        if (resumed) this.#idle();
        return;
      }
      if ('pauseMs' in piece) this.#hold(piece.pauseMs);
      else if ('exitStatus' in piece) {
        this.#over = true;
        if (!this.#silent) this.#far.end(piece.exitStatus);
      } else this.#send(piece);
    }
  }

  #hold(ms: number): void {
    this.#held = 'timer';
    this.#cancel = this.#after(ms, () => {
      this.#held = 'no';
      this.#drain(true);
    });
  }

  #send(piece: { readonly text: string; readonly source: 'stdout' | 'stderr' }): void {
    const { bytesPerSecond } = this.#faults;
    if (bytesPerSecond === undefined) {
      this.#write(piece.text, piece.source);
      return;
    }
    // Twenty slices a second, at least a byte each.
    const slice = Math.max(1, Math.floor(bytesPerSecond / 20));
    const now = piece.text.slice(0, slice);
    this.#write(now, piece.source);
    if (piece.text.length > slice)
      this.#queue.unshift({ text: piece.text.slice(slice), source: piece.source });
    this.#hold((now.length * 1000) / bytesPerSecond);
  }

  #write(text: string, source: 'stdout' | 'stderr'): void {
    if (this.#silent || text === '') return;
    const { cutAt, silentAt } = this.#faults;
    const untilCut = left(cutAt?.byte, this.#sinceCut);
    const untilSilence = left(silentAt?.byte, this.#sinceSilence);
    const allowed = Math.min(untilCut, untilSilence);
    const part = text.length > allowed ? text.slice(0, allowed) : text;
    if (this.#sinceCut !== null) this.#sinceCut += part.length;
    if (this.#sinceSilence !== null) this.#sinceSilence += part.length;
    const goOn = part === '' ? true : this.#far.write(part, source);
    if (text.length >= untilCut && untilCut <= untilSilence) {
      this.#over = true;
      this.#far.cut();
    } else if (text.length >= untilSilence) this.#silent = true;
    else if (!goOn && this.#held === 'no') this.#held = 'reader';
  }
}

function left(byte: number | undefined, since: number | null): number {
  return byte === undefined || since === null ? Number.POSITIVE_INFINITY : Math.max(0, byte - since);
}
