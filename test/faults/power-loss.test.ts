import { it } from 'vitest';
import { describeOnDisks } from '../support/mount.ts';
import { acknowledgedIsThere, plainCommitIsLost, wholeAfterRepack, wholeLater } from './power-loss.ts';

describeOnDisks('a power cut', () => {
  it(
    'a plain `git commit` does not survive it: the method sees what did not reach the disk',
    plainCommitIsLost,
    120_000,
  );

  it(
    'what was acknowledged the moment before is there: commit, sealed copy and row',
    () => acknowledgedIsThere(2),
    600_000,
  );

  it(
    'seven seconds later, when only a part of what git wrote has reached the disk, it is whole too',
    () => wholeLater(1),
    600_000,
  );

  it(
    'in the middle of a repack by hand, every commit is there and the next one is made',
    () => wholeAfterRepack(4),
    600_000,
  );
});
