import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import type { ArchiveCommand, Driver } from '../../src/drivers/driver.ts';
import type { ArchiveOrder, ArchiveResult } from '../../src/transport/collect.ts';
import type { Act, Script } from '../support/scripted-channel.ts';
import { bigipDriver, type Play, type Played, play, ucs } from './tiny.ts';

/* What the device makes for us: made, proven, fetched, removed; and what never fails of it is the text. */

const driver: Driver = { ...bigipDriver, commands: [...bigipDriver.commands, ucs] };

const content = Buffer.from('\x1f\x8b\x08\0 an archive \xff'.repeat(5_000), 'latin1');
const digest = createHash('sha256').update(content).digest('hex');
const passphrase = 'c4n4ry-p4ssphr4se';

const ok: Act = { end: { exitStatus: 0 } };
const text = 'ltm node a {\n}\n';
const usual: Readonly<Record<string, readonly Act[]>> = {
  "tmsh -q -c 'show sys version'": ['Sys::Version\nProduct BIG-IP\n', ok],
  "tmsh -q -c 'cd /; list recursive'": [text, ok],
  'rm -f /var/a.ucs': [ok],
  'save ucs a.ucs': ['Saving active configuration...\n/var/a.ucs is saved.\n', ok],
  [`save ucs a.ucs passphrase ${passphrase}`]: ['/var/a.ucs is saved.\n', ok],
};

interface Made extends Played {
  readonly result: ArchiveResult | undefined;
  readonly written: Buffer;
}

/** `acts` by command line; the digest is told once by the first and then by the second of its acts. */
async function make(
  acts: Readonly<Record<string, readonly Act[]>> = {},
  more: Partial<Play> & {
    order?: Partial<ArchiveOrder>;
    digests?: readonly (readonly Act[])[];
    content?: Buffer;
  } = {},
): Promise<Made> {
  const written: Buffer[] = [];
  const order: ArchiveOrder = {
    name: 'ucs',
    passphrase: null,
    sink: {
      async write(chunk) {
        written.push(Buffer.from(chunk));
      },
    },
    ...more.order,
  };
  const gone: readonly Act[] = [
    { stderr: 'sha256sum: /var/a.ucs: No such file\n' },
    { end: { exitStatus: 1 } },
  ];
  const digests = more.digests ?? [[`${digest}  /var/a.ucs\n`, ok], gone];
  let told = 0;
  const exec = (line: string): Script => {
    const greeting =
      line === ucs.digest
        ? (digests[Math.min(told++, digests.length - 1)] ?? [])
        : (acts[line] ?? usual[line]);
    return {
      greeting: greeting ?? [{ stderr: 'not found\n' }, { end: { exitStatus: 127 } }],
      typed: () => [],
    };
  };
  const played = await play({
    driver,
    exec,
    files: { '/var/a.ucs': more.content ?? content },
    ...more,
    request: { archives: [order], ...more.request },
  });
  return { ...played, result: played.collected?.archives.get('ucs'), written: Buffer.concat(written) };
}

const textIsThere = ({ collected, failure }: Played): void => {
  expect(failure).toBeNull();
  expect(collected?.captures.get('running-config')?.text).toBe(text);
};

