import ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { createPersona, type Persona } from './devices/persona.ts';
import { render } from './devices/render.ts';
import { type FakeDevice, startFakeDevice } from './devices/server.ts';
import type { DeviceSpec, Faults } from './devices/spec.ts';

/*
 * The fakes against the bytes of recorded sessions: what they send is the ground that everything else
 * stands on.
 */

/** Types `keys` one after the other into a shell in memory; what came back, and whether it ended. */
function talk(persona: Persona, keys: readonly string[], terminal = { columns: 80, rows: 24 }) {
  const result = { text: '', ended: null as number | null | 'cut' };
  const session = persona.shell(
    {
      write(text) {
        result.text += text;
        return true;
      },
      end: (status) => {
        result.ended = status;
      },
      cut: () => {
        result.ended = 'cut';
      },
    },
    terminal,
  );
  for (const key of keys) session.type(key);
  return result;
}

const asa: DeviceSpec = {
  platform: 'cisco_asa',
  hostname: 'fw1',
  password: 'login-pw',
  enable: 'enable-pw',
  greeting: "Type help or '?' for a list of available commands.\n",
  config: ': Saved\nhostname fw1\n: end\n',
};
const fortigate: DeviceSpec = {
  platform: 'fortinet_fortigate',
  hostname: 'fg1',
  password: 'login-pw',
  config: '#config-version=x\nconfig router multicast\nend\n',
};
const bigip: DeviceSpec = {
  platform: 'f5_bigip',
  hostname: 'lb1.corp.example',
  password: 'login-pw',
  status: ['(cfg-sync In Sync)(Active)'],
  config: 'ltm node /Common/a { }\n',
};

function numbered(lines: number): string {
  return Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join('');
}

describe('an ASA', () => {
  it('prompts with a CR in front, and stars the enable password', () => {
    const { text } = talk(createPersona(asa), ['enable\n', 'enable-pw\n']);
    expect(text).toBe(
      "Type help or '?' for a list of available commands.\r\n\rfw1> enable\r\nPassword: *********\r\n\rfw1# ",
    );
  });

  it('asks again after a wrong enable password, three times, and returns to the user prompt', () => {
    const { text } = talk(createPersona(asa), ['enable\n', 'a\n', 'b\n', 'c\n']);
    expect(text.split('Password: ').length - 1).toBe(3);
    expect(text.endsWith('Password: *\r\nInvalid password\r\n\rfw1> ')).toBe(true);
  });

  it('refuses to turn the pager off before enable', () => {
    const { text } = talk(createPersona(asa), ['terminal pager 0\n']);
    expect(text).toContain("ERROR: % Invalid input detected at '^' marker.\r\n");
    expect(text).toContain('ERROR: Command authorization failed\r\n\rfw1> ');
  });

  it('pages until it is told not to, and erases the marker with CR, blanks, CR', () => {
    const spec = { ...asa, autoEnable: true, config: numbered(60) };
    const paged = talk(createPersona(spec), ['more system:running-config\n', ' ', ' ']);
    expect(paged.text).toContain(`line 22\r\n<--- More --->\r${' '.repeat(14)}\rline 23\r\n`);
    expect(paged.text.endsWith('line 60\r\n\r\n\rfw1# ')).toBe(true);
    const plain = talk(createPersona(spec), ['terminal pager 0\n', 'more system:running-config\n']);
    expect(plain.text).not.toContain('More');
  });

  it('draws a line that is too long for the terminal again, behind a dollar sign', () => {
    const long = `show running-config ${'x'.repeat(80)}`;
    const narrow = talk(createPersona({ ...asa, autoEnable: true }), [`${long}\n`]);
    expect(narrow.text).toContain('\rfw1# $');
    const wide = talk(createPersona({ ...asa, autoEnable: true }), [`${long}\n`], { columns: 511, rows: 24 });
    expect(wide.text).toContain(`fw1# ${long}\r\n`);
  });
});

describe('a FortiGate', () => {
  it('ends the echo with CR CR LF and puts an empty line before the prompt', () => {
    const { text } = talk(createPersona(fortigate), ['show\n']);
    expect(text).toBe(
      '\r\nfg1 # show\r\r\n#config-version=x\r\nconfig router multicast\r\nend\r\n\r\nfg1 # ',
    );
  });

  it('pages every command after 22 lines, and erases the marker with CR, nine blanks, CR', () => {
    const { text } = talk(createPersona({ ...fortigate, config: numbered(50) }), ['show\n', ' ', ' ']);
    expect(text).toContain('line 22\r\n--More-- \r         \rline 23\r\n');
    expect(text.endsWith('line 50\r\n\r\nfg1 # ')).toBe(true);
  });

  it('waits for the disclaimer to be accepted by the key a', () => {
    const persona = createPersona({ ...fortigate, disclaimer: 'Be good.' });
    expect(talk(persona, ['\n', 'x']).text).toBe("\r\nBe good.\r\n(Press 'a' to accept):".slice(2));
    expect(talk(persona, ['a']).text.endsWith('\r\nfg1 # ')).toBe(true);
  });

  it('answers what it does not know with Unknown action 0', () => {
    expect(talk(createPersona(fortigate), ['tmsh\n']).text).toContain('Unknown action 0\r\n\r\nfg1 # ');
  });
});

