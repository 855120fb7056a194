import { readdirSync } from 'node:fs';
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
  corpusDir === null ? [] : readdirSync(`${root}/${id}`).sort();
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
