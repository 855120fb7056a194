import { it } from 'vitest';
import { describeOnDisks } from '../support/mount.ts';
import { acknowledgedIsThere, wholeAfterRepack, wholeLater } from './power-loss.ts';

describeOnDisks('a power cut, again and again', () => {
  it(
    'what was acknowledged the moment before is there: commit, sealed copy and row',
    () => acknowledgedIsThere(20),
    600_000,
  );

  it(
    'seven seconds later, when only a part of what git wrote has reached the disk, it is whole too',
    () => wholeLater(3),
    600_000,
  );

  it(
    'in the middle of a repack by hand, every commit is there and the next one is made',
    () => wholeAfterRepack(30),
    600_000,
  );
});
