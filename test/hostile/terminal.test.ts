import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

/*
 * A device whose every word would take the terminal over, looked at in a real one: tmux says what its title, its
 * cursor and its screen are, and pipe-pane hands over every octet that reached it.
 */

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

/** What a terminal would obey, each with the word that it would leave behind. */
const attack = [
  '\x1b]0;owned-title\x07',
  '\x1b]2;owned-title\x1b\\',
  '\x1bk owned-window\x1b\\',
  '\x1b[?1049h',
  '\x1b[2J\x1b[H',
  '\x1b[12;40Howned-place',
  '\x1b[31mowned-colour',
  '\x1bPowned-dcs\x1b\\',
  '\x1b_owned-apc\x1b\\',
  '\xc2\x9b31mowned-c1',
  '**\x18B00000000000000\x18\x18',
  '\x07\x08\x08\x0b\x0c\x0e',
  '\xe2\x80\xaeowned-bidi\xe2\x81\xa7',
  '\xf3\xa0\x81\xa1\xe2\x80\x8b\xef\xbb\xbf',
  'text\rowned-return',
].join(' ');

/** The same, where no octet of it is UTF-8: C1 controls are one octet each then. */
const torn = `${attack} \x9b2J\x9d0;owned-title\x9c \xff\xfe\xc3`;

function hostile(words: string): string {
  return asaConfig
    .replace('names\n', `names\nbanner motd ${words}\n`)
    .replace(' nameif outside\n', ` description ${words}\n nameif outside\n`)
    .replace('FCH19TESTAA', `FCH19${words.replaceAll(' ', '')}`);
}

