import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import { driver } from '../../src/drivers/cisco_asa.ts';
import type { Item, Seen } from '../../src/drivers/driver.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { mask, read } from '../support/conformance-reading.ts';
import { type FixtureCase, loadCase } from '../support/devices/cases.ts';
import type { AsaContext, DeviceSpec } from '../support/devices/spec.ts';

/** What a session has shown, from the texts alone. */
function seenOf(texts: Readonly<Record<string, string>>, options: Seen['options'] = {}): Seen {
  return { text: (name) => texts[name] ?? null, options, dialogue: 'terminal' };
}

function itemsOf(name: string, listing: string, seen: Seen = seenOf({})): readonly Item[] {
  return driver.commands.find((command) => command.name === name)?.forEach?.items(listing, seen) ?? [];
}

const entered = 'context-{context}.running-config';
const filed = 'context-{context}.startup-config';
const back = 'back-to-{context}';

const table = `Context Name      Class                Interfaces           Mode         URL
pod1              default              Vlan100,Vlan200      Routed       disk0:/pods/pod1
pod2              gold                 Vlan300,Vlan400      Routed       disk0:/pods/pod2
*admin            default              Vlan1000,Vlan1001,   Routed       disk0:/admin.cfg
                                       Vlan1030,Vlan1031,
                                       Vlan1082,Vlan1083...
Total active Security Contexts: 3
`;

const system = `ASA Version 9.16(4)57 <system>
!
hostname core
context-like description
admin-context admin
context admin
  allocate-interface Vlan1000
  config-url disk0:/admin.cfg
!

context spare
  description config-url disk0:/spare.cfg
!

context pod1
  config-url disk0:/pods/pod1
!

context pod2
  config-url ftp://asa:n0tr3al@192.0.2.90/pod2.cfg
!

banner motd
 config-url disk0:/banner.cfg
: end
`;

