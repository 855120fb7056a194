import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import type { Driver, Verdict } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { redactDisplay } from '../../src/pipeline/redact-display.ts';
import type { ChannelEnd } from '../../src/transport/channel.ts';
import { collect } from '../../src/transport/collect.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { fetchFile } from '../../src/transport/transfer.ts';
import { mask, read } from '../support/conformance-reading.ts';
import { loadCase } from '../support/devices/cases.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { Act, Script } from '../support/scripted-channel.ts';
import {
  asa,
  asaDriver,
  asaText,
  connectionTo,
  fortiDriver,
  type Play,
  play,
  requestFor,
} from '../transport/tiny.ts';

/* Sessions of devices that mean harm, each by its name. */

const drivers = await loadDrivers();
const realAsa = drivers.get('cisco_asa') as Driver;

/** Two contexts are listed by this one. */
function lister(listing: string, each = 'x\n'): Play {
  const driver: Driver = {
    ...asaDriver,
    commands: [
      { name: 'list', keep: 'facts', send: 'show context' },
      {
        name: 'part-{part}',
        keep: 'artefact',
        forEach: {
          over: 'list',
          items: (text) =>
            text
              .split('\n')
              .filter((line) => line !== '')
              .map((part) => ({ part })),
        },
        firstOf: [{ send: 'show {part}', restorable: 'yes', because: null }],
        wholeWhen: { atLeastLines: 1, proof: 'end-marker' },
      },
    ],
  };
  const shell = asa({ answers: { 'show context': listing } });
  return {
    driver,
    shell: {
      ...shell,
      typed: (text) => {
        const asked = /^show part\S*\n$/.exec(text);
        return asked === null ? shell.typed(text) : [`${text.trimEnd()}\r\n${each}`, '\rfw-asa# '];
      },
    },
  };
}

describe('a device that wants our passwords', () => {
  it('gets no enable password at a question in its banner, however long it waits there', async () => {
    for (const waitMs of [3_000, 8_000]) {
      const script = asa();
      const greeting: readonly Act[] = ['Welcome\r\nPassword: ', { waitMs }, '\r\n', ...script.greeting];
      const { typed, failure } = await play({ driver: asaDriver, shell: { ...script, greeting } });
      // After five seconds it is no banner any more, and the login is over.
      if (waitMs > 5_000) expect([failure?.code, ...typed]).toEqual(['login.prompt-unrecognised']);
      else expect(typed.slice(0, 2)).toEqual(['enable\n', 'enable-secret-1\n']);
    }
  });

  it('gets no login password by asking for a name where `enable` was typed', async () => {
    const script: Script = {
      greeting: ['fw-asa> '],
      typed: (text) => (text === 'enable\n' ? ['enable\r\nUsername: '] : ['\r\nPassword: ']),
    };
    const options = { elevate: 'enable' };
    const { typed, failure } = await play({ driver: realAsa, shell: script, device: { options } });
    expect(failure).toMatchObject({ code: 'login.prompt-unrecognised', detail: { lastLine: 'Username:' } });
    expect(typed).toEqual(['enable\n']);
  });

  it('gets no enable password by asking for one where `login` was typed', async () => {
    const script: Script = { greeting: ['fw-asa> '], typed: () => ['login\r\nPassword: '] };
    const options = { elevate: 'login' };
    const { typed, failure } = await play({ driver: realAsa, shell: script, device: { options } });
    expect(failure?.code).toBe('login.prompt-unrecognised');
    expect(typed).toEqual(['login\n']);
  });

  it('gets a password once, however often it asks', async () => {
    const script: Script = {
      greeting: ['fw-asa> '],
      typed: (text) => [text === 'enable\n' ? 'enable\r\nPassword: ' : '\r\nPassword: '],
    };
    const { typed } = await play({ driver: asaDriver, shell: script });
    expect(typed.filter((line) => line.startsWith('enable-secret'))).toHaveLength(1);
  });

  it('gets none in the middle of an answer', async () => {
    const answers = { 'show version': 'Version 9\nPassword: ' };
    const script = asa({ answers });
    const shell: Script = {
      ...script,
      typed: (text) =>
        text === 'show version\n' ? ['show version\r\nPassword: ', { waitMs: 20_000 }] : script.typed(text),
    };
    const { typed, failure } = await play({ driver: asaDriver, shell });
    expect(failure).toMatchObject({ code: 'collect.stalled', detail: { command: 'show version' } });
    expect(typed.at(-1)).toBe('show version\n');
  });
});

