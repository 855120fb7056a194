import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ArtefactCommand, Command, Driver, Item } from '../../src/drivers/driver.ts';
import type { Script } from '../support/scripted-channel.ts';
import { asaDriver, bigipDriver, play } from './tiny.ts';

/* Items, conditions, ways back, files: what one answer makes of the questions after it. */

const text = (name: string) => `: Saved\nhostname ${name}\n: end\n`;
const wholeWhen = { lastLine: /^: end$/, atLeastLines: 3, proof: 'end-marker' } as const;

const listing: Command = { name: 'contexts', keep: 'facts', send: 'show context' };
const perContext: ArtefactCommand = {
  name: 'context-{context}',
  keep: 'artefact',
  before: ['changeto context {context}'],
  after: ['changeto system'],
  forEach: {
    over: 'contexts',
    items: (told) => told.split('\n').flatMap((context) => (context === '' ? [] : [{ context }])),
  },
  firstOf: [{ send: 'show running-config', restorable: 'partial', because: 'keys are masked' }],
  wholeWhen,
};

function driverOf(...commands: Command[]): Driver {
  return { ...asaDriver, commands };
}

/** Answers that are given once may be followed by others: a list is used up to its last one. */
type Answers = Readonly<Record<string, string | readonly string[]>>;

const unknown = "ERROR: % Invalid input detected at '^' marker.\n";

/** A unit with contexts. A line is answered by `CONTEXT LINE` where that is known, else by `LINE`. */
function unit(answers: Answers): Script {
  let context = '';
  const used = new Map<string, number>();
  const prompt = () => `\rfw-asa${context === '' ? '' : `/${context}`}# `;
  const answerTo = (line: string): string => {
    const key = `${context} ${line}` in answers ? `${context} ${line}` : line;
    const known = answers[key];
    if (known === undefined) return unknown;
    if (typeof known === 'string') return known;
    const at = used.get(key) ?? 0;
    used.set(key, at + 1);
    return known[Math.min(at, known.length - 1)] ?? '';
  };
  return {
    greeting: [prompt()],
    typed(typed) {
      const line = typed.replace(/\n$/, '');
      if (line === 'exit') return ['exit\r\n', { end: {} }];
      const answer = answerTo(line);
      if (answer === '' && line === 'changeto system') context = '';
      const entered = /^changeto context (\S+)$/.exec(line)?.[1];
      if (answer === '' && entered !== undefined) context = entered;
      return [`${line}\r\n`, answer.replaceAll('\n', '\r\n'), prompt()];
    },
  };
}

const usual: Answers = {
  'terminal pager 0': '',
  'show context': 'red\nblue\n',
  'changeto context red': '',
  'changeto context blue': '',
  'changeto system': '',
  'red show running-config': text('red'),
  'blue show running-config': text('blue'),
};

const read = (driver: Driver, answers: Answers, readTwice = false) =>
  play({ driver, shell: unit({ ...usual, ...answers }), request: { readTwice } });

const linesOf = (typed: readonly string[]) => typed.map((line) => line.trimEnd());