describe('the contexts of an ASA', () => {
  it('are the rows of the table; wrapped interfaces, head and sum are none', () => {
    const seen = seenOf({ 'running-config': system });
    expect(itemsOf(entered, table, seen)).toEqual([
      { context: 'pod1' },
      { context: 'pod2' },
      { context: 'admin' },
    ]);
    expect(itemsOf(back, table)).toEqual([{ context: 'admin' }]);
  });

  it.each([
    [
      'rows that begin with a blank',
      ' ctx-1            Gi0/1.200   disk0:/1.cfg\n*admin       Gi0/1   disk0:/a.cfg\n',
    ],
    [
      'the table of old versions',
      'Context Name      Interfaces               URL\nctx-1  Gi0/1  flash:/1.cfg\n*admin  Gi0/2  flash:/a.cfg\n               Gi0/3\nTotal active Security Contexts: 2\n',
    ],
    ['the pseudo context of the unit', ' ctx-1   default  Gi0/1\n*admin\n"null"            default\n'],
  ])('are found in %s', (_shape, listing) => {
    expect(itemsOf(entered, listing)).toEqual([{ context: 'ctx-1' }, { context: 'admin' }]);
    expect(itemsOf(back, listing)).toEqual([{ context: 'admin' }]);
  });

  it('get their files by name and not by position, and one without a file shifts nothing', () => {
    const ran = Object.fromEntries(
      ['pod1', 'pod2', 'admin'].map((name) => [`context-${name}.running-config`, 'text']),
    );
    const seen = seenOf({ 'running-config': system, ...ran });
    expect(itemsOf(filed, table, seen)).toEqual([
      { context: 'pod1', file: 'disk0:/pods/pod1' },
      { context: 'admin', file: 'disk0:/admin.cfg' },
    ]);
  });

  it('without a config-url are not entered: the unit has never initialised them', () => {
    const seen = seenOf({ 'running-config': system });
    expect(itemsOf(entered, ' spare   default\n*admin   default\n', seen)).toEqual([{ context: 'admin' }]);
  });

  it('keep the file of one that could not be read out of it', () => {
    expect(itemsOf(filed, table, seenOf({ 'running-config': system }))).toEqual([]);
  });

  it.each([
    'ftp://asa:n0tr3al@192.0.2.90/x.cfg',
    'http://192.0.2.90/x.cfg',
    'tftp://192.0.2.90/x.cfg',
    'disk0:/a b',
    'disk0:/$(reload)',
    'disk0:/x;reload',
    'system:running-config',
  ])('whose file is %j have none that is typed', (url) => {
    const config = `context x\n  config-url ${url}\n`;
    const seen = seenOf({ 'running-config': config, 'context-x.running-config': 'text' });
    const typed = itemsOf(filed, '*x   default\n', seen).map(({ file }) => file);
    expect(typed.filter((file) => !/^(?:disk\d|flash):\/[\w./-]*$/.test(file ?? ''))).toEqual([]);
    expect(typed.filter((file) => file === url)).toEqual([]);
  });

  it('are listed without an exception, whatever the listing is', () => {
    const words = fc.constantFrom(
      '*',
      ' ',
      'admin',
      '\n',
      'context ',
      '  config-url ',
      '"null"',
      '\r',
      '\x00',
      'Context Name',
    );
    const texts = fc.oneof(
      fc.array(words).map((all) => all.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(texts, texts, (listing, config) => {
        const seen = seenOf(
          {
            'running-config': config,
            system: '',
            contexts: listing,
            failover: listing,
            version: config,
            saved: listing,
          },
          { profiles: true },
        );
        for (const name of [entered, filed, back, 'file-{file}'])
          for (const item of itemsOf(name, listing, seen))
            for (const value of Object.values(item)) expect(value).toMatch(/^[A-Za-z0-9._:/@+~-]{1,128}$/);
        expect(typeof driver.state?.(seen)).toBe('object');
      }),
    );
  });
});

/* ── Sessions ─────────────────────────────────────────────────────────────────────────────── */

function systemOf(contexts: readonly AsaContext[]): string {
  const blocks = contexts.map(
    ({ name, url }) => `context ${name}\n${url === undefined ? '' : `  config-url ${url}\n`}!\n\n`,
  );
  return `: Saved\n:\nASA Version 9.16(4)57 <system>\n!\nhostname core-asa\nadmin-context admin\n${blocks.join('')}!\n: end`;
}

function unitWith(contexts: readonly AsaContext[], more: Partial<DeviceSpec> = {}): FixtureCase {
  const fixture = loadCase('cisco_asa', 'contexts');
  const { status, ...device } = fixture.device;
  return { ...fixture, device: { ...device, config: systemOf(contexts), contexts, ...more } };
}

/** Of a context, with these lines in it. */
function contextWith(...lines: readonly string[]): string {
  return ['ASA Version 9.16(4)57 <context>', '!', 'hostname far', '!', 'names', ...lines, ': end'].join('\n');
}

const admin: AsaContext = { name: 'admin', admin: true, url: 'disk0:/admin.cfg' };

async function linesOf(fixture: FixtureCase): Promise<{
  readonly lines: readonly string[];
  readonly names: readonly string[];
  readonly worth: readonly string[];
}> {
  const { persona, collected } = await read(driver, fixture);
  const reading = judge(driver, collected, mask);
  return {
    lines: persona.typed.filter(({ kind }) => kind === 'line').map(({ text }) => text),
    names: reading.artefacts.map(({ name }) => name),
    worth: [reading.restorable, ...(reading.restorableBecause === null ? [] : [reading.restorableBecause])],
  };
}

describe('a session with an ASA in multiple mode', () => {
  it('reads sixty contexts in one session and goes back each time, in the end to where it began', async () => {
    const sixty = Array.from({ length: 60 }, (_, index) => {
      const name = `customer-${index}`;
      return { name, url: `disk0:/${name}.cfg`, interfaces: 'Vlan1,Vlan2,Vlan3,Vlan4,Vlan5' };
    });
    const { lines, names, worth } = await linesOf(unitWith([admin, ...sixty]));
    expect(names).toHaveLength(1 + 2 * 61);
    expect(names).toContain('context-customer-59.running-config');
    expect(names).toContain('context-customer-59.startup-config');
    expect(worth).toEqual(['yes']);
    for (const [index, line] of lines.entries()) {
      if (!line.startsWith('changeto context') || index === lines.length - 2) continue;
      expect(lines.slice(index + 1, index + 3)).toEqual(['show running-config', 'changeto system']);
    }
    expect(lines.slice(-2)).toEqual(['changeto context admin', 'exit']);
    expect(lines.filter((line) => line === 'enable')).toHaveLength(1);
  });

  it('leaves out a context that somebody deletes meanwhile, and says so', async () => {
    const gone = { name: 'gone', url: 'disk0:/gone.cfg', vanishes: true };
    const stays = { name: 'stays', url: 'disk0:/stays.cfg' };
    const { lines, names, worth } = await linesOf(unitWith([admin, gone, stays]));
    expect(names).toEqual([
      'running-config',
      'context-admin.running-config',
      'context-stays.running-config',
      'context-admin.startup-config',
      'context-stays.startup-config',
    ]);
    expect(lines.filter((line) => line === 'show context')).toHaveLength(2);
    expect(worth).toEqual(['partial', 'contexts that were not read: gone']);
  });

  it('fails where a context that is still there cannot be entered', async () => {
    const locked = { name: 'locked', url: 'disk0:/locked.cfg' };
    const fixture = unitWith([admin, locked], {
      answers: { 'changeto context locked': 'Command authorization failed\n' },
    });
    const thrown = await read(driver, fixture).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(BackupError);
    expect(thrown).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'changeto context locked' },
    });
  });

  it('never stores the system configuration as that of a context, whatever words kept it from entering', async () => {
    const busy = { name: 'busy', url: 'disk0:/busy.cfg' };
    const answers = { 'changeto context busy': 'Context busy is being initialised, try later.\n' };
    const thrown = await linesOf(unitWith([admin, busy], { answers })).catch((error: unknown) => error);
    expect(thrown).toMatchObject({
      code: 'verify.incomplete',
      detail: { artefact: 'context-busy.running-config', because: expect.stringContaining('<system>') },
    });
  });

  it('takes a text that names itself one of a context for what it is, whatever was said to "changeto system"', async () => {
    const answers = { 'changeto system': 'That is not for you.\n', 'show context': table };
    const { lines, names, worth } = await linesOf(unitWith([admin], { answers }));
    expect(names).toEqual(['running-config']);
    expect(lines.filter((line) => line.startsWith('changeto'))).toEqual(['changeto system']);
    expect(worth[0]).toBe('no');
  });

  it('enters no context that was never initialised, and counts it as no loss', async () => {
    const { lines, worth } = await linesOf(unitWith([admin, { name: 'spare' }]));
    expect(lines.filter((line) => line.includes('spare'))).toEqual([]);
    expect(worth).toEqual(['yes']);
  });

  it('is partial where contexts may not be listed', async () => {
    const fixture = unitWith([admin], { answers: { 'show context': 'Command authorization failed\n' } });
    const { names, worth } = await linesOf(fixture);
    expect(names).toEqual(['running-config']);
    expect(worth).toEqual(['partial', 'its contexts were not listed: only the system configuration is here']);
  });

  it('is partial where the login may not leave its context, and nothing else is tried there', async () => {
    const { lines, names, worth } = await linesOf(loadCase('cisco_asa', 'user-context'));
    expect(names).toEqual(['running-config']);
    expect(lines.filter((line) => line.startsWith('changeto'))).toEqual(['changeto system']);
    expect(worth[0]).toBe('no');
    const clear = loadCase('cisco_asa', 'user-context');
    const keyless = clear.device.contexts?.map((context) => ({ ...context, config: systemOf([]) }));
    const fixture = {
      ...clear,
      device: { ...clear.device, ...(keyless === undefined ? {} : { contexts: keyless }) },
    };
    const answers = { 'more system:running-config': `${systemOf([]).replace('<system>', '<context>')}\n` };
    const granted = await linesOf({ ...fixture, device: { ...fixture.device, answers } });
    expect(granted.worth).toEqual([
      'partial',
      'the device runs several security contexts and only the one of the login is here',
    ]);
  });

  it('is partial for masked keys without a file, and whole where such a context has no keys', async () => {
    const keyed = contextWith('tunnel-group x ipsec-attributes', ' ikev1 pre-shared-key n0tr3al');
    const url = 'http://192.0.2.90/a.cfg';
    const without = (config: string) => linesOf(unitWith([admin, { name: 'far', url, config }]));
    expect((await without(keyed)).worth).toEqual([
      'partial',
      'contexts with masked keys and no saved file: far',
    ]);
    expect((await without(contextWith())).worth).toEqual(['yes']);
  });

  it('is worth nothing where a saved file holds asterisks itself', async () => {
    const masked = contextWith('tunnel-group x ipsec-attributes', ' ikev1 pre-shared-key *****');
    const { worth } = await linesOf(unitWith([admin, { name: 'odd', url: 'disk0:/odd.cfg', saved: masked }]));
    expect(worth[0]).toBe('no');
  });

  it('says of single mode nothing that is about contexts', async () => {
    const { lines } = await linesOf(loadCase('cisco_asa', 'typical'));
    expect(lines.filter((line) => /changeto|context/.test(line))).toEqual([]);
  });
});
