import { describe, expect, it } from 'vitest';
import type { Act, Script } from '../support/scripted-channel.ts';
import { byByte } from '../support/scripted-channel.ts';
import { bigipDriver, play } from './tiny.ts';

const version = "tmsh -q -c 'show sys version'";
const config = "tmsh -q -c 'cd /; list recursive'";
const text = 'ltm node a {\r\n    description "caf\xe9 \x00 $& --More-- "\n}\nltm node b { }\n';
const ok: Act = { end: { exitStatus: 0 } };

/** A box that answers each command line with these acts. */
function bash(answers: Readonly<Record<string, readonly Act[]>> = {}): (line: string) => Script {
  const known: Readonly<Record<string, readonly Act[]>> = {
    [version]: ['Sys::Version\nProduct BIG-IP\n', ok],
    [config]: [text, ok],
    ...answers,
  };
  return (line) => ({ greeting: known[line] ?? [{ end: { exitStatus: 127 } }], typed: () => [] });
}

/** A box whose login shell is tmsh. */
const tmsh: Script = {
  greeting: ['admin@(lb1)(Active)(/Common)(tmos)# '],
  typed: (typed) => {
    const line = typed.replace(/\n$/, '');
    const answer = line === 'list recursive' ? 'ltm node b {\r\n}\r\n' : '';
    return [`${line}\r\n${answer}admin@(lb1)(Active)(/)(tmos)# `];
  },
};

describe('commands on channels of their own', () => {
  it('give the octets that the command printed, and its exit status', async () => {
    const { collected, executed } = await play({ driver: bigipDriver, exec: bash(), feed: byByte });
    expect(collected?.captures.get('running-config')).toEqual({
      text,
      endedBy: 'exit-status',
      exitStatus: 0,
      sent: 'list recursive',
    });
    expect(collected?.restorable.get('running-config')).toEqual({
      is: 'partial',
      because: 'keys are not in the text',
    });
    expect(executed).toEqual([version, config]);
  });

  it('without an exit status nothing was read', async () => {
    const { failure } = await play({ driver: bigipDriver, exec: bash({ [config]: [text, { end: {} }] }) });
    expect(failure).toMatchObject({
      code: 'collect.connection-lost',
      detail: { command: 'list recursive', receivedBytes: text.length },
    });
  });

  it('a signal is no exit status', async () => {
    const { failure } = await play({
      driver: bigipDriver,
      exec: bash({ [config]: [text, { end: { signal: 'TERM' } }] }),
    });
    expect(failure?.code).toBe('collect.connection-lost');
  });

  it('cut at any byte never passes for read', async () => {
    for (let cut = 0; cut < text.length; cut++) {
      const { failure } = await play({
        driver: bigipDriver,
        exec: (line) => (line === config ? bash()(line) : bash({ [version]: ['', ok] })(line)),
        cutAfterBytes: cut,
      });
      expect(failure?.code).toBe('collect.connection-lost');
    }
  });

  it('an exit status other than 0 is the refusal, whatever was printed', async () => {
    const { failure } = await play({
      driver: bigipDriver,
      exec: bash({ [version]: ['Sys::Version\nProduct BIG-IP\n', { end: { exitStatus: 1 } }] }),
    });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'show sys version', reply: 'exit status 1: Sys::Version' },
    });
  });

  it('a command that is not there is refused, in the words of the shell', async () => {
    const { failure } = await play({
      driver: bigipDriver,
      exec: bash({
        [version]: [{ stderr: 'bash: tmsh: command not found\n' }, { end: { exitStatus: 127 } }],
      }),
    });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'show sys version', reply: 'exit status 127: bash: tmsh: command not found' },
    });
  });

  it('a box whose services are down is not ready, whatever its exit status', async () => {
    for (const exitStatus of [0, 1]) {
      const { failure } = await play({
        driver: bigipDriver,
        exec: bash({
          [config]: [
            { stderr: 'The connection to mcpd has been lost; try again\n' },
            { end: { exitStatus } },
          ],
        }),
      });
      expect(failure?.code).toBe('collect.not-ready');
    }
  });

  it('silence is a stall', async () => {
    const { failure, ended } = await play({ driver: bigipDriver, exec: bash({ [config]: ['ltm'] }) });
    expect(failure).toMatchObject({
      code: 'collect.stalled',
      detail: { command: 'list recursive', receivedBytes: 3 },
    });
    expect(ended).toBe(1);
  });

  it('too much on either output is too large', async () => {
    for (const much of ['x'.repeat(5_000), { stderr: 'x'.repeat(5_000) }]) {
      const { failure } = await play({
        driver: bigipDriver,
        exec: bash({ [config]: [much, ok] }),
        request: { maxBytes: 4_000 },
      });
      expect(failure?.code).toBe('collect.too-large');
    }
  });
});

describe('another shell', () => {
  it('is told by its answer to the first command, and spoken to in its own way on the same connection', async () => {
    const { collected, failure, executed, typed, ended } = await play({
      driver: bigipDriver,
      exec: () => ({
        greeting: [{ stderr: 'Syntax Error: unexpected argument "tmsh"\n' }, { end: { exitStatus: 1 } }],
        typed: () => [],
      }),
      shell: tmsh,
    });
    expect(failure).toBeNull();
    expect(collected?.captures.get('running-config')).toMatchObject({
      text: 'ltm node b {\n}\n',
      endedBy: 'prompt',
    });
    expect(executed).toEqual([version]);
    expect(typed).toEqual(['show sys version\n', 'cd /\n', 'list recursive\n', 'quit\n']);
    expect(ended).toBe(1);
  });

  it('is tried where the device has no exec at all', async () => {
    const { collected } = await play({ driver: bigipDriver, shell: tmsh });
    expect(collected?.captures.get('running-config')?.text).toBe('ltm node b {\n}\n');
  });

  it('where none is left, the last words are the reason', async () => {
    const { failure } = await play({ driver: bigipDriver });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'show sys version', reply: 'no such channel' },
    });
  });
});