describe('a command for each item', () => {
  it('is asked in each place and found under the name of each item', async () => {
    const { collected, failure, typed, transcript } = await read(driverOf(listing, perContext), {});
    expect(failure).toBeNull();
    expect(collected?.captures.get('context-red')).toEqual({
      text: text('red'),
      endedBy: 'prompt',
      exitStatus: null,
      sent: 'show running-config',
    });
    expect(collected?.captures.get('context-blue')?.text).toBe(text('blue'));
    expect([...(collected?.artefacts ?? [])]).toEqual([
      ['context-red', perContext],
      ['context-blue', perContext],
    ]);
    expect(collected?.restorable.get('context-blue')).toEqual({ is: 'partial', because: 'keys are masked' });
    expect(collected?.seen.text('context-red')).toBe(text('red'));
    expect(collected?.seen.text('context-green')).toBeNull();
    expect(linesOf(typed)).toEqual([
      'terminal pager 0',
      'show context',
      'changeto context red',
      'show running-config',
      'changeto system',
      'changeto context blue',
      'show running-config',
      'changeto system',
      'exit',
    ]);
    expect(transcript.render((one) => one)).toContain('> changeto context blue');
  });

  it('is read a second time in its own place, there and back', async () => {
    const structural: ArtefactCommand = { ...perContext, wholeWhen: { ...wholeWhen, proof: 'structure' } };
    const { collected, typed } = await read(driverOf(listing, structural), {}, true);
    expect([...(collected?.again.keys() ?? [])]).toEqual(['context-red', 'context-blue']);
    expect(collected?.again.get('context-red')?.text).toBe(text('red'));
    expect(linesOf(typed).filter((line) => line === 'changeto context red')).toHaveLength(2);
    expect(linesOf(typed).at(-2)).toBe('changeto system');
  });

  it('is not asked where nothing was listed, nor where the listing was refused', async () => {
    const mayBe: Command = { ...listing, mayBeRefusedBecause: 'single mode' } as Command;
    for (const told of ['', unknown]) {
      const { collected, failure } = await read(driverOf(mayBe, perContext), { 'show context': told });
      expect(failure).toBeNull();
      expect(collected?.artefacts.size).toBe(0);
    }
  });

  it('gone in the meantime, it is left out, and the transcript says so', async () => {
    const { collected, failure, typed, transcript } = await read(driverOf(listing, perContext), {
      'show context': ['red\nblue\n', 'blue\n'],
      'changeto context red': "ERROR: % Invalid input: 'red' is not valid.\n",
    });
    expect(failure).toBeNull();
    expect([...(collected?.artefacts.keys() ?? [])]).toEqual(['context-blue']);
    expect(transcript.render((one) => one)).toContain('context-red is no longer listed');
    // Nobody went in, so there is no way back to be typed.
    expect(linesOf(typed).slice(2, 5)).toEqual([
      'changeto context red',
      'show context',
      'changeto context blue',
    ]);
  });

  it('gone between two readings, it is left out of both', async () => {
    const structural: ArtefactCommand = { ...perContext, wholeWhen: { ...wholeWhen, proof: 'structure' } };
    const { collected, failure } = await read(
      driverOf(listing, structural),
      { 'show context': ['red\nblue\n', 'blue\n'], 'changeto context red': ['', unknown] },
      true,
    );
    expect(failure).toBeNull();
    expect([...(collected?.captures.keys() ?? [])]).toEqual(['contexts', 'context-blue']);
    expect(collected?.restorable.has('context-red')).toBe(false);
  });

  it('refused and still listed, it fails the backup', async () => {
    const { failure } = await read(driverOf(listing, perContext), { 'changeto context red': unknown });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'changeto context red', reply: "ERROR: % Invalid input detected at '^' marker." },
    });
  });

  it('after a refusal the way back is typed all the same', async () => {
    const mayBe = { ...perContext, mayBeRefusedBecause: 'some contexts are empty' };
    const { collected, failure, typed } = await read(driverOf(listing, mayBe), {
      'red show running-config': unknown,
    });
    expect(failure).toBeNull();
    expect([...(collected?.artefacts.keys() ?? [])]).toEqual(['context-blue']);
    expect(linesOf(typed).slice(2, 6)).toEqual([
      'changeto context red',
      'show running-config',
      'changeto system',
      'changeto context blue',
    ]);
  });

  it('where a later step of the way in was refused, the way back is typed too', async () => {
    const twoSteps = {
      ...perContext,
      before: ['changeto context {context}', 'login {context}'],
      mayBeRefusedBecause: 'x',
    };
    const { typed } = await read(driverOf(listing, twoSteps), { 'login blue': '' });
    expect(linesOf(typed).slice(2, 5)).toEqual(['changeto context red', 'login red', 'changeto system']);
  });

  it('with the way back refused nothing more is asked: the answers would be those of another place', async () => {
    const { failure, typed } = await read(driverOf(listing, perContext), { 'changeto system': unknown });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'changeto system' },
    });
    expect(linesOf(typed)).not.toContain('changeto context blue');
  });

  it('with the prompt of the place still there after the way back, nothing more is asked either', async () => {
    const { failure, typed } = await read(driverOf(listing, perContext), {
      'changeto system': 'One moment.\n',
    });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'changeto system', reply: expect.stringContaining('fw-asa/red#') },
    });
    expect(linesOf(typed)).not.toContain('changeto context blue');
  });

  it('the prompt of another host is text, and that of another context is a prompt', async () => {
    const inside = `: Saved\nbanner motd other# \nfw-asa2/red# \n: end\n`;
    const { collected } = await read(driverOf(listing, perContext), { 'red show running-config': inside });
    expect(collected?.captures.get('context-red')?.text).toBe(inside);
  });
});

