import { describe, expect, it } from 'vitest';
import { programPath } from '../support/system.ts';
import { sweep } from './sweep.ts';

const [cc, git] = [programPath('cc'), programPath('git')];
const lanes = 3;

describe.skipIf(cc === null || git === null)(
  'an error at every call of a backup that changes the disk',
  () => {
    const programs = { cc: cc ?? '', git: git ?? '' };

    it('EIO at every flush, one after the other, loses nothing', async () => {
      const swept = await sweep(
        { watched: ['sync'], deed: 'EIO', on: false, step: 1, from: 1 },
        lanes,
        programs,
      );
      console.log(`EIO at each flush: ${JSON.stringify(swept)}`);
      expect(swept.indices).toBeGreaterThan(30);
    }, 1_800_000);

    it('a disk that is full from any write on, until there is space again, loses nothing', async () => {
      const swept = await sweep(
        { watched: ['write', 'name'], deed: 'ENOSPC', on: true, step: 1, from: 1 },
        lanes,
        programs,
      );
      console.log(`ENOSPC from each write on: ${JSON.stringify(swept)}`);
      expect(swept.indices).toBeGreaterThan(100);
    }, 1_800_000);

    it('kill -9 at every flush, and wherever a name is made or goes, loses nothing', async () => {
      const swept = await sweep(
        { watched: ['sync', 'name', 'remove'], deed: 'kill', on: false, step: 1, from: 1 },
        lanes,
        programs,
      );
      console.log(`kill -9 at each flush and name: ${JSON.stringify(swept)}`);
      expect(swept.indices).toBeGreaterThan(80);
    }, 1_800_000);
  },
);
