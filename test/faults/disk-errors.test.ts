import { expect, it } from 'vitest';
import { describeWith, programPath } from '../support/system.ts';
import { sweep } from './sweep.ts';

/** Some of the calls; `npm run test:faults` takes each one. */
describeWith('cc', 'a backup in which a call fails that changes the disk', (cc) => {
  const programs = { cc, git: programPath('git') ?? '' };

  it('acknowledges nothing that a flush did not confirm, and the next one succeeds', async () => {
    const { indices } = await sweep(
      { watched: ['sync'], deed: 'EIO', on: false, step: 9, from: 5 },
      2,
      programs,
    );
    expect(indices).toBeGreaterThan(2);
  }, 180_000);

  it('killed at such a call, leaves what the next one ends truthfully', async () => {
    const { indices } = await sweep(
      { watched: ['sync', 'name', 'remove'], deed: 'kill', on: false, step: 17, from: 8 },
      2,
      programs,
    );
    expect(indices).toBeGreaterThan(3);
  }, 180_000);
});
