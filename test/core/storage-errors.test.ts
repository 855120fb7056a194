import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import { storageError } from '../../src/core/storage-errors.ts';

const system = (code: string): Error => Object.assign(new Error(code), { code });

describe('storageError', () => {
  it.each([
    ['ENOSPC', { code: 'store.disk-full', detail: { path: '/x', freeBytes: 7 } }],
    ['EDQUOT', { code: 'store.disk-full', detail: { path: '/x', freeBytes: 7 } }],
    ['EROFS', { code: 'store.read-only', detail: { path: '/x' } }],
    ['EACCES', { code: 'store.permission', detail: { path: '/x' } }],
    ['EPERM', { code: 'store.permission', detail: { path: '/x' } }],
    ['EIO', { code: 'store.io', detail: { path: '/x', errno: 'EIO' } }],
  ])('says what %s means', (code, expected) => {
    expect(storageError(system(code), '/x', 7)).toMatchObject(expected);
  });

  it('leaves a failure that is told already as it is', () => {
    const told = new BackupError('store.seal-failed', { recipient: 'age1' });
    expect(storageError(told, '/x')).toBe(told);
  });

  it('names what is no system error by its own name', () => {
    expect(storageError(new RangeError('x'), '/x').detail).toEqual({ path: '/x', errno: 'RangeError' });
    expect(storageError('x', '/x').detail).toEqual({ path: '/x', errno: 'unknown' });
  });
});
