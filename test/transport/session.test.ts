import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ShellDialogue } from '../../src/drivers/driver.ts';
import {
  type Act,
  allAtOnceByByte,
  byByte,
  byLine,
  inPieces,
  type Script,
  whole,
} from '../support/scripted-channel.ts';
import {
  asa,
  asaDriver,
  asaText,
  bigipDriver,
  deviceOf,
  forti,
  fortiDriver,
  fortiText,
  play,
} from './tiny.ts';

const feeds = { whole, 'by line': byLine, 'byte by byte': byByte };

describe('whatever way the bytes arrive', () => {
  for (const [name, feed] of Object.entries(feeds)) {
    it(`an ASA gives its exact text, delivered ${name}`, async () => {
      const { collected, failure } = await play({ driver: asaDriver, shell: asa(), feed });
      expect(failure).toBeNull();
      expect(collected?.captures.get('running-config')?.text).toBe(asaText);
    });
    it(`a FortiGate gives its exact text through its pager, delivered ${name}`, async () => {
      const { collected, failure } = await play({ driver: fortiDriver, shell: forti(), feed });
      expect(failure).toBeNull();
      expect(collected?.captures.get('running-config')?.text).toBe(fortiText);
      expect(collected?.captures.get('status')?.text).toBe(
        'Version: FortiGate-60F v7.2.8\nHostname: fw-fgt\n',
      );
    });
  }

  it('both give the same in pieces of any size, with pauses longer than a prompt has to be quiet', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.constantFrom(5, 60, 400),
        fc.integer({ min: 1, max: 9 }),
        async (seed, longestMs, pageLines) => {
          const feed = inPieces(seed, longestMs);
          const a = await play({ driver: asaDriver, shell: asa(), feed });
          expect(a.failure).toBeNull();
          expect(a.collected?.captures.get('running-config')?.text).toBe(asaText);
          const f = await play({ driver: fortiDriver, shell: forti({ pageLines }), feed });
          expect(f.failure).toBeNull();
          expect(f.collected?.captures.get('running-config')?.text).toBe(fortiText);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('cut at any byte', () => {
  const total = async (driver: typeof asaDriver, shell: () => Script) => {
    const { transcript } = await play({ driver, shell: shell() });
    return transcript.render((text) => text).length;
  };
  for (const [name, driver, shell] of [
    ['an ASA', asaDriver, asa],
    ['a FortiGate', fortiDriver, forti],
  ] as const) {
    it(`${name} never passes for read, and the code tells where it was cut`, async () => {
      // Rendered text is longer than what was sent: the last cuts do not happen.
      const limit = await total(driver, shell);
      let complete = 0;
      for (let cut = 0; cut < limit; cut += 1) {
        const { collected, failure, ended, clock } = await play({
          driver,
          shell: shell(),
          cutAfterBytes: cut,
        });
        expect(ended).toBe(1);
        if (failure === null) complete += 1;
        else expect(['connect.lost-before-login', 'collect.connection-lost']).toContain(failure.code);
        // Only the answer to the last word, which nobody waits for, may be missing.
        if (collected !== null) expect(collected.captures.get('running-config')?.text).toMatch(/end\n$/);
        expect(clock.pending).toBeLessThan(5);
      }
      expect(complete).toBeGreaterThan(0);
      expect(complete).toBeLessThan(limit / 2);
    });
  }

  it('counts what was received of the answer', async () => {
    const { failure } = await play({
      driver: fortiDriver,
      shell: {
        ...forti(),
        typed: () => ['get system status\r\r\nVersion', { end: { connectionLost: true } }],
      },
    });
    expect(failure).toMatchObject({
      code: 'collect.connection-lost',
      detail: { command: 'get system status', receivedBytes: 27 },
    });
  });
});

/** A FortiGate whose `show` is answered by `acts`. */
function showing(acts: readonly Act[], rest: (text: string) => readonly Act[] = () => []): Script {
  const device = forti();
  let shown = false;
  return {
    ...device,
    typed(text) {
      if (text === 'show\n') {
        shown = true;
        return acts;
      }
      return shown && text !== 'exit\n' ? rest(text) : device.typed(text);
    },
  };
}
const textOf = (played: Awaited<ReturnType<typeof play>>) =>
  played.collected?.captures.get('running-config')?.text;

describe('prompts', () => {
  it('a prompt in a comment is text, also where the stream pauses just there', async () => {
    const text = '#config\nconfig x\n    set comment "see\nfw-fgt # \nhere"\nend\n';
    const [before, after] = text.split(/(?<=fw-fgt # )/) as [string, string];
    const crlf = (part: string) => part.replaceAll('\n', '\r\n');
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n', crlf(before), { waitMs: 4_000 }, crlf(after), '\r\nfw-fgt # ']),
    });
    expect(played.failure).toBeNull();
    expect(textOf(played)).toBe(text);
  });

  it('an old prompt, drawn again before the echo, ends no answer', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: showing([
        '\r\nfw-fgt # ',
        { waitMs: 900 },
        'show\r\r\n#config\r\nconfig x\r\nend\r\n\r\nfw-fgt # ',
      ]),
    });
    expect(textOf(played)).toBe('#config\nconfig x\nend\n');
  });

  it('an old prompt, drawn again after enable was typed, is not the refusal of enable', async () => {
    const device = asa();
    const { failure } = await play({
      driver: asaDriver,
      shell: {
        ...device,
        typed: (text) =>
          text === 'enable\n' ? ['\rfw-asa> ', { waitMs: 1_000 }, ...device.typed(text)] : device.typed(text),
      },
    });
    expect(failure).toBeNull();
  });

  it('the prompt of another host is text', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\nfw-other # ', { waitMs: 10_000 }, '\r\nend\r\n\r\nfw-fgt # ']),
    });
    expect(textOf(played)).toBe('#config\nfw-other # \nend\n');
  });

  it('a prompt may change its state in the session', async () => {
    const prompts = ['fw-asa/pri/act', 'fw-asa/pri/act', 'fw-asa/pri/stby', 'fw-asa/pri/stby'];
    const { failure } = await play({ driver: asaDriver, shell: asa({ prompts }) });
    expect(failure).toBeNull();
  });

  it('a long name that is cut is the same host', async () => {
    const device = forti({ prompt: 'branch-office-berlin # ' });
    const { failure } = await play({
      driver: fortiDriver,
      shell: {
        ...device,
        typed: (text) =>
          device
            .typed(text)
            .map((act) =>
              typeof act === 'string' ? act.replace(/branch-office-berlin # $/, 'branch-offi~ # ') : act,
            ),
      },
    });
    expect(failure).toBeNull();
  });

  it('without an echo a prompt is believed after a longer quiet only', async () => {
    const fast = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\nconfig x\r\nend\r\n\r\nfw-fgt # ']),
    });
    const slow = await play({
      driver: fortiDriver,
      shell: showing(['#config\r\nconfig x\r\nend\r\n\r\nfw-fgt # ']),
    });
    expect(textOf(slow)).toBe('#config\nconfig x\nend\n');
    expect(slow.tookMs - fast.tookMs).toBeGreaterThan(4_000);
  });

  it('an output that stops half-way and returns to the prompt is handed on as it is', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\nconfig x\r\n\r\nfw-fgt # ']),
    });
    expect(textOf(played)).toBe('#config\nconfig x\n');
  });

  it('an answer of nothing is an empty text', async () => {
    const played = await play({ driver: fortiDriver, shell: showing(['show\r\r\n\r\nfw-fgt # ']) });
    expect(textOf(played)).toBe('');
  });

  it('a session that falls out of its mode ends, and nothing more is typed', async () => {
    const device = asa();
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: {
        ...device,
        typed: (text) => (text === 'show version\n' ? ['show version\r\n\rfw-asa> '] : device.typed(text)),
      },
    });
    expect(failure).toMatchObject({
      code: 'login.prompt-unrecognised',
      detail: { lastLine: 'fw-asa>', expected: ['privileged'] },
    });
    expect(typed.at(-1)).toBe('show version\n');
  });

  it('a limited prompt makes the copy partial', async () => {
    const { collected } = await play({ driver: fortiDriver, shell: forti({ prompt: 'fw-fgt $ ' }) });
    expect(collected?.restorable.get('running-config')).toEqual({
      is: 'partial',
      because: 'the account is limited',
    });
  });
});

