import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackupError, InvalidConfiguration, OperationError, UsageError } from '../../src/core/errors.ts';
import { decode, encode } from '../../src/http/wire.ts';
import { errorReceived, errorToSend } from '../../src/http/wire-errors.ts';

function roundTrip(value: unknown): unknown {
  return decode(JSON.parse(encode(value)));
}

const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.string({ unit: 'binary' }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value')),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((pairs) => new Map(pairs)),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$map', '$bytes', '$object', '$')), tie('value'), {
      noNullPrototype: true,
    }),
  ),
}));

describe('values on the wire', () => {
  it('arrive as they were sent', () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(roundTrip(value)).toStrictEqual(value);
      }),
    );
  });

  it('keep a Map, bytes and a key that begins with $ apart', () => {
    const value = {
      map: new Map([['a', Buffer.from([0, 0xe9, 0xff])]]),
      tag: { $bytes: 'not bytes', $map: [['x', 1]] },
    };
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it('keep every byte of a device as one character', () => {
    const text = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    expect(roundTrip(text)).toBe(text);
    expect(encode(text)).not.toContain('\n');
  });

  it('leave out what is undefined, and make null of it where it stands alone', () => {
    expect(roundTrip({ a: undefined, b: 1 })).toStrictEqual({ b: 1 });
    expect(roundTrip(undefined)).toBeNull();
  });

  it('take rows without a prototype', () => {
    expect(roundTrip(Object.assign(Object.create(null), { a: 1 }))).toStrictEqual({ a: 1 });
  });

  it.each([
    ['a Date', new Date(0)],
    ['NaN', Number.NaN],
    ['Infinity', [Number.POSITIVE_INFINITY]],
    ['a Set', { set: new Set() }],
    ['a function', () => {}],
    ['a bigint', 1n],
    ['a Uint8Array that is no Buffer', new Uint8Array(1)],
  ])('refuse %s rather than change it', (_what, value) => {
    expect(() => encode(value)).toThrow(TypeError);
  });

  it('refuse what is nested without end', () => {
    const nested = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    expect(() => decode(nested)).toThrow('nested too deeply');
    expect(() => encode(nested)).toThrow('nested too deeply');
  });

  it.each([
    { $map: 'x' },
    { $map: [[1]] },
    { $map: [], other: 1 },
    { $bytes: 'a' },
    { $bytes: '%%%%' },
    { $bytes: 5 },
    { $object: [] },
    { $nothing: 1 },
  ])('refuse a misused tag: %j', (parsed) => {
    expect(() => decode(parsed)).toThrow(TypeError);
  });

  it('cannot reach the prototype of anything', () => {
    const decoded = decode(JSON.parse('{"$object": {"__proto__": {"polluted": true}}}')) as object;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });
});

describe('errors on the wire', () => {
  it.each([
    new OperationError('it did not work', 'try again'),
    new UsageError('so it cannot work', 'say it otherwise'),
    new InvalidConfiguration([
      { file: 'devices.yaml', path: 'devices[2].platform', line: 4, message: 'is unknown', nearest: null },
    ]),
    new BackupError('connect.host-key-changed', { expected: 'SHA256:a', presented: 'SHA256:b' }),
  ])('$name comes back in its own class, with all that it says', (error) => {
    const back = errorReceived(roundTrip(errorToSend(error)));
    expect(back).toBeInstanceOf(error.constructor);
    expect(Object.entries(back)).toEqual(Object.entries(error));
    expect(back.message).toBe(error.message);
  });

  it('a defect comes as bug.unexpected, with its message and without its stack', () => {
    const sent = encode(errorToSend(new RangeError('out of bounds')));
    expect(sent).toContain('RangeError: out of bounds');
    expect(sent).not.toContain('wire.test');
    expect(errorReceived(JSON.parse(sent))).toMatchObject({ code: 'bug.unexpected' });
  });

  it('what is no error is refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(() => errorReceived(value)).toThrow(TypeError);
      }),
      { numRuns: 50 },
    );
    expect(() => errorReceived({ name: 'BackupError', message: 'x' })).toThrow(TypeError);
  });
});