describe('hostile listings', () => {
  const withItems = (items: readonly Item[]): Driver =>
    driverOf(listing, { ...perContext, forEach: { over: 'contexts', items: () => items } });

  it.each([
    ['a line feed', 'red\nreload'],
    ['a carriage return', 'red\rreload'],
    ['a second command', 'red;reload'],
    ['a substitution', '$(reload)'],
    ['a back-tick', '`reload`'],
    ['a quotation mark', "red' 'x"],
    ['a blank', 'red blue'],
    ['a pipe', 'red|redirect'],
    ['an escape', 'red\x1b[A'],
    ['a letter beyond ASCII', 'r\xf6t'],
    ['nothing', ''],
    ['129 characters', 'x'.repeat(129)],
  ])('a name with %s is never typed', async (_, context) => {
    const { failure, typed } = await read(withItems([{ context: 'red' }, { context }]), {});
    expect(failure).toMatchObject({ code: 'collect.command-refused', detail: { command: 'show context' } });
    expect(String(failure?.detail?.reply)).toContain('never typed');
    expect(String(failure?.detail?.reply)).not.toMatch(/[\x00-\x1f]/);
    // Not even the good ones: a listing that lies about one may lie about all.
    expect(linesOf(typed)).toEqual(['terminal pager 0', 'show context']);
  });

  it('whatever a name is, what is typed for it is one plain line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (context) => {
        const { typed } = await read(withItems([{ context }]), {});
        for (const line of typed) expect(line).toMatch(/^[A-Za-z0-9 ._:/@+~-]+\n$/);
      }),
      { numRuns: 200 },
    );
  });

  it('ten thousand items are refused before one of them is typed', async () => {
    const items = Array.from({ length: 10_000 }, (_, index) => ({ context: `c${index}` }));
    const { failure, typed } = await read(withItems(items), {});
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'show context', reply: 'it names 10000 items, more than 512' },
    });
    expect(typed).toHaveLength(2);
  });

  it('two items of one name, and one that is called like another command, are refused', async () => {
    const twice = await read(withItems([{ context: 'red' }, { context: 'red' }]), {});
    expect(twice.failure?.detail?.reply).toBe('it names context-red twice');
    const other: Driver = driverOf(listing, { ...perContext, name: '{context}' });
    const same = await read(other, { 'show context': 'contexts\n' });
    expect(same.failure?.detail?.reply).toBe('it names contexts, which is something else already');
  });

  it('a name that the items do not have is a bug of the driver', async () => {
    const { failure } = await read(withItems([{ vdom: 'root' }]), {});
    expect(failure).toMatchObject({ message: 'the driver names {context}, which is not there' });
  });
});

