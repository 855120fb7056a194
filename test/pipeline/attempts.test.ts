import { expect, it } from 'vitest';
import { catalogue } from '../../src/core/catalogue.ts';
import { BackupError, type ErrorCode, type Failure, failureOf } from '../../src/core/errors.ts';
import { mayTryAgain, withAttempts } from '../../src/pipeline/attempts.ts';
import { FakeClock } from '../support/fake-clock.ts';

const timeout = () => new BackupError('connect.timeout', { host: 'fw1', port: 22, afterMs: 15_000 });

function setup(over: { readonly maxRuntimeMs?: number; readonly random?: number } = {}) {
  const clock = new FakeClock();
  const told: (number | null)[] = [];
  const stop = new AbortController();
  const options = {
    clock,
    random: () => over.random ?? 0.5,
    maxRuntimeMs: over.maxRuntimeMs ?? 1_800_000,
    signal: stop.signal,
    onFailed: (_: Failure, againInMs: number | null) => told.push(againInMs),
  };
  return { clock, told, stop, options };
}

it('a failure that may pass soon is tried again, after waits that grow at random', async () => {
  const { clock, told, options } = setup();
  const numbers: number[] = [];
  const run = withAttempts(options, async ({ number }) => {
    numbers.push(number);
    if (number < 3) throw timeout();
    return 'read';
  });
  expect(await clock.until(run)).toBe('read');
  expect(numbers).toEqual([1, 2, 3]);
  expect(told).toEqual([2_500, 5_000]);
});

it('the last failure is the one that is told, and nothing is tried for ever', async () => {
  const { clock, told, options } = setup();
  let tries = 0;
  const run = withAttempts(options, async () => {
    tries++;
    throw timeout();
  });
  await expect(clock.until(run)).rejects.toMatchObject({ code: 'connect.timeout' });
  expect(tries).toBe(3);
  expect(told).toEqual([2_500, 5_000, null]);
});

it('no attempt begins past max_runtime, and each knows what is left of it', async () => {
  const { clock, options } = setup({ maxRuntimeMs: 10_000, random: 0.9 });
  const left: number[] = [];
  const run = withAttempts(options, async ({ leftMs }) => {
    left.push(leftMs);
    await new Promise<void>((resolve) => clock.after(4_000, resolve));
    throw timeout();
  });
  await expect(clock.until(run)).rejects.toMatchObject({ code: 'connect.timeout' });
  expect(left).toEqual([10_000, 1_500]);
});

it('an attempt that was cut off by max_runtime names the limit of the run, not what was left', async () => {
  const { clock, options } = setup({ maxRuntimeMs: 60_000, random: 0 });
  const run = withAttempts(options, async ({ number, leftMs }) => {
    await new Promise<void>((resolve) => clock.after(20_000, resolve));
    throw number === 1 ? timeout() : new BackupError('collect.too-long', { limitMs: leftMs });
  });
  await expect(clock.until(run)).rejects.toMatchObject({ detail: { limitMs: 60_000 } });
});

it('an attempt that waits for something else than the device ends at the limit too', async () => {
  const { clock, options } = setup({ maxRuntimeMs: 60_000 });
  const run = withAttempts(
    options,
    ({ signal }) =>
      new Promise((_, reject) => {
        const interrupted = () => reject(new BackupError('run.interrupted', { by: 'signal' }));
        signal.addEventListener('abort', interrupted, { once: true });
      }),
  );
  await expect(clock.until(run)).rejects.toMatchObject({
    code: 'collect.too-long',
    detail: { limitMs: 60_000 },
  });
  expect(clock.pending).toBe(0);
});

it('an abort ends the wait', async () => {
  const { clock, stop, options } = setup();
  const run = withAttempts(options, async () => {
    throw timeout();
  });
  const outcome = run.catch(failureOf);
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  expect(await outcome).toMatchObject({ code: 'run.interrupted' });
  expect(clock.pending).toBe(0);
});

it('a bug of ours is not tried again', async () => {
  const { clock, told, options } = setup();
  const run = withAttempts(options, async () => {
    throw new TypeError('undefined is not a function');
  });
  await expect(clock.until(run)).rejects.toThrow(TypeError);
  expect(told).toEqual([null]);
});

it.each(Object.keys(catalogue) as ErrorCode[])(
  '%s is tried again only where the catalogue says soon',
  (code) => {
    const soon = catalogue[code].retry === 'soon' && !code.startsWith('login.');
    expect(mayTryAgain({ code, detail: { code } } as unknown as Failure)).toBe(soon);
    const atJumpHost = { code: 'connect.jump', detail: { hop: 'bastion', code } } as unknown as Failure;
    expect(mayTryAgain(atJumpHost)).toBe(soon);
  },
);

it('a jump host that passes nothing on is not asked again in the same run', () => {
  const failure = { code: 'connect.jump', detail: { code: 'not-forwarded' } } as unknown as Failure;
  expect(mayTryAgain(failure)).toBe(false);
});

it('nothing is tried again after a credential was sent that the device may have refused', () => {
  const lost = (detail: { afterMs: number; credentialSent?: true }): Failure => ({
    code: 'connect.lost-before-login',
    detail,
  });
  expect(mayTryAgain(lost({ afterMs: 1 }))).toBe(true);
  expect(mayTryAgain(lost({ afterMs: 1, credentialSent: true }))).toBe(false);
  const atJumpHost = { code: 'connect.lost-before-login', credentialSent: true };
  expect(mayTryAgain({ code: 'connect.jump', detail: atJumpHost } as unknown as Failure)).toBe(false);
});
