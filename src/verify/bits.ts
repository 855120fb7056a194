const pageBits = 1 << 15;

/** A set of whole numbers, one bit each: millions of rows that were met cost some hundred kilobytes. */
export class Bits {
  readonly #pages = new Map<number, Uint32Array>();

  /** Returns whether it was there before. */
  add(number: number): boolean {
    const page = Math.floor(number / pageBits);
    let words = this.#pages.get(page);
    if (words === undefined) {
      words = new Uint32Array(pageBits / 32);
      this.#pages.set(page, words);
    }
    const within = number - page * pageBits;
    const word = words[within >> 5] ?? 0;
    const bit = 1 << (within & 31);
    words[within >> 5] = word | bit;
    return (word & bit) !== 0;
  }

  has(number: number): boolean {
    const page = Math.floor(number / pageBits);
    const within = number - page * pageBits;
    return (((this.#pages.get(page)?.[within >> 5] ?? 0) >>> (within & 31)) & 1) === 1;
  }
}
