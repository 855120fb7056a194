import { catalogue } from '../src/core/catalogue.ts';
import type { Details, ErrorCode, ErrorSpec } from '../src/core/errors.ts';
import type { Command, Dialogue, Driver } from '../src/drivers/driver.ts';
import { loadDrivers } from '../src/drivers/registry.ts';
import { metricsPage } from './metrics-page.ts';

/** A file below the repository's root, and how its text becomes the one that it should be. */
type Generated = readonly [file: string, render: (before: string) => string];

/** Every file that has a generated part. */
export async function generatedDocs(): Promise<readonly Generated[]> {
  const drivers = [...(await loadDrivers()).values()];
  return [
    ...drivers.map(
      (driver): Generated => [
        `docs/platforms/${driver.id}.md`,
        (before) => replaceBlock(before, 'commands', commandsOf(driver)),
      ],
    ),
    ['docs/errors.md', () => errorsPage()],
    ['docs/metrics.md', () => metricsPage()],
  ];
}

function replaceBlock(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- generated: ${name} -->`, '<!-- /generated -->'];
  const from = text.indexOf(open);
  const to = text.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`there is no ${open} … ${close}`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}

/** Everything that will ever be typed, in order. */
function commandsOf(driver: Driver): string {
  return driver.dialogues
    .map((dialogue) =>
      [`**${dialogue.name}** (${dialogue.channel})`, '', '```', ...typedIn(dialogue, driver), '```'].join(
        '\n',
      ),
    )
    .join('\n\n');
}

function typedIn(dialogue: Dialogue, driver: Driver): readonly string[] {
  if (dialogue.channel === 'exec') {
    return driver.commands.flatMap((command) =>
      waysOf(command).map((send) =>
        dialogue.line.replace('{commands}', () => [...(command.before ?? []), send].join('; ')),
      ),
    );
  }
  const entering = Object.entries(dialogue.modes).flatMap(([name, mode]) => {
    if (mode.kind === 'prompt') {
      const moves = Object.values(mode.moves ?? {}).filter((move) => move !== undefined);
      return moves.map((move) => `${move.send}    (only at the prompt "${name}")`);
    }
    if (mode.kind !== 'question') return [];
    const { answer } = mode;
    const typed = 'credential' in answer ? `(the ${answer.credential} secret)` : answer.text || '(Enter)';
    return [`${typed}    (answers "${name}")`];
  });
  const asked = driver.commands.flatMap((command) => [
    ...(command.before ?? []),
    ...waysOf(command).map((send, index) =>
      index === 0 ? send : `${send}    (where the one before is refused)`,
    ),
  ]);
  return [...entering, ...dialogue.prepare, ...asked, ...dialogue.leave];
}

function waysOf(command: Command): readonly string[] {
  return command.keep === 'facts' ? [command.send] : command.firstOf.map((way) => way.send);
}

/** Facts that stand for those of a real failure. */
const sample: Details = {
  'inventory.invalid': { file: 'devices.yaml', path: 'devices[0].host', problem: 'expected a host' },
  'inventory.unknown-platform': { platform: 'cisco_ios', known: ['cisco_asa'] },
  'inventory.secret-unavailable': { reference: 'env RM_PASSWORD', problem: 'it is not set' },
  'credentials.held-back': {
    credential: 'readonly',
    rejectedBy: ['fw1', 'fw2', 'fw3'],
    sinceMs: Date.UTC(2026, 2, 1, 2, 0, 7),
  },
  'connect.unresolved': { host: 'fw1.example.net' },
  'connect.refused': { host: '192.0.2.10', port: 22 },
  'connect.unreachable': { host: '192.0.2.10', port: 22, errno: 'EHOSTUNREACH' },
  'connect.timeout': { host: '192.0.2.10', port: 22, afterMs: 15_000 },
  'connect.protocol': { received: 'HTTP/1.1 400 Bad Request' },
  'connect.lost-before-login': { afterMs: 800 },
  'connect.jump': { hop: 'bastion', code: 'connect.timeout' },
  'connect.no-common-algorithm': {
    kind: 'kex',
    offered: ['diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
    allowable: ['diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
  },
  'connect.host-key-unknown': { fingerprint: 'SHA256:AAAA' },
  'connect.host-key-changed': { expected: 'SHA256:AAAA', presented: 'SHA256:BBBB' },
  'login.rejected': { username: 'backup', methods: ['password'] },
  'login.enable-rejected': { username: 'backup' },
  'login.method-unavailable': { offered: ['publickey'], wanted: ['password'] },
  'login.question-unknown': { question: 'Token code:' },
  'login.password-expired': { username: 'backup' },
  'login.prompt-unrecognised': { lastLine: 'Select a menu item:', expected: ['user', 'privileged'] },
  'collect.command-refused': { command: 'show', reply: 'Command fail. Return code -61' },
  'collect.stalled': { command: 'show', idleMs: 60_000, receivedBytes: 4_096 },
  'collect.connection-lost': { command: 'show', receivedBytes: 4_096 },
  'collect.too-long': { limitMs: 1_800_000 },
  'collect.too-large': { limitBytes: 67_108_864 },
  'collect.not-ready': { reply: 'The connection to mcpd has been lost' },
  'verify.incomplete': { artefact: 'running-config', because: 'the last line is not `: end`', lines: 63 },
  'verify.shrunk': {
    artefact: 'running-config',
    previousLines: 1_518,
    lines: 600,
    lostSections: ['config router multicast'],
  },
  'verify.prefix': { artefact: 'running-config', previousObjects: 210, objects: 90 },
  'verify.downgraded': { was: 'yes', is: 'no', because: 'keys are shown as *****' },
  'verify.identity': { expected: 'fw1', presented: 'fw2' },
  'redact.leak': { artefact: 'running-config', rule: 'PEM private key', line: 120 },
  'store.locked': { lockFile: 'configs.git/refs/heads/main.lock', heldForMs: 5_000 },
  'store.disk-full': { path: '/var/lib/roundsman', freeBytes: 0 },
  'store.read-only': { path: '/var/lib/roundsman' },
  'store.permission': { path: '/var/lib/roundsman' },
  'store.io': { path: '/var/lib/roundsman', errno: 'EIO' },
  'store.seal-failed': { recipient: 'age1…' },
  'store.foreign-tip': { expected: '1111111', found: '2222222' },
  'store.git-failed': { command: 'fast-import', exitCode: 128, stderr: 'fatal: …' },
  'record.busy': { waitedMs: 5_000 },
  'record.failed': { problem: 'database disk image is malformed' },
  'run.interrupted': { by: 'signal' },
  'bug.unexpected': { thrown: 'TypeError: …' },
};

function errorsPage(): string {
  const codes = Object.keys(catalogue) as ErrorCode[];
  const sections = codes.map((code) => {
    const spec = catalogue[code] as unknown as ErrorSpec<ErrorCode>;
    return [
      `## ${code}`,
      '',
      `${spec.says(sample[code])}.`,
      '',
      `- **Do:** ${spec.todo(sample[code])}`,
      `- stage \`${spec.stage}\`, owner \`${spec.owner}\`, trying again helps: \`${spec.retry}\``,
    ].join('\n');
  });
  return `${[
    '# Failures',
    '',
    'Generated by `npm run docs` from `src/core/catalogue.ts`, with facts made up for the example. A code is the same',
    'word in the log, in `--json`, in the ledger and here, and is never renamed. Every failure leaves the last good',
    'copy and its history untouched.',
    '',
    ...sections.flatMap((section) => [section, '']),
  ]
    .join('\n')
    .trimEnd()}\n`;
}