describe('pagers', () => {
  const erasures = {
    'blanks between CRs': '\r         \r',
    'backspaces and blanks': '\b\b\b\b\b\b\b\b\b         \b\b\b\b\b\b\b\b\b',
    'backspace, blank, backspace': '\b \b'.repeat(9),
    'an ANSI erase': '\r\x1b[K',
    'an ANSI erase of the line': '\x1b[2K\r',
  };
  for (const [name, erase] of Object.entries(erasures)) {
    it(`leaves no trace of one that is erased by ${name}`, async () => {
      const played = await play({ driver: fortiDriver, shell: forti({ erase, pageLines: 2 }), feed: byByte });
      expect(textOf(played)).toBe(fortiText);
    });
  }

  it('a pager in reverse video goes with its colours', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: forti({ marker: '\x1b[7m--More-- \x1b[m', erase: '\r\x1b[K' }),
    });
    expect(textOf(played)).toBe(fortiText);
  });

  it('a pager in reverse video leaves no trace wherever pieces end, also within a colour', async () => {
    const shell = () => forti({ marker: '\x1b[7m--More-- \x1b[m', erase: '\r\x1b[K', pageLines: 2 });
    for (let seed = 0; seed < 60; seed++) {
      const played = await play({ driver: fortiDriver, shell: shell(), feed: inPieces(seed, 400) });
      expect(textOf(played)).toBe(fortiText);
    }
  });

  it('the words of a pager in a comment stay, also where the stream pauses just there', async () => {
    const text = '#config\nset comment "--More-- is what it says"\nset a "\nx --More-- \n"\nend\n';
    const [before, after] = text.split(/(?<=x --More-- )/) as [string, string];
    const crlf = (part: string) => part.replaceAll('\n', '\r\n');
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n', crlf(before), { waitMs: 300 }, crlf(after), '\r\nfw-fgt # ']),
    });
    expect(played.typed).toContain(' ');
    expect(textOf(played)).toBe(text);
  });

  /** Words of pagers on lines of their own, in lines, at their ends, and next to each other. */
  const commented = [
    ...['#config', 'config a', '--More-- ', 'set comment "', '--More-- ', '--More--', 'x --More-- ', '"'],
    ...['end', 'config b', 'set c "--More-- d"', '', '--More-- ', '"', 'end', ''],
  ].join('\n');

  it('the words of a pager in comments stay wherever pieces end, and keys that they drew do no harm', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.constantFrom(0, 3, 60),
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(...Object.values(erasures)),
        fc.boolean(),
        async (seed, longestMs, lines, erase, paged) => {
          // Without a single pager a pause of a quiet moment, just there, cannot be told from one.
          const pageLines = paged || longestMs > 40 ? lines : 99;
          const shell = forti({ pageLines, erase, answers: { show: commented } });
          const played = await play({ driver: fortiDriver, shell, feed: inPieces(seed, longestMs) });
          expect(played.failure).toBeNull();
          expect(textOf(played)).toBe(commented);
        },
      ),
      // The example erases a pager that a waiting key had answered, in two pieces.
      { numRuns: 300, examples: [[-44002795, 60, 2, erasures['backspaces and blanks'], false]] },
    );
  });

  it('costs what the line takes: no quiet moment a page, once the device has shown that it erases its pager', async () => {
    const took = async (pageCount: number) => {
      const show = `#config\n${'set a b\n'.repeat(24 * pageCount - 2)}end\n`;
      const shell = forti({ pageLines: 24, answers: { show } });
      const played = await play({ driver: fortiDriver, shell });
      expect(textOf(played)).toBe(show);
      return played.tookMs;
    };
    expect(((await took(102)) - (await took(2))) / 100).toBeLessThan(10);
  });

  it('a key other than a blank waits for a quiet moment: text could answer to it', async () => {
    const [dialogue] = fortiDriver.dialogues as readonly [ShellDialogue];
    const driver = {
      ...fortiDriver,
      dialogues: [{ ...dialogue, pagers: [{ line: /--More-- $/, press: 'f' }] }] as const,
    };
    const pages = ['config a\r\n--More-- ', 'set b "\r\n--More-- ', 'x"\r\n\r\nfw-fgt # '];
    const played = await play({
      driver,
      shell: showing(['show\r\r\n#config\r\n--More-- '], () => {
        const [page = ''] = pages.splice(0, 1);
        // The second page is text up to here, and goes on by itself.
        const more = pages.length === 1 ? [{ waitMs: 20 }, '\r\n', pages[0] ?? ''] : [];
        return [`\r         \r${page}`, ...more];
      }),
    });
    expect(textOf(played)).toBe('#config\nconfig a\nset b "\n--More-- \nx"\n');
    expect(played.typed.filter((typed) => typed === 'f')).toHaveLength(2);
  });

  it('a pager that splits over two pieces is answered', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\n--Mo', { waitMs: 200 }, 're-- '], () => [
        '\r         \rend\r\n\r\nfw-fgt # ',
      ]),
    });
    expect(textOf(played)).toBe('#config\nend\n');
  });

  it('a key that was pressed at a comment answers the next pager, which leaves no trace either', async () => {
    const text = '#config\nconfig x\nset a "\nx --More-- \n"\nend\n';
    const crlf = (part: string) => part.replaceAll('\n', '\r\n');
    const [before, after] = text.split(/(?<=x --More-- )/) as [string, string];
    const played = await play({
      driver: fortiDriver,
      shell: showing([
        'show\r\r\n',
        crlf(before),
        { waitMs: 300 },
        `${crlf(after).replace(/end/, '--More-- \r         \rend')}\r\nfw-fgt # `,
      ]),
    });
    expect(textOf(played)).toBe(text);
  });

  it('a pager whose end is still on its way gets one key', async () => {
    const keys: string[] = [];
    const { failure } = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\n--More--', { waitMs: 80 }, ' '], (key) => {
        keys.push(key);
        return keys.length > 1 ? [] : [{ waitMs: 500 }, '\r         \rend\r\n\r\nfw-fgt # '];
      }),
    });
    expect(failure).toBeNull();
    expect(keys).toEqual([' ']);
  });

  it('a pager that is not erased goes with its line', async () => {
    const played = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\n--More-- '], () => ['\r\nend\r\n\r\nfw-fgt # ']),
    });
    expect(textOf(played)).toBe('#config\nend\n');
  });

  it('an ASA that may not turn its pager off is read through it', async () => {
    const device = asa({ answers: { 'terminal pager 0': 'Command authorization failed\n' } });
    const { collected, transcript } = await play({
      driver: asaDriver,
      shell: {
        ...device,
        typed(text) {
          if (text === 'more system:running-config\n')
            return ['more system:running-config\r\n: Saved\r\n:\r\n<--- More --->'];
          if (text === ' ') return ['\r              \r indented\r\n: end\r\n\rfw-asa# '];
          return device.typed(text);
        },
      },
    });
    expect(collected?.captures.get('running-config')?.text).toBe(': Saved\n:\n indented\n: end\n');
    expect(transcript.render((text) => text)).toContain(
      'refused to prepare the session: Command authorization failed',
    );
  });

  it('a banner that is paged before the first prompt is answered', async () => {
    const device = asa();
    let paged = true;
    const { failure } = await play({
      driver: asaDriver,
      shell: {
        greeting: ['*** Welcome ***\r\n<--- More --->'],
        typed(text) {
          if (!paged) return device.typed(text);
          paged = false;
          expect(text).toBe(' ');
          return ['\r              \r*** and more ***\r\n\rfw-asa> '];
        },
      },
    });
    expect(failure).toBeNull();
  });
});

