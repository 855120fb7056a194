import { describe, expect, it } from 'vitest';
import type { ArtefactCommand } from '../../src/drivers/driver.ts';
import { createReadBefore } from '../../src/pipeline/read-before.ts';
import type { Collected } from '../../src/transport/collect.ts';

const name = 'running-config';
const capture = { text: 'hostname fw1\n', endedBy: 'prompt', exitStatus: null, sent: 'show run' } as const;
const command = { name, keep: 'artefact' } as ArtefactCommand;
const seen = { text: () => null, options: { vdoms: 'no' }, dialogue: 'shell' };
const plain: Collected = {
  captures: new Map([[name, capture]]),
  again: new Map(),
  artefacts: new Map([[name, command]]),
  restorable: new Map(),
  seen,
  archives: new Map(),
  secrets: ['hunter2'],
};
const under = { platform: 'cisco_asa', maskKey: 'key' };

describe('the mark of an artefact', () => {
  const { markOf } = createReadBefore();

  it('is the same for the same octets', () => {
    expect(markOf(withCapture({}), name, { ...under })).toBe(markOf(plain, name, under));
  });

  it.each<[string, Collected, typeof under]>([
    ['octets', withCapture({ text: 'hostname fw2\n' }), under],
    ['line typed', withCapture({ sent: 'more system:running-config' }), under],
    ['end', { ...plain, captures: new Map([[name, { ...capture, endedBy: 'transfer' }]]) }, under],
    ['command', { ...plain, artefacts: new Map([[name, { ...command, name: 'config-{vdom}' }]]) }, under],
    ['options', { ...plain, seen: { ...seen, options: { vdoms: 'all' } } }, under],
    ['dialogue', { ...plain, seen: { ...seen, dialogue: 'tmsh' } }, under],
    ['secrets of the session', { ...plain, secrets: ['hunter3'] }, under],
    ['platform', plain, { ...under, platform: 'cisco_ios' }],
    ['fingerprint key', plain, { ...under, maskKey: 'other' }],
  ])('is another one with another %s', (_what, collected, terms) => {
    expect(markOf(collected, name, terms)).not.toBe(markOf(plain, name, under));
  });

  it('is another one in another process, so that nobody tests a guess with it', () => {
    expect(createReadBefore().markOf(plain, name, under)).not.toBe(markOf(plain, name, under));
    expect(createReadBefore().markOfText('hunter2')).not.toBe(createReadBefore().markOfText('hunter2'));
  });
});

function withCapture(change: { readonly text?: string; readonly sent?: string }): Collected {
  return { ...plain, captures: new Map([[name, { ...capture, ...change }]]) };
}
