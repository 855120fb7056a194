const shown = 20;

/** What is no tampering and deserves a look: the first ones, and how many more. */
export class Notes {
  readonly #first: string[] = [];
  #more = 0;

  add(note: string): void {
    if (this.#first.length < shown) this.#first.push(note);
    else this.#more += 1;
  }

  get told(): readonly string[] {
    return this.#more === 0 ? this.#first : [...this.#first, `and ${this.#more} more`];
  }
}
