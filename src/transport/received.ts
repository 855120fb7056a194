/**
 * Text that grows in pieces of any size. Adding costs the same however much there is; only what is
 * asked for is put together.
 */
export class Received {
  #chunks: string[] = [];
  /** Pieces that are not yet a chunk: ten million pieces of one byte must not be ten million chunks. */
  #pieces: string[] = [];
  #length = 0;

  /** In bytes, which are characters here. */
  get length(): number {
    return this.#length;
  }

  add(piece: string): void {
    this.#length += piece.length;
    if (this.#pieces.push(piece) >= 1024) this.#fold();
  }

  clear(): void {
    this.#chunks = [];
    this.#pieces = [];
    this.#length = 0;
  }

  /** The first `limit` characters. */
  head(limit: number): string {
    this.#fold();
    let head = '';
    for (const chunk of this.#chunks) {
      if (head.length >= limit) break;
      head += chunk.slice(0, limit - head.length);
    }
    return head;
  }

  /** The last `limit` characters. */
  tail(limit: number): string {
    this.#fold();
    let tail = '';
    for (let index = this.#chunks.length - 1; index >= 0 && tail.length < limit; index--) {
      tail = `${this.#chunks[index]?.slice(-(limit - tail.length))}${tail}`;
    }
    return tail;
  }

  /** All of it. */
  text(): string {
    this.#fold();
    if (this.#chunks.length > 1) this.#chunks = [this.#chunks.join('')];
    return this.#chunks[0] ?? '';
  }

  #fold(): void {
    if (this.#pieces.length === 0) return;
    this.#chunks.push(this.#pieces.join(''));
    this.#pieces = [];
  }
}