describe('a tmsh shell', () => {
  const prompt = (state: string) => `admin@(lb1)(cfg-sync In Sync)(${state})(/)(tmos)# `;
  const text = 'ltm node a {\n    address 192.0.2.1\n}\nltm node b {\n    address 192.0.2.2\n}\n';
  const device = (): Script => ({
    greeting: ['Last login: today\r\n', prompt('Active')],
    typed(typed) {
      if (typed === 'show sys version\n') return ['show sys version\r\nDisplay all 243 items? (y/n) '];
      if (typed === 'y') return ['y\r\nProduct BIG-IP\r\n', prompt('Active')];
      if (typed === 'cd /\n') return ['cd /\r\n', prompt('Standby')];
      if (typed === 'list recursive\n')
        return [
          'list recursive\r\nltm node a {\r\n    address 192.0.2.1\r\n}\r\n\x1b[7m---(less 50%)---\x1b[m',
        ];
      if (typed === ' ')
        return ['\r\x1b[Kltm node b {\r\n    address 192.0.2.2\r\n}\r\n\x1b[7m(END)\x1b[m\x1b[K'];
      if (typed === 'q') return [`\r\x1b[K${prompt('Standby')}`];
      return [{ end: {} }];
    },
  });
  for (const [name, feed] of Object.entries(feeds)) {
    it(`is read through less and its question, delivered ${name}`, async () => {
      const { collected, failure, typed } = await play({ driver: bigipDriver, shell: device(), feed });
      expect(failure).toBeNull();
      expect(collected?.captures.get('version')?.text).toBe('Product BIG-IP\n');
      expect(collected?.captures.get('running-config')?.text).toBe(text);
      expect(typed).toEqual(['show sys version\n', 'y', 'cd /\n', 'list recursive\n', ' ', 'q', 'quit\n']);
    });
  }
});

