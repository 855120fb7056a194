import type { BenchPart, Measured } from '../part.ts';
import { makeWorkplace, quietSlot } from '../scale/workplace.ts';
import { makeYear } from '../year/ledger.ts';
import { verify } from '../year/verify.ts';

const part: BenchPart = {
  name: 'year-verify',
  about:
    'verify over the ledger of a thousand devices and a year: records a second, and the memory that it needs.',
  async run(scale, say) {
    const [devices, days] = scale === 'full' ? [1_000, 365] : [100, 30];
    const { schedule, lastMs } = quietSlot(Date.now());
    using place = await makeWorkplace(devices, 100, schedule);
    await makeYear(place, days, lastMs, say);
    const { records, wallMs, peakBytes, code } = await verify(place);
    if (code !== 0) throw new Error(`verify ended with ${code}`);
    const found: readonly Measured[] = [
      {
        ...{ what: '`verify`, records', value: records / (wallMs / 1_000), unit: '/s', limit: null },
        note: `${records} records in ${(wallMs / 1_000).toFixed(0)} s, the integrity of the file among it`,
      },
      {
        ...{ what: '`verify`, memory at its peak', value: peakBytes / 2 ** 20, unit: 'MB' },
        ...{ limit: { atMost: 512 }, note: null },
      },
    ];
    return found;
  },
};
export default part;
