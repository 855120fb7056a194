import { existsSync, readdirSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { corpusDir } from '../support/corpus.ts';
import {
  artefactOf,
  cutsAtLines,
  factsIn,
  judged,
  latin1File,
  masked,
  modesOf,
  promptsOf,
} from '../support/driver-probe.ts';

const drivers = await loadDrivers();

function driverOf(id: string): Driver {
  const driver = drivers.get(id);
  if (driver === undefined) throw new Error(`there is no driver ${id}`);
  return driver;
}

const root = corpusDir ?? '/nowhere';
const filesOf = (id: string): readonly string[] =>
  existsSync(`${root}/${id}`) ? readdirSync(`${root}/${id}`).sort() : [];
const read = (id: string, file: string): string => latin1File(`${root}/${id}/${file}`);

/** What a file of transcripts writes as `\r`, `\x20` and `\"` in a block of YAML. */
function unescaped(text: string): string {
  return text
    .replace(/\\x([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(/\\r/g, '\r')
    .replace(/\\"/g, '"');
}

interface Simulation {
  readonly greeting: string;
  /** What was typed, and everything that came back up to the next prompt or pager. */
  readonly replies: readonly (readonly [typed: string, reply: string])[];
}

function simulation(id: string, file: string): Simulation {
  const { init_prompt, commands } = load(read(id, file)) as {
    init_prompt: string;
    commands: Record<string, string> | readonly Record<string, string>[];
  };
  const entries = Array.isArray(commands) ? commands.flatMap(Object.entries) : Object.entries(commands);
  return {
    greeting: unescaped(init_prompt),
    replies: entries.map(([typed, reply]): [string, string] => [typed, unescaped(String(reply ?? ''))]),
  };
}

/** The last line as the terminal shows it. */
function lastLine(reply: string): string {
  return reply.split('\n').at(-1)?.replaceAll('\r', '') ?? '';
}

/** The answer to a command: no echo, no pager, no CR, no prompt. */
function answer(simulated: Simulation, typed: string): string {
  const start = simulated.replies.findIndex(([line]) => line === `${typed}\n`);
  const pieces = [simulated.replies[start]?.[1] ?? ''];
  for (const [line, reply] of simulated.replies.slice(start + 1)) {
    if (line !== ' ') break;
    pieces.push(reply.replace(/^\r +\r/, ''));
  }
  const lines = pieces
    .map((piece) => piece.replace(/--More-- $/, ''))
    .join('')
    .replaceAll('\r', '')
    .split('\n');
  return `${lines.slice(1, -1).join('\n').trimEnd()}\n`;
}

const suffix = corpusDir === null ? ' (needs the reference corpus)' : '';

describe.skipIf(corpusDir === null)(`prompts of the corpus${suffix}`, () => {
  const yaml = {
    asa: 'transcript__oxidized__asa_5512_9.12-4-67_single-context_simulation.yaml',
    forti: [
      'transcript__oxidized__fortigate_FortiGate-91G_7.4.7_simulation.yaml',
      'transcript__oxidized__fortigate_FortiGate-91G_7.4.7_autoupdate_custom_simulation.yaml',
      'transcript__oxidized__fortigate_FortiGate-3001F_7.4.8_HA_simulation.yaml',
    ],
  };

  it('every state in the simulations is a prompt or a pager', () => {
    const all = [
      ['cisco_asa', yaml.asa] as const,
      ...yaml.forti.map((file) => ['fortinet_fortigate', file] as const),
    ];
    let seen = 0;
    for (const [id, file] of all) {
      const driver = driverOf(id);
      const pagers = driver.dialogues.flatMap((dialogue) =>
        dialogue.channel === 'shell' ? dialogue.pagers : [],
      );
      const { greeting, replies } = simulation(id, file);
      for (const reply of [greeting, ...replies.map(([, text]) => text)]) {
        const line = lastLine(reply);
        // What follows `exit` is the end.
        if (line === '' || line === 'exit') continue;
        const known = promptsOf(driver, line).length + pagers.filter((pager) => pager.line.test(line)).length;
        expect({ file, line, known }).toEqual({ file, line, known: 1 });
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(20);
  });

  it('every prompt in the lists is one', () => {
    for (const [id, file] of [
      ['cisco_asa', 'transcript__oxidized__asa_generic_prompt.yaml'],
      ['fortinet_fortigate', 'transcript__oxidized__fortigate_generic_prompt.yaml'],
    ] as const) {
      const { pass } = load(read(id, file)) as { pass: readonly string[] };
      const wrong = pass.filter(
        (line) => promptsOf(driverOf(id), unescaped(line).replaceAll('\r', '')).length !== 1,
      );
      expect(wrong).toEqual([]);
    }
  });

  it('every prompt of the mocked ASA is one, and its questions are known', () => {
    const states = load(
      read('cisco_asa', 'transcript__unicon.plugins__asa_mock_data.yaml').replace(
        /^(\s*prompt: "%N#")$/gm,
        '$1',
      ),
    ) as Record<string, { prompt?: string }>;
    const driver = driverOf('cisco_asa');
    const known = Object.entries(states).flatMap(([state, { prompt = '' }]) => {
      const modes = modesOf(driver, prompt.replace('%N', 'fw-hq')).map(({ mode }) => mode);
      return modes.length > 0 ? [`${state}: ${modes[0]}`] : [];
    });
    expect(known).toEqual(
      expect.arrayContaining([
        'asa_disable: user',
        'asa_password: enablePassword',
        'asa_enable: privileged',
        'asa_config: configuration',
        'asa_disable_pri_act: user',
        'asa_enable_pri_act: privileged',
        'asa_config_pri_act: configuration',
        'asa_error_reporting: reporting',
        'asa_begin_replication_message: replication',
        'asa_end_replication_message: replication',
      ]),
    );
  });

  it('every prompt in the sessions of a BIG-IP is one', () => {
    const driver = driverOf('f5_bigip');
    let seen = 0;
    for (const file of filesOf('f5_bigip').filter((name) => name.startsWith('transcript'))) {
      for (const [prompt] of read('f5_bigip', file).matchAll(
        /\[[^\]\n]+@[^\]\n]+\] \S+ # ?|^\S*@\(.*\)# ?/gm,
      )) {
        expect({ prompt, modes: promptsOf(driver, prompt).length }).toEqual({ prompt, modes: 1 });
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(15);
  });

  it('no line of any configuration, output or syslog is a prompt', () => {
    let lines = 0;
    for (const [id, driver] of drivers) {
      for (const file of filesOf(id).filter((name) => !name.startsWith('transcript'))) {
        for (const line of read(id, file).split('\n')) {
          lines++;
          const prompts = promptsOf(driver, line.replace(/\r$/, ''));
          if (prompts.length > 0) expect({ file, line, prompts }).toEqual({ file, line, prompts: [] });
        }
      }
    }
    expect(lines).toBeGreaterThan(20_000);
  });
});

/** Complete configurations, by what the manifest says of them. */
function complete(): readonly { id: string; name: string; text: string }[] {
  if (corpusDir === null) return [];
  const forti = 'fortinet_fortigate';
  const file = (id: string, name: string) => ({ id, name, text: read(id, name) });
  // Exports without the four lines of the header: everything else of them is complete.
  const headed = (name: string) => ({
    id: forti,
    name,
    text: `#config-version=FGVM64-5.00-FW-build271-140124:opmode=0:vdom=0:user=admin\n${read(forti, name)}`,
  });
  const simulated = (id: string, name: string, typed: string) => ({
    id,
    name,
    text: answer(simulation(id, name), typed),
  });
  return [
    file('cisco_asa', 'config__ciscoconfparse2__sample_01.asa'),
    simulated(
      'cisco_asa',
      'transcript__oxidized__asa_5512_9.12-4-67_single-context_simulation.yaml',
      'more system:running-config',
    ),
    file(forti, 'config__fortigate-config-parser__global.conf'),
    file(forti, 'config__fortigate-config-parser__example.conf'),
    file(forti, 'config__fortigate-config-parser__vdom.conf'),
    file(forti, 'config__datadog-agent__fortios-running-initial.txt'),
    headed('config__napalm-fortios__initial.conf'),
    headed('config__napalm-fortios__new_good.conf'),
    simulated(forti, 'transcript__oxidized__fortigate_FortiGate-91G_7.4.7_simulation.yaml', 'show | grep .'),
    ...filesOf('f5_bigip')
      .filter((name) => name.startsWith('config__f5-corkscrew__archive1'))
      .map((name) => file('f5_bigip', name)),
  ];
}

const configurations = complete();

describe.skipIf(corpusDir === null)(
  `complete configurations of the corpus${corpusDir === null ? suffix : `, ${configurations.length} of them`}`,
  () => {
    it.each(configurations)('$id $name is whole', ({ id, text }) => {
      expect(judged(driverOf(id), text)).toEqual({ whole: true });
    });

    it.each(configurations)('$id $name is balanced and titled alike when it is masked', ({ id, text }) => {
      const driver = driverOf(id);
      const { structure, proof } = artefactOf(driver).wholeWhen;
      const shown = masked(driver, text);
      if (proof === 'structure') expect(structure?.(shown)).toEqual({ whole: true });
      const titles = new Set(driver.outline(text).map(({ title }) => title));
      // Whole blocks may be volatile; no new one appears.
      expect(
        driver
          .outline(shown)
          .filter(({ title }) => !titles.has(title) && !/<(?:secret|volatile)/.test(title)),
      ).toEqual([]);
    });

    it.each(configurations)('$id $name: every cut at a line is in its class', ({ id, text }) => {
      const driver = driverOf(id);
      const { proof } = artefactOf(driver).wholeWhen;
      const full = driver.outline(text);
      const sections = new Set(full.map(({ section }) => section));
      let cuts = 0;
      let boundaries = 0;
      for (const cut of cutsAtLines(text)) {
        cuts++;
        if (!judged(driver, cut).whole) continue;
        expect(proof).toBe('structure');
        if (cut.trimEnd() === text.trimEnd()) continue;
        boundaries++;
        // Between two objects. What follows begins one, and what is there is a proper prefix or lost a section.
        const rest = text.slice(cut.length).trimStart();
        expect(rest).toMatch(id === 'f5_bigip' ? /^(?:#|[a-z][\w-]* )/ : /^config /);
        const blocks = driver.outline(cut);
        const prefix =
          blocks.length < full.length && blocks.every((block, index) => block.title === full[index]?.title);
        const has = new Set(blocks.map(({ section }) => section));
        const lost = [...sections].some((section) => !has.has(section));
        expect({ line: cuts, prefix, recognisable: prefix || lost }).toEqual({
          line: cuts,
          prefix: true,
          recognisable: true,
        });
      }
      // No balance of blocks can tell these: they are the reason for comparing with the last good copy.
      if (proof === 'structure' && cuts > 1000)
        expect(boundaries / cuts).toBeLessThan(id === 'f5_bigip' ? 0.2 : 0.08);
    });

    it('files that were damaged or are none are not whole', () => {
      const driver = driverOf('f5_bigip');
      for (const name of [
        'config__f5-corkscrew__badArchive1-partitions-bd2-bigip.conf',
        'config__batfish__f5_bigip_structured_with_imish',
      ]) {
        expect(judged(driver, read('f5_bigip', name)).whole).toBe(false);
      }
    });
  },
);

describe.skipIf(corpusDir === null)(`outputs of the corpus${suffix}`, () => {
  it.each([
    ['cisco_asa_show_version1.raw', 'asa1', '9.5(2)204', 'ASAv', '9AT1L9EX0DF', 'ntc'],
    ['cisco_asa_show_version3.raw', 'ASA2', '9.9(2)32', 'ASA5516', 'JAD222605K8', 'xxx'],
  ])('%s gives its facts', (file, hostname, version, model, serial, by) => {
    const text = read('cisco_asa', `command-output__ntc-templates__${file}`);
    expect(factsIn(driverOf('cisco_asa'), 'version', text)).toMatchObject({
      hostname,
      version,
      model,
      serial,
      'changed-by': by,
    });
  });

  it('the table of contexts of an ASA lists three, one of them the admin context', () => {
    const listing = read('cisco_asa', 'command-output__genieparser__ShowContext-golden_output_output.txt');
    const items = (name: string) => {
      const command = driverOf('cisco_asa').commands.find((one) => one.name === name);
      return command?.forEach?.items(listing, { text: () => null, options: {}, dialogue: 'terminal' });
    };
    expect(items('context-{context}.running-config')).toEqual([
      { context: 'pod1' },
      { context: 'pod2' },
      { context: 'admin' },
    ]);
    expect(items('back-to-{context}')).toEqual([{ context: 'admin' }]);
  });

  it.each([
    ['ntc-templates__cisco_asa_show_failover.raw', 'Primary - Active', 'JAF1610ALGM'],
    ['ntc-templates__cisco_asa_show_failover1.raw', 'Primary - Active', 'JAD123456EW'],
    [
      'ntc-templates__cisco_asa_show_failoveractiveactive.raw',
      'Primary - Group 1 Active, Group 2 Standby Ready',
      null,
    ],
    [
      'pyntc__show_failover_groups_active_active.txt',
      'Primary - Group 1 Active, Group 2 Standby Ready',
      null,
    ],
  ])('%s tells of the pair', (file, ha, partner) => {
    const texts: Record<string, string> = { failover: read('cisco_asa', `command-output__${file}`) };
    const seen = { text: (name: string) => texts[name] ?? null, options: {}, dialogue: 'terminal' };
    expect(driverOf('cisco_asa').state?.(seen)).toEqual({
      ha,
      standby: false,
      ...(partner === null ? {} : { partnerSerials: [partner] }),
    });
  });

  it('an ASA that nobody changed since its start has nothing to save', () => {
    const recorded = simulation(
      'cisco_asa',
      'transcript__oxidized__asa_5512_9.12-4-67_single-context_simulation.yaml',
    );
    const texts: Record<string, string> = {
      version: answer(recorded, 'show version'),
      mode: answer(recorded, 'show mode'),
      'running-config': answer(recorded, 'more system:running-config'),
    };
    const seen = { text: (name: string) => texts[name] ?? null, options: {}, dialogue: 'terminal' };
    expect(driverOf('cisco_asa').state?.(seen)).toEqual({ unsaved: false });
  });

  it('every message in the logs of an ASA is about traffic, and its header names the device or nothing', () => {
    const { changes } = driverOf('cisco_asa');
    const names = new Set<string | undefined>();
    let messages = 0;
    for (const file of filesOf('cisco_asa').filter((name) => name.startsWith('syslog'))) {
      for (const line of read('cisco_asa', file).split('\n')) {
        if (!line.includes('%ASA-')) continue;
        messages++;
        expect(changes?.messages.filter((rule) => rule.line.test(line))).toEqual([]);
        for (const rule of changes?.device ?? []) names.add(rule.exec(line)?.groups?.name);
      }
    }
    expect(messages).toBeGreaterThan(10);
    expect([...names].filter((name) => name !== undefined)).toEqual(['HQ-ASA5585']);
  });

  it('every "get system status" gives all four facts', () => {
    const files = filesOf('fortinet_fortigate').filter((name) => name.includes('get_system_status'));
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) {
      const facts = factsIn(driverOf('fortinet_fortigate'), 'status', read('fortinet_fortigate', file));
      expect({ file, facts: Object.keys(facts).sort() }).toEqual({
        file,
        facts: ['hostname', 'model', 'serial', 'version'],
      });
    }
  });

  const fortiState = (texts: { readonly [command: string]: string }) =>
    driverOf('fortinet_fortigate').state?.({
      text: (name) => texts[name] ?? null,
      options: { method: 'shell' },
      dialogue: 'terminal',
    });

  it.each([
    ['ntc-templates__fortinet_get_system_status.raw', 'a-p, master'],
    ['ntc-templates__fortinet_get_system_status_7.0.raw', null],
    ['ntc-templates__fortinet_get_system_status_7.0_1801f.raw', 'a-p, primary'],
    ['ntc-templates__fortinet_get_system_status_7.0_eval.raw', null],
    ['ntc-templates__fortinet_get_system_status_7.4.8.raw', null],
    ['napalm-fortios__get_system_status.txt', 'a-p, master'],
  ])('%s tells whether the FortiGate is one of a cluster', (file, ha) => {
    const status = read('fortinet_fortigate', `command-output__${file}`);
    expect(fortiState({ status })).toEqual(ha === null ? {} : { ha, standby: false, partnerSerials: [] });
  });

  it.each([
    ['5.6', 'a-p, slave', 'FG200Dxxxxxxxxxx', 'FG200Dyyyyyyyyyy'],
    ['5.6', 'a-p, master', 'FG200Dyyyyyyyyyy', 'FG200Dxxxxxxxxxx'],
    ['7.0_hbdev', 'a-p, primary', 'FGT40XXXXXXXXXXX', 'FGT40YYYYYYYYYYY'],
    // Both have one number there, as they were made anonymous.
    ['6.4', 'a-p, primary', 'FGXXXXXXXXXXXXXX', null],
  ])('"get system ha status" of %s, read at the unit that is %j', (version, mode, own, partner) => {
    const members = `command-output__ntc-templates__fortinet_get_system_ha_status_${version}.raw`;
    const state = fortiState({
      status: `Serial-Number: ${own}\nCurrent HA mode: ${mode}\n`,
      'ha-status': read('fortinet_fortigate', members),
    });
    expect(state).toEqual({
      ha: mode,
      standby: mode.endsWith('slave'),
      sync: 'in-sync',
      partnerSerials: partner === null ? [] : [partner],
    });
  });

  it('the FortiGate 3001F names its partner, in the format of 7.4', () => {
    const recorded = simulation(
      'fortinet_fortigate',
      'transcript__oxidized__fortigate_FortiGate-3001F_7.4.8_HA_simulation.yaml',
    );
    const status = answer(recorded, 'get system status');
    expect(fortiState({ status, 'ha-status': answer(recorded, 'get system ha status') })).toEqual({
      ha: expect.stringMatching(/^a-p, primary/),
      standby: false,
      sync: 'in-sync',
      partnerSerials: ['FG3K100000000001'],
    });
  });

  it('no complete configuration of a FortiGate is taken for the view of an account with fewer rights', () => {
    const complete = configurations.filter(({ id }) => id === 'fortinet_fortigate');
    expect(complete.length).toBeGreaterThan(6);
    for (const { name, text } of complete)
      expect({ name, state: fortiState({ 'running-config': text }) }).toEqual({ name, state: {} });
  });

  it('no message in the logs of a FortiGate about traffic is a change', () => {
    const { changes } = driverOf('fortinet_fortigate');
    let messages = 0;
    for (const file of filesOf('fortinet_fortigate').filter((name) => name.startsWith('syslog'))) {
      for (const line of read('fortinet_fortigate', file).split('\n')) {
        if (!line.includes('logid=')) continue;
        messages++;
        expect(changes?.messages.filter((rule) => rule.line.test(line))).toEqual([]);
      }
    }
    expect(messages).toBeGreaterThan(2);
  });

  it('no first line of a configuration or an output is a refusal', () => {
    for (const [id, driver] of drivers) {
      for (const file of filesOf(id).filter((name) => /^(?:config|command-output)/.test(name))) {
        if (file.includes('send_command_error')) continue;
        const lines = read(id, file)
          .split('\n')
          .filter((line) => line.trim() !== '')
          .slice(0, 5);
        const refused = lines.filter((line) => driver.refusals.some((rule) => rule.line.test(line)));
        expect({ file, refused }).toEqual({ file, refused: [] });
      }
    }
  });

  it('the recorded refusals are recognised', () => {
    const error = read('cisco_asa', 'command-output__pyntc__send_command_error.txt');
    const asa = driverOf('cisco_asa');
    expect(error.split('\n').some((line) => asa.refusals.some((rule) => rule.line.test(line)))).toBe(true);
    const { replies } = simulation(
      'fortinet_fortigate',
      'transcript__oxidized__fortigate_FortiGate-3001F_7.4.8_HA_simulation.yaml',
    );
    const forti = driverOf('fortinet_fortigate');
    expect(
      replies
        .flatMap(([, reply]) => reply.split(/\r*\n/))
        .filter((line) => /^(?:Command fail|Unknown action)/.test(line))
        .every((line) => forti.refusals.some((rule) => rule.line.test(line))),
    ).toBe(true);
  });

  it('what Oxidized counts as no change is not in git', () => {
    const driver = driverOf('fortinet_fortigate');
    const { fail, pass } = load(
      read(
        'fortinet_fortigate',
        'transcript__oxidized__fortigate_FortiGate-91G_7.4.7_significant_changes.yaml',
      ),
    ) as { fail: readonly string[]; pass: readonly string[] };
    const simulated = simulation(
      'fortinet_fortigate',
      'transcript__oxidized__fortigate_FortiGate-91G_7.4.7_simulation.yaml',
    );
    const text = masked(driver, answer(simulated, 'show | grep .'));
    for (const line of fail) expect(text).not.toContain(line);
    for (const line of pass) expect(text).toContain(line);
  });
});