describe('a BIG-IP', () => {
  const tmsh: DeviceSpec = { ...bigip, shell: 'tmsh' };

  function exec(spec: DeviceSpec, line: string) {
    const result = { stdout: '', stderr: '', status: undefined as number | null | undefined };
    createPersona(spec).exec(line, {
      write(text, source) {
        result[source] += text;
        return true;
      },
      end: (status) => {
        result.status = status;
      },
      cut: () => {},
    });
    return result;
  }

  it('runs tmsh under bash, with its exit status', () => {
    const line = 'tmsh -q -c "cd /; show running-config recursive"';
    expect(exec(bigip, line)).toEqual({ stdout: bigip.config, stderr: '', status: 0 });
    expect(exec(bigip, 'tmsh -q -c "show nonsense"').status).toBe(1);
    expect(exec({ ...bigip, faults: { tmsh: 'missing' } }, line)).toEqual({
      stdout: '',
      stderr: 'bash: tmsh: command not found\n',
      status: 127,
    });
  });

  it('refuses the word tmsh where tmsh is the shell', () => {
    const refused = exec({ ...tmsh, errorsTo: 'stdout' }, 'tmsh -q -c "show sys version"');
    expect(refused.stdout).toBe('Syntax Error: unexpected argument "tmsh"\n');
    expect(refused.status).toBe(1);
  });

  it('pages through less, which wraps long lines itself and waits at the end', () => {
    const config = `${numbered(30)}${'y'.repeat(100)}\n`;
    const { text } = talk(createPersona({ ...tmsh, config }), ['cd /\n', 'list recursive\n', ' ', 'q']);
    expect(text).toContain('line 22\r\n\x1b[7m---(less 68%)---\x1b[m\x1b[K\r\x1b[Kline 23\r\n');
    expect(text).toContain(`${'y'.repeat(80)} \b${'y'.repeat(20)}\r\n\x1b[7m(END)\x1b[m\x1b[K\r\x1b[K`);
    expect(text.endsWith('backup@(lb1)(cfg-sync In Sync)(Active)(/)(tmos)# ')).toBe(true);
  });

  it('asks before it displays many items', () => {
    const spec = { ...tmsh, displayThreshold: 10, config: numbered(12) };
    const asked = talk(createPersona(spec), ['list recursive\n']);
    expect(asked.text.endsWith('Display all 12 items? (y/n) ')).toBe(true);
    expect(talk(createPersona(spec), ['list recursive\n', 'n']).text).not.toContain('line 1');
    expect(talk(createPersona(spec), ['list recursive\n', 'y']).text).toContain('line 12');
  });
});

describe('faults', () => {
  function shown(faults: Faults): { text: string; ended: unknown } {
    return talk(createPersona({ ...fortigate, config: numbered(10), faults }), ['show\n']);
  }

  it('spoil one answer as they say', () => {
    expect(shown({ nothingTo: 'show' }).text.endsWith('show\r\r\n\r\nfg1 # ')).toBe(true);
    expect(shown({ silentTo: 'show' }).text.endsWith('show\r\r\n')).toBe(true);
    expect(shown({ stopAfter: { command: 'show', lines: 3 } }).text.endsWith('line 3\r\n\r\nfg1 # ')).toBe(
      true,
    );
    expect(shown({ dropLast: { command: 'show', lines: 2 } }).text.endsWith('line 8\r\n\r\nfg1 # ')).toBe(
      true,
    );
    expect(shown({ replace: { command: 'show', with: 'Command fail. Return code -61\n' } }).text).toContain(
      'Command fail. Return code -61\r\n\r\nfg1 # ',
    );
  });

  it('cut or silence the line at exactly the byte that they name', () => {
    // Eleven bytes after the command was typed: CR CR LF and a line of eight.
    const cut = shown({ cutAt: { command: 'show', byte: 11 } });
    expect(cut.text.endsWith('show\r\r\nline 1\r\n')).toBe(true);
    expect(cut.ended).toBe('cut');
    const silent = shown({ silentAt: { command: 'show', byte: 5 } });
    expect(silent.text.endsWith('show\r\r\nli')).toBe(true);
    expect(silent.ended).toBe(null);
  });
});