describe('a device that shows what it was told', () => {
  const loud = 'hunter2-L0gin';

  it('puts no credential of ours into git and into no fact, also inside of another word', async () => {
    const fixture = loadCase('cisco_asa', 'typical');
    const config = fixture.device.config.replace(
      /^hostname .*/m,
      `hostname x${loud}x\nbanner motd ask for ${loud}`,
    );
    expect(config).toContain(loud);
    const device = { ...fixture.device, password: loud, config, facts: { serial: loud, version: '9.1(2)' } };
    const { collected } = await read(realAsa, { ...fixture, device });
    // In memory there is no SSH login that would have read it.
    const reading = judge(realAsa, { ...collected, secrets: [...(collected.secrets ?? []), loud] }, mask);
    const { artefacts, ...told } = reading;
    expect(JSON.stringify(told)).not.toContain(loud);
    expect(artefacts.map(({ masked }) => masked).join('')).not.toContain(loud);
    expect(artefacts[0]?.exact).toContain(loud);
    expect(artefacts[0]?.masked).toMatch(/^hostname x<secret:[0-9a-f]{6}>x$/m);
  });

  it('has the secrets of the session handed on with what it said', async () => {
    const { collected } = await play({ driver: asaDriver, shell: asa() });
    expect(collected?.secrets).toEqual([Buffer.from('pässword-1').toString('latin1'), 'enable-secret-1']);
  });

  it.each([
    ['NUL', '\x00'],
    ['a backspace', '\b'],
    ['colours', '\x1b[1m'],
    ['a title', '\x1b]0;x\x07'],
    ['C1', '\x85'],
  ])('shows none in a transcript, where %s stands between the letters', async (_what, between) => {
    const echo = [...'enable-secret-1'].join(between);
    const answers = { 'show version': `${echo}\n`, 'more system:running-config': 'nothing\n' };
    const { transcript } = await play({ driver: asaDriver, shell: asa({ answers }) });
    const shown = transcript.render((text, beginsMidLine) =>
      redactDisplay(asaDriver, text, { beginsMidLine }),
    );
    expect(shown).toContain('«masked»');
    expect(shown).not.toContain('enable-secret-1');
  });
});