const asaDevice = deviceOf(asaDriver);

describe('login', () => {
  it('types the enable password once, after the question, and nothing of it is recorded', async () => {
    const { typed, transcript, failure } = await play({ driver: asaDriver, shell: asa() });
    expect(failure).toBeNull();
    expect(typed.slice(0, 3)).toEqual(['enable\n', 'enable-secret-1\n', 'terminal pager 0\n']);
    expect(transcript.render((text) => text)).toContain('> «enable»');
    expect(transcript.render((text) => text)).not.toContain('enable-secret-1');
  });

  it('a wrong enable password fails at once, after one attempt', async () => {
    const { failure, typed, tookMs } = await play({ driver: asaDriver, shell: asa({ enable: 'other' }) });
    expect(failure).toMatchObject({ code: 'login.enable-rejected', detail: { username: 'backup' } });
    expect(typed).toEqual(['enable\n', 'enable-secret-1\n']);
    expect(tookMs).toBeLessThan(2_000);
  });

  it('a question that comes back is a rejection, also where the driver lets it come back', async () => {
    const { failure, typed } = await play({
      driver: bigipDriver,
      shell: { greeting: ['Password: '], typed: () => ['\r\nPassword: '] },
    });
    expect(failure).toMatchObject({ code: 'login.rejected', detail: { username: 'backup' } });
    expect(typed).toEqual([Buffer.from('pässword-1\n').toString('latin1')]);
  });

  it('an enable password that nobody configured is named, and nothing is typed in its place', async () => {
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: asa(),
      device: { credentials: { ...asaDevice.credentials, enable: null } },
    });
    expect(failure).toMatchObject({
      code: 'inventory.secret-unavailable',
      detail: { reference: 'credentials.readonly.enable' },
    });
    expect(typed).toEqual(['enable\n']);
  });

  it('enable: true sends the login password again', async () => {
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: asa({ enable: 'p4ssw0rd' }),
      device: {
        credentials: {
          ...asaDevice.credentials,
          password: { literal: 'p4ssw0rd' },
          enable: 'same-as-password',
        },
      },
    });
    expect(failure).toBeNull();
    expect(typed[1]).toBe('p4ssw0rd\n');
  });

  it('a secret that would type a second line is not typed', async () => {
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: asa(),
      device: { credentials: { ...asaDevice.credentials, enable: { literal: 'a\nreload' } } },
    });
    expect(failure?.code).toBe('inventory.secret-unavailable');
    expect(typed).toEqual(['enable\n']);
  });

  it('a password prompt that nobody expects gets nothing', async () => {
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: { greeting: ['fw-asa login\r\nPassword: '], typed: () => [] },
    });
    expect(failure).toMatchObject({
      code: 'login.prompt-unrecognised',
      detail: { lastLine: 'Password:', expected: ['user', 'privileged', 'expired'] },
    });
    expect(typed).toEqual([]);
  });

  it('an expired password ends the login, also where the device hangs up after saying so', async () => {
    for (const acts of [['New password: '], ['New password: ', { end: {} }]]) {
      const { failure, typed } = await play({
        driver: asaDriver,
        shell: { greeting: acts, typed: () => [] },
      });
      expect(failure).toMatchObject({ code: 'login.password-expired' });
      expect(typed).toEqual([]);
    }
  });

  it('an unknown prompt fails when the login deadline is over, with its words made harmless', async () => {
    const { failure, tookMs, typed } = await play({
      driver: asaDriver,
      shell: { greeting: ['\x1b]0;evil\x07What is your quest?\x9b '], typed: () => [] },
    });
    expect(failure).toMatchObject({
      code: 'login.prompt-unrecognised',
      detail: { lastLine: 'What is your quest?\\x9b' },
    });
    expect(tookMs).toBe(30_000);
    expect(typed).toEqual([]);
  });

  it('a banner without an end is not listened to for ever', async () => {
    const { failure } = await play({
      driver: asaDriver,
      shell: { greeting: ['x'.repeat(2 * 1024 * 1024)], typed: () => [] },
    });
    expect(failure).toMatchObject({ code: 'login.prompt-unrecognised' });
  });

  it('a slow drip of banner ends at the login deadline', async () => {
    const drip = Array.from({ length: 4_000 }, () => ['.', { waitMs: 20 }] as const).flat();
    const { failure, tookMs } = await play({ driver: asaDriver, shell: { greeting: drip, typed: () => [] } });
    expect(failure?.code).toBe('login.prompt-unrecognised');
    expect(tookMs).toBe(30_000);
  });

  it('a disclaimer is accepted by a bare key', async () => {
    const { failure, typed } = await play({
      driver: fortiDriver,
      shell: forti({ greeting: "Property of X # and >\r\n(Press 'a' to accept):" }),
    });
    expect(failure).toBeNull();
    expect(typed[0]).toBe('a');
  });

  it('banners full of # and > are no prompts', async () => {
    const banner = '##########\n# fw-asa #\n>>> keep out >\nfw-asa# is watched\n';
    const { failure, typed } = await play({ driver: asaDriver, shell: asa({ banner }), feed: byByte });
    expect(failure).toBeNull();
    expect(typed[0]).toBe('enable\n');
  });

  it('a connection that ends before the prompt is told with its age', async () => {
    const { failure } = await play({
      driver: asaDriver,
      shell: { greeting: [{ waitMs: 2_000 }, { end: {} }], typed: () => [] },
    });
    expect(failure).toMatchObject({ code: 'connect.lost-before-login', detail: { afterMs: 2_000 } });
  });
});