describe('what a device displays', () => {
  it('differs in its placeholders each time, and is the same for the same display', () => {
    const template = '{{enc:20}} {{hex:8}} {{digits:5}} {{asa-now}}';
    expect(render(template, 1)).toEqual(render(template, 1));
    expect(render(template, 1).text).not.toBe(render(template, 2).text);
    expect(render('{{hex:8}}/{{digits:5}}', 1).text).toMatch(/^[0-9a-f]{8}\/\d{5}$/);
    expect(render('{{asa-now}}', 1).text).toBe('01:31:01.357 UTC Wed Mar 4 2026');
  });
});

describe('behind a real SSH server', () => {
  const running: FakeDevice[] = [];

  afterEach(async () => {
    for (const device of running.splice(0)) {
      await device.stop();
      expect(device.sessions).toBe(0);
    }
  });

  async function started(spec: DeviceSpec): Promise<FakeDevice> {
    const device = await startFakeDevice(spec);
    running.push(device);
    return device;
  }

  /** Logs in and types; resolves with what came back once the connection is closed. */
  function visit(device: FakeDevice, password: string, lines: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const client = new ssh2.Client();
      let text = '';
      client.on('keyboard-interactive', (_name, _about, _language, prompts, answer) =>
        answer(prompts.map(() => password)),
      );
      client.on('error', reject).on('close', () => resolve(text));
      client.on('ready', () =>
        client.shell({ cols: 511, rows: 1000 }, (error, stream) => {
          if (error !== undefined) return reject(error);
          stream.on('data', (data: Buffer) => {
            text += data.toString('latin1');
          });
          stream.on('close', () => client.end());
          stream.write(lines.map((line) => `${line}\n`).join(''));
        }),
      );
      client.connect({
        host: device.host,
        port: device.port,
        username: 'backup',
        password,
        tryKeyboard: true,
      });
    });
  }

  it('tells what was typed, how often somebody logged in, and who is still there', async () => {
    const device = await started({ ...asa, autoEnable: true });
    const text = await visit(device, 'login-pw', ['show mode', 'exit']);
    expect(text).toContain('Security context mode: single \r\n');
    expect(device.received).toEqual(['show mode', 'exit']);
    expect(device.logins).toBe(1);
  });

  it('asks a BIG-IP password by keyboard-interactive, and then nothing a second time', async () => {
    const device = await started({ ...bigip, shell: 'tmsh' });
    expect(await visit(device, 'login-pw', ['quit'])).toContain('(tmos)# ');
    expect(device.logins).toBe(1);
  });

  it('counts a wrong password, and after three of them a FortiGate lets nobody in', async () => {
    const device = await started(fortigate);
    for (let attempt = 1; attempt <= 3; attempt++) {
      await expect(visit(device, 'wrong', [])).rejects.toThrow();
      expect(device.logins).toBe(attempt);
    }
    await expect(visit(device, 'login-pw', [])).rejects.toThrow();
  });

  it('shows another configuration and another host key when told to', async () => {
    const device = await started(fortigate);
    const before = device.fingerprint;
    device.change('#config-version=y\nend\n');
    expect(await visit(device, 'login-pw', ['show', 'exit'])).toContain('#config-version=y\r\n');
    device.setFaults({ otherHostKey: true });
    expect(device.fingerprint).not.toBe(before);
  });

  it('comes back on its port after a restart', async () => {
    const first = await started(fortigate);
    await first.stop();
    const second = await startFakeDevice(fortigate, first.port);
    running.push(second);
    expect(second.port).toBe(first.port);
  });

  it('is cheap: a hundred devices start within the patience of a test', async () => {
    await Promise.all(Array.from({ length: 100 }, () => started(fortigate)));
    expect(new Set(running.map(({ port }) => port)).size).toBe(100);
  });

  it('never holds more than the network takes, however long it prints', async () => {
    const device = await started({
      ...fortigate,
      faults: { endless: { command: 'show', line: 'a'.repeat(80) } },
    });
    const before = process.memoryUsage().rss;
    const received = await new Promise<number>((resolve, reject) => {
      const client = new ssh2.Client();
      let bytes = 0;
      client.on('error', reject).on('close', () => resolve(bytes));
      client.on('ready', () =>
        client.shell((error, stream) => {
          if (error !== undefined) return reject(error);
          stream.on('data', (data: Buffer) => {
            bytes += data.length;
            if (bytes > 20_000_000) client.end();
          });
          stream.write('show\n');
        }),
      );
      client.connect({ host: device.host, port: device.port, username: 'backup', password: 'login-pw' });
    });
    expect(received).toBeGreaterThan(20_000_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
  });
});
