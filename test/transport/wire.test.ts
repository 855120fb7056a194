import { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Wire } from '../../src/transport/wire.ts';

/** A connection that tells which pieces it was handed together. */
class Handed extends Duplex {
  readonly together: string[][] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.together.push([chunk.toString()]);
    done();
  }
  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    this.together.push(chunks.map(({ chunk }) => chunk.toString()));
    done();
  }
  destroySoon(): void {
    this.end(() => this.destroy());
  }
}

function wired(): { readonly carrier: Handed; readonly wire: Wire } {
  const carrier = new Handed();
  return { carrier, wire: new Wire(carrier, () => {}) };
}

describe('the wire', () => {
  it('sends what is written at one instant as one', async () => {
    const { carrier, wire } = wired();
    for (const piece of ['length', 'packet', 'tag']) wire.write(piece);
    await setImmediate();
    wire.write('later');
    await setImmediate();
    expect(carrier.together).toEqual([['length', 'packet', 'tag'], ['later']]);
  });

  it('sends what was written before it is closed at the same instant', async () => {
    const { carrier, wire } = wired();
    wire.write('the reason');
    wire.destroy();
    await setImmediate();
    expect(carrier.together.flat()).toEqual(['the reason']);
    expect(carrier.destroyed).toBe(true);
  });
});