/** Nothing of the kind may reach the terminal, as octets. */
const harmful =
  /\x1b[\]PX^_k]|\x1b\[\?1049|\x1b\[2J|\x1b\[\d+;\d+H|[\x00\x07\x0b\x0c\x0e\x18\x90-\x9f](?<![\xc2-\xf4][\x80-\xbf]*)|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xa9]|\xef\xbb\xbf|\xf3\xa0|[\xfe\xff]/;
/** What we send ourselves: colours, and the line of progress that is drawn again. */
const ours = /\x1b\[(?:[123]|22|3[1236]|39)m|\x1b\[K/g;

describeWith('tmux', 'in a terminal', (tmux) => {
  const workspace = new Workspace();
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-tmux-'));
  const raw = join(dir, 'raw');
  const devices: FakeDevice[] = [];
  let titleBefore = '';

  const call = async (...args: string[]): Promise<string> =>
    (await run(tmux, ['-S', join(dir, 'socket'), '-f', '/dev/null', ...args])).stdout;
  const state = async (): Promise<string> =>
    (
      await call('display-message', '-p', '#{pane_title}|#{window_name}|#{alternate_on}|#{mouse_any_flag}')
    ).trim();

  /** Types a command line and returns every octet that came of it, without its echo. */
  async function typed(line: string, keys: readonly string[] = []): Promise<string> {
    const mark = `end${Math.random().toString(36).slice(2)}`;
    const from = readFileSync(raw, 'latin1').length;
    // The shell puts it together, so that the echo is not taken for it.
    await call('send-keys', '-l', `${line}; printf '%s\\n' "${mark.slice(0, 5)}""${mark.slice(5)}"`);
    await call('send-keys', 'Enter');
    const deadline = performance.now() + 30_000;
    for (;;) {
      const octets = readFileSync(raw, 'latin1').slice(from);
      if (octets.includes(mark)) {
        const [, ...lines] = octets.split('\n');
        return lines.join('\n');
      }
      if (performance.now() > deadline) throw new Error(`${line} did not end: ${JSON.stringify(octets)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (const key of keys) await call('send-keys', key);
    }
  }

  beforeAll(async () => {
    await workspace.init();
    workspace.env.TEST_PASSWORD = 'hunter2-terminal';
    workspace.env.TEST_ENABLE = 'hunter3-terminal';
    const account = { username: 'backup', password: 'hunter2-terminal', enable: 'hunter3-terminal' };
    const common = { platform: 'cisco_asa', hostname: 'fw-asa', ...account } as const;
    const words = torn.replaceAll('\r', '');
    const [shown, broken] = await Promise.all(
      [attack, torn].map((text) =>
        startFakeDevice({
          ...common,
          config: hostile(text),
          sshBanner: text,
          greeting: `${text}\n`,
          facts: { serial: `FCH19${text.replaceAll(/[\r ]/g, '')}`, model: 'ASA5516' },
        }),
      ),
    );
    if (shown === undefined || broken === undefined) throw new Error('no device');
    const refusing = await startFakeDevice({
      ...common,
      config: hostile(torn),
      faults: { replace: { command: 'more', with: `ERROR: % Invalid input ${words}\n` } },
      answers: { 'show running-config': `ERROR: % ${words}\n` },
    });
    const asking = await startFakeDevice({
      ...common,
      config: hostile(torn),
      methods: ['keyboard-interactive'],
      faults: { oddQuestion: `${words} code: ` },
      ident: 'Cisco-1.25',
    });
    devices.push(shown, broken, refusing, asking);
    const yaml = (name: string, device: FakeDevice): string =>
      deviceYaml({ name, platform: 'cisco_asa', port: device.port });
    workspace.inventory(
      `${credentialsYaml}devices:\n${yaml('shown', shown)}${yaml('torn', broken)}${yaml('refusing', refusing)}${yaml('asking', asking)}`,
    );
    writeFileSync(join(dir, 'exact'), hostile(attack), 'latin1');
    writeFileSync(raw, '');
    const { PATH = '', HOME = '' } = process.env;
    const env = {
      PATH,
      HOME,
      ...workspace.env,
      ROUNDSMAN_CONFIG: workspace.config,
      PS1: '',
      LANG: 'C.UTF-8',
    };
    await call(
      ...['new-session', '-d', '-x', '120', '-y', '40', '-s', 'main', '-n', 'ours'],
      ...Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
      '/bin/sh',
    );
    // A terminal that takes titles from programs, as most do.
    await call('set-option', '-g', 'allow-rename', 'on');
    await call('pipe-pane', '-o', `cat >> ${raw}`);
    await typed(`rm() { '${process.execPath}' '${program}' "$@"; }`);
    titleBefore = await state();
  }, 60_000);

  afterAll(async () => {
    await call('kill-server').catch(() => '');
    for (const device of devices) await device.stop();
    workspace[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const lines: readonly (readonly [string, string, readonly string[]])[] = [
    ['trust', 'rm trust --all --yes', []],
    ['backup, with its progress', 'rm backup', []],
    ['a second backup', 'rm backup shown', []],
    ['check', 'rm check', []],
    ['status', 'rm status', []],
    ['status of one device', 'rm status shown refusing asking', []],
    ['runs', 'rm runs', []],
    ['log', 'rm log shown', ['q']],
    ['show in the pager', 'rm show shown', ['Space', 'q']],
    ['show without a pager', 'PAGER=cat rm show shown', []],
    ['show of what is no UTF-8', 'PAGER=cat rm show torn', []],
    ['diff', 'PAGER=cat rm diff shown', []],
    ['JSON of status', 'rm status --json', []],
    ['JSON of runs', 'rm runs --json', []],
    ['JSON of log', 'rm log shown --json', []],
    ['JSON of show', 'rm show shown --json', []],
    ['JSON of a backup, with its log', 'rm backup --json 2>&1', []],
    ['restore', 'rm restore shown --identity identity.txt', []],
  ];

  it.each(lines)(
    '%s leaves title, screen and colours alone',
    async (_what, line, keys) => {
      const octets = await typed(`cd '${workspace.dir}'; ${line}`, keys);
      expect(octets.replace(/\r\n/g, '\n').length).toBeGreaterThan(20);
      expect(harmful.exec(octets)?.[0]).toBeUndefined();
      // A pager moves the cursor itself.
      if (keys.length === 0) expect(octets.replace(ours, '')).not.toContain('\x1b');
      expect(await state()).toBe(titleBefore);
    },
    60_000,
  );

  it('shows what was there, written out', async () => {
    const octets = await typed(`cd '${workspace.dir}'; PAGER=cat rm show shown`);
    expect(octets).toContain('\\x1b]0;owned-title\\x07');
    expect(octets).toContain('\\x9b31mowned-c1');
    expect(octets).toContain('\\u{202e}owned-bidi\\u{2067}');
    expect(octets).toContain('\\u{e0061}\\u{200b}\\u{feff}');
    expect(octets).toContain('text\\x0downed-return');
    const failure = await typed(`cd '${workspace.dir}'; rm runs refusing --json; rm runs asking --json`);
    expect(failure).toContain('owned-title');
  }, 60_000);

  it('of which the same octets, printed as they are, make another terminal', async () => {
    // Without this nobody knows that the tests above can fail.
    const octets = await typed(`cat '${dir}/exact'; printf '\\033[?1049h'`);
    expect(harmful.test(octets)).toBe(true);
    expect(await state()).not.toBe(titleBefore);
  }, 60_000);
});