describe('an archive', () => {
  it('is made after the text, compared with the digest of the device, and removed before and after', async () => {
    const made = await make();
    textIsThere(made);
    expect(made.result).toEqual({ digest, bytes: content.length });
    expect(made.written.equals(content)).toBe(true);
    expect(made.executed).toEqual([
      "tmsh -q -c 'show sys version'",
      "tmsh -q -c 'cd /; list recursive'",
      'rm -f /var/a.ucs',
      'save ucs a.ucs',
      'sha256sum /var/a.ucs',
      'sftp /var/a.ucs',
      'rm -f /var/a.ucs',
      'sha256sum /var/a.ucs',
    ]);
    expect(made.collected?.captures.has('ucs')).toBe(false);
  });

  it('is not made where none is due', async () => {
    const { executed, collected } = await make({}, { request: { archives: [] } });
    expect(executed).toHaveLength(2);
    expect(collected?.archives.size).toBe(0);
  });

  it('of an earlier session that was cut off is removed, and nothing is made', async () => {
    const made = await make(
      {},
      { order: { sink: null }, digests: [[{ stderr: 'No such file\n' }, { end: { exitStatus: 1 } }]] },
    );
    expect(made.executed.slice(2)).toEqual(['rm -f /var/a.ucs', 'sha256sum /var/a.ucs']);
    expect(made.result).toBeUndefined();
  });

  it('is not made where the text failed', async () => {
    const { failure, executed } = await make({
      "tmsh -q -c 'cd /; list recursive'": [{ end: { exitStatus: 1 } }],
    });
    expect(failure).toMatchObject({ code: 'collect.command-refused' });
    expect(executed).toHaveLength(2);
  });

  it('what was refused while removing is no failure', async () => {
    const made = await make({
      'rm -f /var/a.ucs': [{ stderr: 'no such file\n' }, { end: { exitStatus: 1 } }],
    });
    expect(made.result).toEqual({ digest, bytes: content.length });
  });

  it('said to be made on the other output is made', async () => {
    const made = await make({ 'save ucs a.ucs': [{ stderr: '/var/a.ucs is saved.\n' }, ok] });
    expect(made.result).toEqual({ digest, bytes: content.length });
  });

  it('takes ten minutes of silence to be made, whatever the device is allowed otherwise', async () => {
    const made = await make({
      'save ucs a.ucs': [
        'Saving active configuration...\n',
        { waitMs: 590_000 },
        '/var/a.ucs is saved.\n',
        ok,
      ],
    });
    expect(made.result).toEqual({ digest, bytes: content.length });
  });
});

describe('the passphrase', () => {
  const order = { passphrase: { literal: passphrase } };

  it('is typed, and is neither in the transcript nor in a result', async () => {
    const made = await make({}, { order });
    expect(made.result).toEqual({ digest, bytes: content.length });
    expect(made.executed).toContain(`save ucs a.ucs passphrase ${passphrase}`);
    expect(made.executed).not.toContain('save ucs a.ucs');
    const shown = made.transcript.render((one) => one);
    expect(shown).toContain('save ucs a.ucs passphrase «masked»');
    expect(shown).not.toContain(passphrase);
  });

  it('is in no failure either, whether the device repeats it or we do', async () => {
    const line = `save ucs a.ucs passphrase ${passphrase}`;
    for (const acts of [
      [{ stderr: `Syntax Error: "${passphrase}" is weak\n` }, { end: { exitStatus: 1 } }],
      ['Saving'],
      [{ end: { connectionLost: true } }],
      [`odd: ${passphrase}\n`, ok],
    ] as readonly (readonly Act[])[]) {
      const made = await make({ [line]: acts }, { order });
      textIsThere(made);
      expect(made.result).toMatchObject({ code: 'collect.archive-failed', detail: { step: 'make' } });
      expect(JSON.stringify(made.result)).not.toContain(passphrase);
      expect(made.transcript.render((one) => one)).not.toContain(passphrase);
    }
  });

  it.each([
    'a b c d',
    "it's me",
    'a;reboot',
    '$(reboot)',
    '`reboot`',
    '-rf12',
    'abc',
    'a\nreboot',
    'pässword',
    '',
  ])('with what a shell could take for something else it is never typed: %j', async (literal) => {
    const made = await make({}, { order: { passphrase: { literal } } });
    textIsThere(made);
    expect(made.result).toMatchObject({
      code: 'inventory.secret-unavailable',
      detail: { setting: 'devices.fw1.options.ucs.passphrase' },
    });
    expect(made.executed).toHaveLength(2);
  });

  it('that cannot be read fails the archive alone', async () => {
    const unavailable = new BackupError('inventory.secret-unavailable', {
      reference: 'env X',
      problem: 'not set',
    });
    const made = await make(
      {},
      {
        order: { passphrase: { env: 'X' } },
        request: {
          readSecret: async (ref) => {
            if ('env' in ref) throw unavailable;
            return 'literal' in ref ? ref.literal : '';
          },
        },
      },
    );
    textIsThere(made);
    expect(made.result).toEqual({ code: unavailable.code, detail: unavailable.detail });
  });
});