describe('a device that never ends', () => {
  it('gives ten gigabytes of one letter: the cap is reached, the rest is never taken', async () => {
    const clock = new FakeClock();
    const piece = 'a'.repeat(1 << 20);
    let sent = 0;
    let closed = false;
    let onData: ((text: string, source: 'stdout' | 'stderr') => void) | null = null;
    const pour = (): void => {
      if (closed || sent >= 10 * 1024) return;
      sent += 1;
      onData?.(piece, 'stdout');
      clock.after(0, pour);
    };
    const channel = {
      write: () => {},
      onData(listener: typeof onData) {
        onData = listener;
        clock.after(0, pour);
      },
      onEnd: (_listener: (end: ChannelEnd) => void) => {},
      pause: () => {},
      resume: () => {},
      close: () => {
        closed = true;
      },
    };
    const plan: Play = { driver: asaDriver };
    const transcript = createTranscript({ limitBytes: 1 << 20 });
    const connection = connectionTo(plan, clock, [], []);
    const open = { ...connection, shell: async () => channel, end: async () => channel.close() };
    // The login has a cap of its own, far smaller.
    const failure = await clock
      .until(collect(requestFor(plan, clock, transcript), async () => open))
      .catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'login.prompt-unrecognised' });
    expect(sent).toBeLessThan(4);
    expect(closed).toBe(true);
  });

  it('is cut at the largest artefact, and what was held is let go', async () => {
    const script = asa();
    let pieces = 0;
    const shell: Script = {
      ...script,
      typed: (text) => {
        if (text !== 'more system:running-config\n') return script.typed(text);
        return Array.from({ length: 400 }, () => {
          pieces += 1;
          return 'a'.repeat(100_000);
        });
      },
    };
    const maxBytes = 1 << 20;
    const { failure, transcript } = await play({ driver: asaDriver, shell, request: { maxBytes } });
    expect(failure).toMatchObject({ code: 'collect.too-large', detail: { limitBytes: maxBytes } });
    expect(pieces).toBe(400);
    expect(transcript.render(() => '').length).toBeLessThan(100_000);
  });

  it('gives one line of 100 megabytes: it is read once and is no configuration', async () => {
    const script = asa();
    const line = 'a'.repeat(100_000_000);
    const shell: Script = {
      ...script,
      typed: (text) =>
        text === 'more system:running-config\n'
          ? [`more system:running-config\r\n${line}\r\n`, '\rfw-asa# ']
          : script.typed(text),
    };
    const { collected } = await play({ driver: asaDriver, shell, request: { maxBytes: 1 << 27 } });
    const capture = collected?.captures.get('running-config');
    expect(capture?.text.length).toBe(line.length + 1);
    expect(() => judge(asaDriver, collected as NonNullable<typeof collected>, mask)).toThrow(BackupError);
  });

  it('draws its prompt behind every piece: what came is not read again for each of them', async () => {
    let readBytes = 0;
    const structure = (text: string): Verdict => {
      readBytes += text.length;
      return { whole: false, because: 'never' };
    };
    const driver: Driver = {
      ...asaDriver,
      commands: asaDriver.commands.map((command) =>
        command.keep === 'artefact'
          ? { ...command, wholeWhen: { atLeastLines: 1, structure, proof: 'end-marker' } }
          : command,
      ),
    };
    const script = asa();
    const piece = `${'a'.repeat(99)}\r\n`.repeat(2_000);
    const shell: Script = {
      ...script,
      typed: (text) =>
        text === 'more system:running-config\n'
          ? [
              `${text.trimEnd()}\r\n`,
              ...Array.from({ length: 100 }).flatMap((): Act[] => [
                `${piece}fw-asa# `,
                { waitMs: 200 },
                '\r\n',
              ]),
              '\rfw-asa# ',
            ]
          : script.typed(text),
    };
    const { collected } = await play({ driver, shell });
    const length = collected?.captures.get('running-config')?.text.length ?? 0;
    expect(length).toBeGreaterThan(19_000_000);
    // Looked at twice a look; without a limit it is a hundred times.
    expect(readBytes / length).toBeLessThan(16);
  });

  it('has contexts that are large one by one: together they are too large', async () => {
    const listing = Array.from({ length: 100 }, (_, index) => `part${index}\n`).join('');
    const plan = lister(listing, `${'a'.repeat(98)}\r\n`.repeat(90));
    const { failure, typed } = await play({ ...plan, request: { maxBytes: 10_000 } });
    expect(failure).toMatchObject({ code: 'collect.too-large', detail: { limitBytes: 40_000 } });
    expect(typed.filter((line) => line.startsWith('show part')).length).toBeLessThan(6);
  });

  it('lists ten thousand contexts: none is entered', async () => {
    const listing = Array.from({ length: 10_000 }, (_, index) => `part${index}\n`).join('');
    const { failure, typed } = await play(lister(listing));
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { reply: 'it names 10000 items, more than 512' },
    });
    expect(typed.some((line) => line.startsWith('show part'))).toBe(false);
  });
});

