import { catalogue } from '../src/core/catalogue.ts';
import type { Details, ErrorCode, ErrorSpec } from '../src/core/errors.ts';
import type { ArtefactCommand, Dialogue, Driver, FactsCommand, Way } from '../src/drivers/driver.ts';
import { loadDrivers } from '../src/drivers/registry.ts';
import { coveragePage } from './coverage-page.ts';
import { dependenciesPage } from './dependencies-page.ts';
import { faultsTable } from './faults-table.ts';
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
    ['docs/platforms/coverage.md', () => coveragePage(drivers)],
    ['docs/errors.md', () => errorsPage()],
    ['docs/metrics.md', () => metricsPage()],
    ['docs/dependencies.md', () => dependenciesPage()],
    ['docs/reliability.md', (before) => replaceBlock(before, 'faults', faultsTable())],
  ];
}

function replaceBlock(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- generated: ${name} -->`, '<!-- /generated -->'];
  const from = text.indexOf(open);
  const to = text.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`there is no ${open} … ${close}`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}

/** Everything that will ever be typed, in order, and what the inventory and the device can make of it. */
function commandsOf(driver: Driver): string {
  const dialogues = driver.dialogues.map((dialogue) =>
    [`**${dialogue.name}** (${dialogue.channel})`, '', '```', ...typedIn(dialogue, driver), '```'].join('\n'),
  );
  return [...dialogues, ...archivesOf(driver), ...optionsOf(driver), ...changesOf(driver)].join('\n\n');
}

function typedIn(dialogue: Dialogue, driver: Driver): readonly string[] {
  const asked = driver.commands.flatMap((command) =>
    command.keep === 'archive' ? [] : linesOf(command, dialogue),
  );
  if (dialogue.channel === 'exec') return asked;
  const entering = Object.entries(dialogue.modes).flatMap(([name, mode]) => {
    if (mode.kind === 'prompt') {
      const moves = Object.values(mode.moves ?? {}).filter((move) => move !== undefined);
      return moves.map((move) => `${move.send}    (only at the prompt "${name}")`);
    }
    if (mode.kind !== 'question') return [];
    const { answer } = mode;
    if (!('credential' in answer)) return [`${answer.text || '(Enter)'}    (answers "${name}")`];
    const typed = answer.credential === 'username' ? 'the user name' : `the ${answer.credential} secret`;
    return [`(${typed})    (answers "${name}")`];
  });
  return [...entering, ...dialogue.prepare, ...asked, ...dialogue.leave];
}

/** What one command makes us type: in a shell line by line, else on one line. Remarks stand behind it. */
function linesOf(command: FactsCommand | ArtefactCommand, dialogue: Dialogue): readonly string[] {
  const { before = [], after = [], when, forEach, execLine } = command;
  // Written for another program than the one at this prompt.
  if (execLine !== undefined && dialogue.channel === 'shell') return [];
  const ways: readonly Pick<Way, 'send' | 'by' | 'when'>[] =
    command.keep === 'facts' ? [{ send: command.send }] : command.firstOf;
  return ways.flatMap((way, index) => {
    const remarks = [
      ...(forEach === undefined ? [] : [`for each of "${forEach.over}"`]),
      ...(when === undefined && way.when === undefined ? [] : ['where it applies']),
      ...(index === 0 ? [] : ['where the one before is refused']),
    ];
    const remark = remarks.length === 0 ? '' : `    (${remarks.join('; ')})`;
    if (way.by !== undefined) return [`${way.by === 'scp' ? 'scp -f' : 'sftp'} ${way.send}${remark}`];
    if (dialogue.channel === 'shell')
      return [...before, way.send, ...after].map((line) => `${line}${remark}`);
    const line = (execLine ?? dialogue.line).replace('{commands}', () => [...before, way.send].join('; '));
    return [`${line}${remark}`];
  });
}

function archivesOf(driver: Driver): readonly string[] {
  return driver.commands.flatMap((command) => {
    if (command.keep !== 'archive') return [];
    const { name, remove, make, makeOpen, digest, file, by } = command;
    return [
      [
        `**Archive \`${name}\`**, only where \`options: ${name}\` asks for it`,
        '',
        '```',
        ...remove,
        make,
        `${makeOpen}    (instead, without a passphrase)`,
        digest,
        `${by === 'scp' ? 'scp -f' : 'sftp'} ${file}`,
        ...remove.map((line) => `${line}    (whatever happened)`),
        `${digest}    (to see that it is gone)`,
        '```',
      ].join('\n'),
    ];
  });
}

function optionsOf({ options = [] }: Driver): readonly string[] {
  if (options.length === 0) return [];
  const rows = options.map(({ name, takes, standard, says }) => {
    const values =
      takes === 'flag'
        ? '`true`, `false`'
        : 'matching' in takes
          ? takes.expected
          : takes.map((word) => `\`${word}\``).join(', ');
    return `| \`${name}\` | ${values} | \`${standard}\` | ${says} |`;
  });
  return [
    [
      '**Options**',
      '',
      '| `options:` | values | standard | what it does |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n'),
  ];
}

function changesOf({ changes }: Driver): readonly string[] {
  if (changes === undefined) return [];
  const examples = changes.messages.map(({ means, example }) => `${means}: ${example.replaceAll('\n', ' ')}`);
  return [['**Messages that start a backup**, such as', '', '```', ...examples, '```'].join('\n')];
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
  'connect.jump': {
    hop: 'bastion',
    host: '192.0.2.1',
    port: 22,
    code: 'connect.timeout',
    says: 'no connection to 192.0.2.1 port 22 within 15 s',
    todo: 'check that the jump host is up and that no firewall drops the connection',
  },
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
  'collect.standby': { ha: 'Secondary - Standby Ready' },
  'collect.not-ready': { reply: 'The connection to mcpd has been lost' },
  'collect.archive-failed': { archive: 'ucs', step: 'make', reply: 'There is not enough space on /var' },
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
