import { describe, expect, it } from 'vitest';
import type { Verified } from '../../src/cli/services.ts';
import { call, nowMs } from './fake-services.ts';

const clean: Verified = {
  commits: 2,
  main: 'c0ffee'.padEnd(40, '0'),
  chain: { length: 12, head: 'c4a1'.padEnd(64, '0') },
  sealedFiles: 2,
  findings: [],
  counts: new Map(),
  accepted: [],
  notes: [],
  fingerprint: 'f1',
};

const red: Verified = {
  ...clean,
  findings: [
    {
      kind: 'chain.changed',
      where: 'record 4',
      what: 'does not follow \u001b[2Jfrom record 3',
      sinceMs: nowMs,
      todo: 'see',
    },
    { kind: 'row.gone', where: 'run r1', what: 'is gone', sinceMs: null, todo: 'see' },
  ],
  counts: new Map([
    ['chain.changed', 1],
    ['row.gone', 7],
  ]),
  notes: ['a note'],
};

const verify = () => Promise.resolve(red);

describe('verify', () => {
  it('ends with 0 where all is well, and with 1 and the words that monitoring looks for where it is not', async () => {
    const well = await call(['verify']);
    expect([well.exitCode, well.stderr]).toEqual([0, '']);
    expect(well.stdout).toContain('clean: everything is as it was recorded');

    const found = await call(['verify'], { services: { verify } });
    expect([found.exitCode, found.stderr]).toEqual([1, 'verify failed: 8 findings\n']);
    expect(found.stdout).toContain('chain.changed: record 4, 2026-03-01T02:00:00Z or later');
    expect(found.stdout).toContain('row.gone: and 6 more');
    expect(found.stdout).not.toContain('\u001b');
  });

  it('prints with --json what docs/cli-json.md lists', async () => {
    const { stdout, exitCode } = await call(['verify', '--json'], { services: { verify } });
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(exitCode).toBe(1);
    expect(Object.keys(document)).toEqual([
      ...[
        'clean',
        'commits',
        'main',
        'chain',
        'sealed_files',
        'findings',
        'counts',
        'accepted',
        'accepted_now',
        'notes',
      ],
    ]);
    expect(document).toMatchObject({ clean: false, counts: { 'row.gone': 7 }, accepted_now: 0 });
  });

  it('hands an anchor on, and refuses what is none', async () => {
    const told: unknown[] = [];
    const services = {
      verify: (anchor: unknown) => {
        told.push(anchor);
        return Promise.resolve(clean);
      },
    };
    await call(['verify', '--anchor', `7:${'AB'.repeat(32)}`], { services });
    expect(told).toEqual([{ record: 7, hash: 'ab'.repeat(32) }]);
    for (const wrong of ['7', '0:ab', `-1:${'ab'.repeat(32)}`])
      expect((await call(['verify', '--anchor', wrong], { services })).exitCode).toBe(2);
  });

  it('accepts what was shown, after a question, with the reason', async () => {
    const accepted: unknown[] = [];
    const services = {
      verify,
      acceptBreak: (accept: unknown) => {
        accepted.push(accept);
        return Promise.resolve(8);
      },
    };
    const no = await call(['verify', '--accept-break', 'ticket 815'], { services, tty: 100, answer: 'n\n' });
    expect([no.exitCode, accepted]).toEqual([1, []]);
    expect(no.stdout).toContain('record 4');
    const yes = await call(['verify', '--accept-break', 'ticket 815'], { services, tty: 100, answer: 'y\n' });
    expect([yes.exitCode, accepted]).toEqual([0, [{ because: 'ticket 815', fingerprint: 'f1' }]]);
    const json = await call(['verify', '--accept-break', 'x', '--yes', '--json'], { services });
    expect(JSON.parse(json.stdout)).toMatchObject({ clean: false, accepted_now: 8 });
    expect(json.exitCode).toBe(0);
  });

  it.each([
    [['--accept-break', ' '], 'needs a reason'],
    [['--accept-break', 'x', '--anchor', `7:${'ab'.repeat(32)}`], 'do not go together'],
    [['--accept-break', 'x', '--json'], 'cannot ask'],
  ])('refuses %j', async (args, says) => {
    const { exitCode, stderr } = await call(['verify', ...args], { services: { verify } });
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(says)]);
  });

  it('with nothing to accept, accepts nothing', async () => {
    const services = { acceptBreak: () => Promise.reject(new Error('asked')) };
    expect((await call(['verify', '--accept-break', 'x', '--yes'], { services })).exitCode).toBe(0);
  });
});
