import { type Block, type Capture, type Driver, defineDriver } from '../../src/drivers/driver.ts';

/** Blocks of a tiny language: a head at column 0, its body indented by one blank. */
export function tinyOutline(text: string): readonly Block[] {
  const blocks: { firstLine: number; lastLine: number; section: string; title: string }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const open = blocks.at(-1);
    if (line.startsWith(' ') && open !== undefined && open.lastLine === index - 1) open.lastLine = index;
    else if (/^[a-z]/.test(line)) {
      blocks.push({ firstLine: index, lastLine: index, section: line.split(' ')[0] ?? '', title: line });
    }
  }
  return blocks;
}

/** A platform of one page: enough to try every kind of rule. */
export const tiny: Driver = defineDriver({
  id: 'tiny',
  title: 'Tiny',
  sources: [],
  dialogues: [
    {
      channel: 'shell',
      name: 'shell',
      modes: { ready: { kind: 'prompt', line: /^(?<host>\S+)# $/ } },
      greetedBy: ['ready'],
      worksIn: ['ready'],
      prepare: [],
      pagers: [],
      leave: [],
    },
  ],
  commands: [
    { name: 'version', keep: 'facts', send: 'show version' },
    { name: 'inventory', keep: 'facts', send: 'show inventory', mayBeRefusedBecause: 'it is new' },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [{ send: 'show all', restorable: 'yes', because: null }],
      wholeWhen: {
        firstLine: /^begin$/,
        atLeastLines: 3,
        structure: (text) =>
          text.includes('broken') ? { whole: false, because: 'a block is broken' } : { whole: true },
        proof: 'structure',
      },
    },
    {
      name: 'marked',
      keep: 'artefact',
      firstOf: [{ send: 'show marked', restorable: 'yes', because: null }],
      wholeWhen: { lastLine: /^: end$/, atLeastLines: 1, proof: 'end-marker' },
    },
  ],
  refusals: [],
  volatile: [
    { line: /^uptime /, act: 'drop', because: 'it counts', example: 'uptime 3 days' },
    { line: /^stats$/, until: /^end-stats$/, act: 'drop', because: 'counters', example: 'stats\nend-stats' },
    {
      line: /^written at (?<volatile>\S+)/,
      act: 'mask',
      because: 'a time',
      example: 'written at 12:00',
    },
  ],
  secrets: [
    { line: /^password (?<secret>\S+)/, kind: 'password', example: 'password hunter2' },
    { line: /^ key (?<secret>\S+)/, kind: 'shared-key', inSection: /^server /, example: ' key k' },
    { line: /^cipher (?<secret>\S+)/, kind: 'password', rotates: true, example: 'cipher x' },
    {
      line: /^blob "(?<secret>.*)$/,
      until: /^(?<secret>.*)"$/,
      kind: 'private-key',
      example: 'blob "a\nb"',
    },
  ],
  restorable: [
    { line: /^secret \*+$/, is: 'no', because: 'the device hid its secrets', example: 'secret *****' },
    { line: /^limited$/, is: 'partial', because: 'the account sees a part', example: 'limited' },
  ],
  facts: [
    { fact: 'hostname', from: 'version', line: /^host (?<value>.*)$/, example: 'host fw1' },
    { fact: 'serial', from: 'version', line: /^serial (?<value>\S+)$/, example: 'serial A1' },
    { fact: 'serial', from: 'version', line: /^partner serial (?<value>\S+)$/, example: 'partner serial B1' },
    { fact: 'version', from: 'inventory', line: /^v(?<value>.*)$/, example: 'v1' },
  ],
  outline: tinyOutline,
} as const);

export function capture(text: string, over: Partial<Capture> = {}): Capture {
  return { text, endedBy: 'prompt', exitStatus: null, sent: 'show all', ...over };
}

/** Runs `work` and fails when it takes far longer than text of this size can need on a busy machine. */
export function secondsOf(work: () => unknown): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}
