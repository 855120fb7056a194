import { startFleet } from '../fleet/fleet.ts';
import type { BenchPart } from '../part.ts';
import { all, startSubject } from '../subject/roundsman.ts';

const part: BenchPart = {
  name: 'memory',
  about: 'The most memory that a daemon holds while it reads 1000 devices, 200 at a time.',
  async run(scale, say) {
    const devices = scale === 'full' ? 1000 : 60;
    const workers = scale === 'full' ? 200 : 20;
    await using fleet = await startFleet({ devices });
    await using subject = await startSubject(fleet, workers);
    const startedBytes = subject.peakBytes();
    all('changed', await subject.backUp(), devices);
    const firstBytes = subject.peakBytes();
    say('every device was read for the first time');
    all('unchanged', await subject.backUp(), devices);
    const limit = scale === 'full' ? { atMost: 250 } : null;
    const mb = (bytes: number): number => bytes / 1_000_000;
    return [
      {
        what: 'peak RSS before the first backup',
        value: mb(startedBytes),
        unit: 'MB',
        limit: null,
        note: null,
      },
      {
        what: `peak RSS, ${devices} devices, ${workers} workers, first contact`,
        value: mb(firstBytes),
        unit: 'MB',
        limit,
        note: 'every text is new and most are read twice',
      },
      {
        what: `peak RSS after a second backup of all`,
        value: mb(subject.peakBytes()),
        unit: 'MB',
        limit,
        note: 'of the process, not of the git programs that it starts',
      },
    ];
  },
};
export default part;