describe('limits', () => {
  it('silence in the middle of an answer is a stall', async () => {
    const { failure, ended, tookMs } = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\n']),
    });
    expect(failure).toMatchObject({
      code: 'collect.stalled',
      detail: { command: 'show', idleMs: 60_000, receivedBytes: 16 },
    });
    expect(ended).toBe(1);
    expect(tookMs).toBeLessThan(65_000);
  });

  it('an output without an end is stopped at its size', async () => {
    const { failure } = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n', ...Array.from({ length: 200 }, () => 'a'.repeat(1024))]),
      request: { maxBytes: 100 * 1024 },
    });
    expect(failure).toMatchObject({ code: 'collect.too-large', detail: { limitBytes: 100 * 1024 } });
  });

  it('a drip without an end is stopped by the run time', async () => {
    const drip = Array.from({ length: 3_000 }, () => ['line\r\n', { waitMs: 40 }] as const).flat();
    const { failure, ended } = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n', ...drip]),
      device: { maxRuntimeMs: 60_000 },
    });
    expect(failure).toMatchObject({ code: 'collect.too-long', detail: { limitMs: 60_000 } });
    expect(ended).toBe(1);
  });

  it('an abort ends the session at once', async () => {
    const abort = new AbortController();
    const { failure, ended, tookMs } = await play({
      driver: fortiDriver,
      shell: showing(['show\r\r\n#config\r\n']),
      request: { signal: abort.signal },
      arrange: (clock) => clock.after(5_000, () => abort.abort()),
    });
    expect(failure).toMatchObject({ code: 'run.interrupted', detail: { by: 'signal' } });
    expect([ended, tookMs]).toEqual([1, 5_000]);
  });

  it('ten million bytes in one line, byte by byte, cost no more than their length', {
    timeout: 120_000,
  }, async () => {
    // What costs the square of it would not end before the test's time is over.
    const line = 'x'.repeat(10_000_000);
    const played = await play({
      driver: fortiDriver,
      shell: showing([`show\r\r\n#config\r\n${line}\r\n\r\nfw-fgt # `]),
      feed: allAtOnceByByte,
    });
    expect(textOf(played)?.length).toBe(10_000_009);
  });
});
