import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRoom } from '../../src/pipeline/room.ts';

/** Lets everything happen that can happen now. */
const turns = () => new Promise((resolve) => setImmediate(resolve));

describe('room for texts that are worked on', () => {
  it('lets small ones work at the same time', async () => {
    const room = createRoom(100);
    await Promise.all([room.enter(40), room.enter(60)]);
  });

  it('lets a large one wait until the others have left', async () => {
    const room = createRoom(100);
    const leave = await room.enter(40);
    let inside = false;
    const entered = room.enter(80).then((mine) => {
      inside = true;
      return mine;
    });
    await turns();
    expect(inside).toBe(false);
    leave();
    await entered;
  });

  it('gives one that is larger than the room the room for itself', async () => {
    const room = createRoom(100);
    const leave = await room.enter(1_000);
    let inside = false;
    void room.enter(1).then(() => {
      inside = true;
    });
    await turns();
    expect(inside).toBe(false);
    leave();
    await turns();
    expect(inside).toBe(true);
  });

  it('never lets a later one overtake', async () => {
    const room = createRoom(100);
    const leave = await room.enter(90);
    const order: string[] = [];
    const large = room.enter(100).then((mine) => {
      order.push('large');
      mine();
    });
    const small = room.enter(1).then(() => order.push('small'));
    leave();
    await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
  });

  it('never holds more than it has room for, and forgets nobody', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 30 }), async (sizes) => {
        const room = createRoom(100);
        let inside: number[] = [];
        await Promise.all(
          sizes.map(async (bytes) => {
            const leave = await room.enter(bytes);
            inside.push(bytes);
            const sum = inside.reduce((a, b) => a + b, 0);
            expect(sum <= 100 || inside.filter((one) => one > 0).length === 1).toBe(true);
            await turns();
            inside = inside.toSpliced(inside.indexOf(bytes), 1);
            leave();
            // Twice is once.
            leave();
          }),
        );
        expect(inside).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
