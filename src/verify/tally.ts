import { hash, randomBytes } from 'node:crypto';

const bound = 2 ** 52;

/**
 * Whether as much was added as removed, each name as often, in whatever order: sums of 48 bits under a key that nobody
 * knows beforehand, so that no set of names can be made up to come out even.
 */
export class Tally {
  readonly #key = randomBytes(16).toString('hex');
  #sum = 0;

  add(name: string): void {
    this.#sum = (this.#sum + this.#weight(name)) % bound;
  }

  remove(name: string): void {
    this.#sum = (this.#sum + bound - this.#weight(name)) % bound;
  }

  get isEven(): boolean {
    return this.#sum === 0;
  }

  #weight(name: string): number {
    return hash('sha256', this.#key + name, 'buffer').readUIntBE(0, 6);
  }
}