describe('a context with a name that is none', () => {
  it.each([
    ['a way up', '../../x; reload'],
    ['a line end', 'part\rreload'],
    ['an escape', 'part\x1b[2J'],
    ['a bidi override', 'part\xe2\x80\xae'],
    ['NUL', 'part\x00'],
    ['300 characters', `part${'x'.repeat(300)}`],
    ['a shell', 'part$(reload)'],
    ['a pipe', 'part|x'],
    ['characters that no file name holds as they are', `part${'@'.repeat(100)}`],
    ['our own password', 'part-enable-secret-1'],
  ])('%s is never typed, and what is said of it is harmless', async (_what, name) => {
    const { failure, typed } = await play(lister(`${name}\n`));
    expect(failure?.code).toBe('collect.command-refused');
    expect(typed.filter((line) => line.startsWith('show ')).slice(1)).toEqual([]);
    expect(JSON.stringify(failure?.detail)).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]|enable-secret/);
  });

  it('that differs from another one in case alone is another file, and a repeated one is refused', async () => {
    const twins = await play(lister('partA\nparta\n'));
    expect([...(twins.collected?.artefacts.keys() ?? [])]).toEqual(['part-partA', 'part-parta']);
    const twice = await play(lister('parta\nparta\n'));
    expect(twice.failure).toMatchObject({ detail: { reply: 'it names part-parta twice' } });
  });
});

describe('a prompt that is none', () => {
  it('in the answer to a question about the device never makes two answers of one', async () => {
    const fixture = loadCase('cisco_asa', 'typical');
    const { hostname } = fixture.device;
    for (const ms of [200, 1_000, 4_000, 8_000]) {
      const answers = { 'show failover': `Failover Off\n${hostname}# \nFailover unit Primary\n` };
      const device = { ...fixture.device, answers };
      const faults = { pauseAfter: { text: `${hostname}# `, ms } };
      const sound = await read(realAsa, fixture);
      const text = sound.collected.captures.get('running-config')?.text;
      const kept = await read(realAsa, { ...fixture, device }, { faults })
        .then(
          ({ collected }) => {
            judge(realAsa, collected, mask);
            return collected.captures.get('running-config')?.text;
          },
          (thrown: unknown) => thrown,
        )
        .catch((thrown: unknown) => thrown);
      if (!(kept instanceof BackupError)) expect(kept?.toString().length).toBe(text?.length);
    }
  });

  it('of another host is text', async () => {
    const answers = { 'show version': 'Version 9\nfw-evil# ' };
    const script = asa({ answers });
    const shell: Script = {
      ...script,
      typed: (text) =>
        text === 'show version\n'
          ? ['show version\r\nVersion 9\r\nfw-evil# ', { waitMs: 9_000 }, '\r\nrest\r\n\rfw-asa# ']
          : script.typed(text),
    };
    const { collected } = await play({ driver: asaDriver, shell });
    expect(collected?.captures.get('version')?.text).toBe('Version 9\nfw-evil# \nrest\n');
    expect(collected?.captures.get('running-config')?.text).toBe(asaText);
  });
});

describe('a file server that means harm', () => {
  it.each([
    ['does not say how large the file is', undefined],
    ['says that it is less than nothing', -1],
    ['says that it is no number', Number.NaN],
  ])('%s: nothing was read', async (_what, sizeBytes) => {
    const clock = new FakeClock();
    const reading = fetchFile('sftp', {
      connection: {
        exec: () => Promise.reject(new Error('no')),
        sftp: async () => ({
          sizeBytes: sizeBytes as number,
          read: async () => Buffer.alloc(0),
          close: () => {},
        }),
      },
      path: 'sys_config',
      name: 'running-config',
      limitBytes: 1_000,
      clock,
      signal: new AbortController().signal,
      idleMs: 1_000,
      mask: (text) => text,
      take: async () => {},
    });
    const failure = await clock.until(reading).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({
      code: 'verify.incomplete',
      detail: { because: 'the device does not tell how large the file is' },
    });
  });
});

describe('a FortiGate that means harm', () => {
  it('asks for a new password behind its disclaimer: nothing is typed there', async () => {
    const script: Script = {
      greeting: ["Terms\r\n(Press 'a' to accept): "],
      typed: () => ['\r\nNew Password: '],
    };
    const driver = drivers.get('fortinet_fortigate') as Driver;
    const { typed, failure } = await play({ driver, shell: script });
    expect(failure?.code).toBe('login.password-expired');
    expect(typed).toEqual(['a']);
    expect(fortiDriver.id).toBe('tiny_forti');
  });
});