describe('a failure of an archive', () => {
  const failedAt = (made: Made, step: string, reply: unknown = expect.any(String)) => {
    textIsThere(made);
    expect(made.result).toEqual({ code: 'collect.archive-failed', detail: { archive: 'ucs', step, reply } });
  };
  const removedAtTheEnd = ({ executed }: Made) =>
    expect(executed.slice(-2)).toEqual(['rm -f /var/a.ucs', 'sha256sum /var/a.ucs']);

  it('to be made leaves the text as it is, and is removed all the same', async () => {
    const refused = await make({
      'save ucs a.ucs': [{ stderr: 'No space left on device\n' }, { end: { exitStatus: 1 } }],
    });
    failedAt(refused, 'make', 'exit status 1: No space left on device');
    removedAtTheEnd(refused);
    const unsaid = await make({ 'save ucs a.ucs': ['Saving...\nsomething else\n', ok] });
    failedAt(unsaid, 'make', 'something else');
    removedAtTheEnd(unsaid);
  });

  it('by silence is one too, and its file is removed on another channel', async () => {
    const made = await make({ 'save ucs a.ucs': ['Saving active configuration...\n'] });
    failedAt(made, 'make');
    removedAtTheEnd(made);
    expect(made.tookMs).toBeGreaterThan(600_000);
  });

  it('to tell the digest', async () => {
    const made = await make({}, { digests: [['no digest here\n', ok]] });
    failedAt(made, 'digest', 'no digest here');
    removedAtTheEnd(made);
    failedAt(await make({}, { digests: [[`${'0'.repeat(65)}\n`, ok]] }), 'digest');
  });

  it('to be fetched', async () => {
    const made = await make({}, { files: {} });
    failedAt(made, 'fetch', 'the device refused "sftp /var/a.ucs": "No such file"');
    removedAtTheEnd(made);
  });

  it('because what arrived is something else', async () => {
    const made = await make({}, { content: Buffer.from('something else') });
    // Neither digest: what is told here is stored, and nothing stored lets guesses of clear text be tried.
    failedAt(made, 'compare', 'what arrived has another SHA-256 than the file on the device');
    removedAtTheEnd(made);
  });

  it('because it is still there after it was removed', async () => {
    const made = await make({}, { digests: [[`${digest}  /var/a.ucs\n`, ok]] });
    failedAt(made, 'remove', 'it is still there after it was removed');
  });

  it('of the place where it is kept is told as what it is, and the device is cleared', async () => {
    const full = new BackupError('store.disk-full', { path: '/var/lib/roundsman', freeBytes: 0 });
    const made = await make({}, { order: { sink: { write: () => Promise.reject(full) } } });
    textIsThere(made);
    expect(made.result).toEqual({
      code: 'store.disk-full',
      detail: { path: '/var/lib/roundsman', freeBytes: 0 },
    });
    removedAtTheEnd(made);
  });

  it('by a name that the platform does not know', async () => {
    const sink = { write: async () => {} };
    const unknown = await make({}, { request: { archives: [{ name: 'scf', passphrase: null, sink }] } });
    textIsThere(unknown);
    expect(unknown.collected?.archives.get('scf')).toMatchObject({ code: 'collect.archive-failed' });
  });

  it('of one leaves the next as it is', async () => {
    const other: ArchiveCommand = { ...ucs, name: 'other', makeOpen: 'save other' };
    const sink = { write: async () => {} };
    const archives = ['other', 'ucs'].map((name) => ({ name, passphrase: null, sink }));
    const made = await make(
      {},
      {
        driver: { ...driver, commands: [...driver.commands, other] },
        digests: [[{ end: { exitStatus: 1 } }], [`${digest}  x\n`, ok], [{ end: { exitStatus: 1 } }]],
        request: { archives },
      },
    );
    textIsThere(made);
    expect(made.collected?.archives.get('other')).toMatchObject({ detail: { step: 'make' } });
    expect(made.result).toEqual({ digest, bytes: content.length });
  });

  it('the time of the whole run being over, the text is kept', async () => {
    const made = await make({ 'save ucs a.ucs': ['Saving'] }, { device: { maxRuntimeMs: 300_000 } });
    failedAt(made, 'make');
  });

  it('an abort by a signal ends the whole run', async () => {
    const stop = new AbortController();
    const made = await make(
      { 'save ucs a.ucs': ['Saving'] },
      { request: { signal: stop.signal }, arrange: (clock) => clock.after(120_000, () => stop.abort()) },
    );
    expect(made.failure).toMatchObject({ code: 'run.interrupted' });
    expect(made.collected).toBeNull();
  });
});
