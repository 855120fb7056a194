import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import { reach } from '../../src/transport/collect.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { ScriptedChannel } from '../support/scripted-channel.ts';
import {
  asa,
  asaDriver,
  asaText,
  bigipDriver,
  connectionTo,
  forti,
  fortiDriver,
  fortiText,
  type Play,
  play,
  requestFor,
} from './tiny.ts';

const textOf = (played: Awaited<ReturnType<typeof play>>) =>
  played.collected?.captures.get('running-config')?.text;

describe('a reading', () => {
  it('sends what the driver lists, in its order, and nothing else', async () => {
    const { typed, ended, clock } = await play({ driver: asaDriver, shell: asa() });
    expect(typed).toEqual([
      'enable\n',
      'enable-secret-1\n',
      'terminal pager 0\n',
      'show version\n',
      'more system:running-config\n',
      'exit\n',
    ]);
    expect(ended).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('tells its progress in bytes', async () => {
    const told: number[] = [];
    await play({ driver: fortiDriver, shell: forti(), request: { onProgress: (bytes) => told.push(bytes) } });
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBeGreaterThan(fortiText.length);
  });

  it('asks a second time for what only its structure proves', async () => {
    const { collected, typed } = await play({
      driver: fortiDriver,
      shell: forti(),
      request: { readTwice: true },
    });
    expect(collected?.again.get('running-config')?.text).toBe(fortiText);
    expect(typed.filter((text) => text === 'show\n')).toHaveLength(2);
    const asaRead = await play({ driver: asaDriver, shell: asa(), request: { readTwice: true } });
    expect(asaRead.collected?.again.size).toBe(0);
  });
});

describe('refusals', () => {
  const refused = "       ^\nERROR: % Invalid input detected at '^' marker.\n";

  it('lead to the next way, and the copy is worth what that way is worth', async () => {
    const played = await play({
      driver: asaDriver,
      shell: asa({ answers: { 'more system:running-config': refused, 'show running-config': asaText } }),
    });
    expect(textOf(played)).toBe(asaText);
    expect(played.collected?.restorable.get('running-config')).toEqual({
      is: 'no',
      because: 'keys are masked',
    });
    expect(played.tookMs).toBeLessThan(4_000);
  });

  it('of every way fail with the last command and the words of the device', async () => {
    const { failure, ended } = await play({
      driver: asaDriver,
      shell: asa({
        answers: {
          'more system:running-config': refused,
          'show running-config': 'Command authorization failed\n',
        },
      }),
    });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'show running-config', reply: 'Command authorization failed' },
    });
    expect(ended).toBe(1);
  });

  it('that mean "not now" do not lead to a worse way', async () => {
    const { failure, typed } = await play({
      driver: asaDriver,
      shell: asa({ answers: { 'more system:running-config': 'The system is starting\n' } }),
    });
    expect(failure).toMatchObject({ code: 'collect.not-ready', detail: { reply: 'The system is starting' } });
    expect(typed).not.toContain('show running-config\n');
  });

  it('are allowed where the driver says why', async () => {
    const { collected, failure } = await play({
      driver: fortiDriver,
      shell: forti({ answers: { 'get system ha status': 'Command fail. Return code -61\n' } }),
    });
    expect(failure).toBeNull();
    expect(collected?.captures.has('ha')).toBe(false);
  });

  it('fail a facts command that has to answer', async () => {
    const { failure } = await play({
      driver: fortiDriver,
      shell: forti({ answers: { 'get system status': 'Command fail. Return code -61\n' } }),
    });
    expect(failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'get system status', reply: 'Command fail. Return code -61' },
    });
  });

  it('are not looked for in a whole configuration', async () => {
    const text = '#config\nCommand fail. Return code -61\nconfig x\nend\n';
    const played = await play({ driver: fortiDriver, shell: forti({ answers: { show: text } }) });
    expect(textOf(played)).toBe(text);
  });

  it('are quoted harmless and short', async () => {
    const { failure } = await play({
      driver: fortiDriver,
      shell: forti({
        answers: { 'get system status': `Unknown action \x1b[31m${'x'.repeat(500)}\n` },
        pageLines: 50,
      }),
    });
    const reply = String(failure?.detail?.reply);
    expect(reply).toContain('\\x1b[31m');
    expect(reply.length).toBeLessThanOrEqual(200);
  });
});