describe('what a command depends on', () => {
  const running: ArtefactCommand = {
    name: 'running-config',
    keep: 'artefact',
    firstOf: [
      {
        send: 'more full',
        when: ({ options }) => options.method === 'full',
        restorable: 'yes',
        because: null,
      },
      { send: 'show running-config', restorable: 'no', because: 'masked' },
    ],
    wholeWhen,
  };
  const options = [{ name: 'method', takes: ['full', 'short'], standard: 'full', says: '' }] as const;

  it('what was answered before decides whether it is asked', async () => {
    const multiple: ArtefactCommand = {
      ...running,
      when: ({ text: answer, dialogue }) => answer('contexts') === 'multiple\n' && dialogue === 'terminal',
    };
    for (const [told, asked] of [
      ['multiple\n', true],
      ['single\n', false],
    ] as const) {
      const { collected } = await read(driverOf(listing, multiple), {
        'show context': told,
        'show running-config': text('fw'),
        'more full': text('fw'),
      });
      expect(collected?.artefacts.has('running-config')).toBe(asked);
    }
  });

  it('an option of the inventory chooses the way, and its standard where nothing is chosen', async () => {
    const driver: Driver = { ...driverOf(running), options };
    const answers = { 'show running-config': text('short'), 'more full': text('full') };
    const standard = await read(driver, answers);
    expect(standard.collected?.captures.get('running-config')?.text).toBe(text('full'));
    const chosen = await play({
      driver,
      shell: unit({ ...usual, ...answers }),
      device: { options: { method: 'short' } },
    });
    expect(chosen.collected?.captures.get('running-config')?.text).toBe(text('short'));
    expect(chosen.collected?.seen.options).toEqual({ method: 'short' });
    expect(linesOf(chosen.typed)).not.toContain('more full');
  });

  it('with no way left it is refused, and left out where it may be', async () => {
    const never: ArtefactCommand = {
      ...running,
      firstOf: [{ send: 'more full', when: () => false, restorable: 'yes', because: null }],
    };
    expect((await read(driverOf(never), {})).failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'running-config' },
    });
    const { failure, collected } = await read(driverOf({ ...never, mayBeRefusedBecause: 'old models' }), {});
    expect(failure).toBeNull();
    expect(collected?.artefacts.size).toBe(0);
  });

  it('an artefact that may be refused is absent then', async () => {
    const { failure, collected } = await read(
      driverOf(listing, { ...running, mayBeRefusedBecause: 'some models' }),
      {},
    );
    expect(failure).toBeNull();
    expect([...(collected?.captures.keys() ?? [])]).toEqual(['contexts']);
  });
});

describe('files', () => {
  const byFile = (by: 'scp' | 'sftp'): ArtefactCommand => ({
    name: 'running-config',
    keep: 'artefact',
    firstOf: [
      { send: 'sys_config', by, restorable: 'yes', because: null },
      { send: 'show running-config', restorable: 'no', because: 'masked' },
    ],
    wholeWhen,
  });
  const octets = ': Saved\r\n caf\xe9 \x00\xff\n: end\n';

  it('are the octets that the device sends, by SFTP', async () => {
    const { collected, transcript } = await play({
      driver: driverOf(byFile('sftp')),
      shell: unit(usual),
      files: { sys_config: Buffer.from(octets, 'latin1') },
    });
    expect(collected?.captures.get('running-config')).toEqual({
      text: octets,
      endedBy: 'transfer',
      exitStatus: null,
      sent: 'sys_config',
    });
    expect(transcript.render((one) => one)).toContain('# fetching sys_config by sftp');
    expect(transcript.render((one) => one)).not.toContain('Saved');
  });

  it('are asked for in the next way where the device gives none', async () => {
    for (const by of ['scp', 'sftp'] as const) {
      const { collected } = await read(driverOf(byFile(by)), { 'show running-config': text('fw') });
      expect(collected?.captures.get('running-config')?.endedBy).toBe('prompt');
      expect(collected?.restorable.get('running-config')?.is).toBe('no');
    }
  });

  it('that are too large are refused before they are read', async () => {
    const { failure } = await play({
      driver: driverOf(byFile('sftp')),
      shell: unit(usual),
      files: { sys_config: Buffer.alloc(5_000) },
      request: { maxBytes: 4_999 },
    });
    expect(failure).toMatchObject({ code: 'collect.too-large', detail: { limitBytes: 4_999 } });
  });

  it('are worth what the prompt says that the account is worth', async () => {
    const [shell] = asaDriver.dialogues;
    if (shell.channel !== 'shell') throw new Error('a shell');
    const modes = {
      ...shell.modes,
      privileged: {
        kind: 'prompt',
        line: /^(?<host>[\w-]+)# ?$/,
        restorable: { is: 'partial', because: 'limited' },
      },
    } as typeof shell.modes;
    const { collected } = await play({
      driver: { ...driverOf(byFile('sftp')), dialogues: [{ ...shell, modes }] },
      shell: unit(usual),
      files: { sys_config: Buffer.from(octets, 'latin1') },
    });
    expect(collected?.restorable.get('running-config')).toEqual({ is: 'partial', because: 'limited' });
  });
});

