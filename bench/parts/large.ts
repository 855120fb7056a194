import { type Backup, LargeBench } from '../large/measure.ts';
import type { BenchPart, Measured } from '../part.ts';

const mb = 1_000_000;

/**
 * The bare client reads what the program reads: twice at first contact, and once from then on. Its time is taken
 * before and after, because both are compared under the same load of the machine.
 */
async function beside(
  bench: LargeBench,
  readings: number,
): Promise<{ readonly backup: Backup; readonly floorMs: number }> {
  const before = await bench.floor(readings);
  const backup = await bench.backup();
  const after = await bench.floor(readings);
  return { backup, floorMs: (before + after) / 2 };
}

const part: BenchPart = {
  name: 'large',
  about: 'one large FortiGate: time against a bare client, memory for each byte, and several at once',
  async run(scale, say) {
    const measured: Measured[] = [];
    const [middle, large] = scale === 'full' ? [5 * mb, 20 * mb] : [mb, 2 * mb];
    const named = (bytes: number): string => `${bytes / mb} MB`;
    const add = (
      what: string,
      value: number,
      unit: Measured['unit'],
      limit: Measured['limit'] = null,
    ): void => void measured.push({ what, value, unit, limit, note: null });

    say(`${named(middle)} against the floor`);
    // A small text says nothing of these: what is the same for every size is most of it.
    const twice = scale === 'full' ? { atMost: 2 } : null;
    const timesTheText = scale === 'full' ? { atMost: 12 } : null;
    await using first = await LargeBench.open();
    await first.show(middle, 1);
    const contact = await beside(first, 2);
    add(
      `${named(middle)}, first contact (read twice), to the floor`,
      contact.backup.ms / contact.floorMs,
      'x',
      twice,
    );
    const same = await beside(first, 1);
    add(`${named(middle)}, nothing changed, to the floor`, same.backup.ms / same.floorMs, 'x', twice);
    await first.show(middle, 2);
    const other = await beside(first, 1);
    add(`${named(middle)}, changed, to the floor`, other.backup.ms / other.floorMs, 'x', twice);
    add(`${named(middle)}, nothing changed`, same.backup.ms, 'ms');

    say(`${named(large)}, at first contact and again`);
    await using second = await LargeBench.open();
    await second.show(20_000, 1);
    const idle = (await second.backup()).peakBytes;
    await using third = await LargeBench.open();
    const bytes = await third.show(large, 1);
    const whole = await third.backup();
    const again = await third.backup();
    // What the program itself takes is there whatever it reads.
    const perByte = ({ peakBytes }: Backup): number => (peakBytes - idle) / bytes;
    add(`${named(large)}, first contact: memory for each byte`, perByte(whole), 'x', timesTheText);
    add(`${named(large)}, nothing changed: memory for each byte`, perByte(again), 'x', timesTheText);
    add(`${named(large)}, first contact`, whole.ms / 1000, 's');
    add(`${named(large)}, first contact: most memory`, whole.peakBytes / mb, 'MB');

    const many = scale === 'full' ? 8 : 3;
    say(`${many} of ${named(middle)} at once`);
    await using together = await LargeBench.open(many);
    await together.show(middle, 1);
    const crowd = await together.backup();
    add(`${many} of ${named(middle)} at once: most memory`, crowd.peakBytes / mb, 'MB');
    return measured;
  },
};

export default part;
