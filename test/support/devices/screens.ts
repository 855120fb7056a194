/** A text cut into rows, and how far it was shown. */
export class Screens {
  readonly rows: number;
  readonly #rowTexts: readonly string[];
  #at = 0;

  constructor(text: string, columns: number, rows: number) {
    this.rows = rows;
    const all: string[] = [];
    const logical = text.split('\n');
    const last = logical.pop() ?? '';
    for (const line of logical) {
      let rest = line;
      while (rest.length > columns) {
        // A terminal does not wrap until one more character comes: less sends a blank and takes it back.
        all.push(`${rest.slice(0, columns)} \b`);
        rest = rest.slice(columns);
      }
      all.push(`${rest}\r\n`);
    }
    if (last !== '') all.push(last);
    this.#rowTexts = all;
  }

  get atEnd(): boolean {
    return this.#at >= this.#rowTexts.length;
  }

  get percent(): number {
    return Math.floor((this.#at * 100) / this.#rowTexts.length);
  }

  fitsOn(rows: number): boolean {
    return this.#rowTexts.length <= rows;
  }

  next(rows: number): string {
    const from = this.#at;
    this.#at = Math.min(from + rows, this.#rowTexts.length);
    return this.#rowTexts.slice(from, this.#at).join('');
  }
}