describe('another program', () => {
  it('is given its own line on an exec channel', async () => {
    const saved: Command = {
      name: 'saved',
      keep: 'facts',
      before: ['cd /x'],
      send: 'cat a',
      execLine: '{commands} | sort',
    };
    const { executed } = await play({
      driver: { ...bigipDriver, commands: [saved] },
      exec: () => ({ greeting: ['a\n', { end: { exitStatus: 0 } }], typed: () => [] }),
    });
    expect(executed).toEqual(['cd /x; cat a | sort']);
  });
});

describe('a login', () => {
  const [shell] = asaDriver.dialogues;
  if (shell.channel !== 'shell') throw new Error('a shell');
  const withLogin: Driver = {
    ...driverOf(listing),
    options: [{ name: 'elevate', takes: ['enable', 'login'], standard: 'enable', says: '' }],
    dialogues: [
      {
        ...shell,
        modes: {
          user: {
            kind: 'prompt',
            line: /^(?<host>[\w-]+)> ?$/,
            moves: { privileged: { send: '{elevate}', leadsTo: ['privileged', 'username'] } },
          },
          username: {
            kind: 'question',
            line: /^Username: ?$/,
            answer: { credential: 'username' },
            leadsTo: ['privileged', 'username'],
          },
          privileged: { kind: 'prompt', line: /^(?<host>[\w-]+)# ?$/ },
        } as typeof shell.modes,
        greetedBy: ['user'],
      },
    ],
  };
  const asks = (often: number): Script => {
    let left = often;
    return {
      greeting: ['fw-asa> '],
      typed(typed) {
        const line = typed.trimEnd();
        if (line === 'login' || (line === 'backup' && left > 0)) {
          left--;
          return [`${line}\r\nUsername: `];
        }
        return [`${line}\r\n`, line === 'show context' ? 'red\r\n' : '', 'fw-asa# '];
      },
    };
  };

  it('types the option that the inventory chose, and the user name where it is asked for', async () => {
    const { failure, typed } = await play({
      driver: withLogin,
      shell: asks(1),
      device: { options: { elevate: 'login' } },
    });
    expect(failure).toBeNull();
    expect(linesOf(typed).slice(0, 2)).toEqual(['login', 'backup']);
    const standard = await play({ driver: withLogin, shell: asks(1) });
    expect(linesOf(standard.typed)[0]).toBe('enable');
  });

  it('asked a second time for the user name, it is rejected', async () => {
    const { failure, typed } = await play({
      driver: withLogin,
      shell: asks(2),
      device: { options: { elevate: 'login' } },
    });
    expect(failure).toMatchObject({ code: 'login.rejected' });
    expect(linesOf(typed)).toEqual(['login', 'backup']);
  });
});