describe('secrets', () => {
  it('that the device shows are neither in the transcript nor in an error', async () => {
    const device = asa();
    const { failure, transcript } = await play({
      driver: asaDriver,
      shell: {
        ...device,
        typed: (text) =>
          text.startsWith('enable-secret')
            ? [`${text}\r\nYou typed enable-secret-1, that is odd: `]
            : device.typed(text),
      },
    });
    expect(failure).toMatchObject({
      code: 'login.prompt-unrecognised',
      detail: { lastLine: 'You typed «masked», that is odd:' },
    });
    expect(transcript.render((text) => text)).not.toContain('enable-secret-1');
    expect(transcript.render((text) => text)).toContain('«masked»');
  });
});

describe('failures', () => {
  it('before the connection stands are handed on, and nothing is left running', async () => {
    const clock = new FakeClock();
    const request = requestFor({ driver: asaDriver }, clock, createTranscript({ limitBytes: 1000 }));
    const { collect } = await import('../../src/transport/collect.ts');
    const reading = collect(request, async () => {
      throw new BackupError('connect.refused', { host: '127.0.0.1', port: 22 });
    });
    await expect(clock.until(reading)).rejects.toMatchObject({ code: 'connect.refused' });
    expect(clock.pending).toBe(0);
  });

  it('of a driver’s own code end the session as what they are', async () => {
    const broken = {
      ...fortiDriver,
      commands: fortiDriver.commands.map((command) =>
        command.keep === 'artefact'
          ? {
              ...command,
              wholeWhen: {
                ...command.wholeWhen,
                structure: () => {
                  throw new TypeError('a bug');
                },
              },
            }
          : command,
      ),
    };
    const { failure, ended } = await play({ driver: broken, shell: forti() });
    expect(failure).toBeInstanceOf(TypeError);
    expect(ended).toBe(1);
  });
});

describe('reach', () => {
  const reached = async (plan: Play) => {
    const clock = new FakeClock();
    const channels: ScriptedChannel[] = [];
    const executed: string[] = [];
    const connection = connectionTo(plan, clock, channels, executed);
    const request = requestFor(plan, clock, createTranscript({ limitBytes: 1000 }));
    const result = await clock.until(reach(request, async () => connection));
    return { result, typed: channels.flatMap((channel) => channel.typed), executed, ended: connection.ends };
  };

  it('logs in as far as the prompt, asks for nothing and leaves', async () => {
    expect(await reached({ driver: asaDriver, shell: asa() })).toEqual({
      result: { prompt: 'fw-asa#', dialogue: 'terminal' },
      typed: ['enable\n', 'enable-secret-1\n', 'exit\n'],
      executed: [],
      ended: 1,
    });
  });

  it('a first answer that is a refusal is no success', async () => {
    const exec = () => ({
      greeting: [{ stderr: 'bash: tmsh: command not found\n' }, { end: { exitStatus: 127 } }],
      typed: () => [],
    });
    await expect(reached({ driver: bigipDriver, exec })).rejects.toMatchObject({
      code: 'collect.command-refused',
    });
  });

  it('goes as far as the first answer where there is no prompt', async () => {
    const exec = () => ({ greeting: ['Sys::Version\nMain\n', { end: { exitStatus: 0 } }], typed: () => [] });
    expect(await reached({ driver: bigipDriver, exec })).toMatchObject({
      result: { prompt: 'Sys::Version', dialogue: 'bash' },
      executed: ["tmsh -q -c 'show sys version'"],
      ended: 1,
    });
  });
});
