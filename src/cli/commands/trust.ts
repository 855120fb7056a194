import { describe } from '../../core/catalogue.ts';
import { UsageError } from '../../core/errors.ts';
import { counted } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { jsonFailure } from '../json.ts';
import type { Cli } from '../program.ts';
import { select } from '../select.ts';
import type { HostKey, OfferedKeys } from '../services.ts';
import { confirmed } from '../terminal/ask.ts';
import type { Style } from '../terminal/style.ts';
import { type Cell, table } from '../terminal/table.ts';

interface Options extends Common {
  readonly all?: boolean;
  readonly group?: string;
  readonly from?: string;
  readonly yes?: boolean;
  readonly replace?: boolean;
}

/**
 * - `pinned`: known already.
 * - `new`: will be pinned.
 * - `changed`: other keys are pinned for this host; pinned only with `--replace`.
 * - `inventory`: `host_key` of the inventory decides, and agrees with at least one key of this device.
 * - `not the inventory's`: `host_key` names none of the keys; it has to be corrected there.
 */
type KeyState = 'pinned' | 'new' | 'changed' | 'inventory' | "not the inventory's";

const styles: Record<KeyState, Style> = {
  pinned: 'faint',
  new: 'doubtful',
  changed: 'bad',
  inventory: 'faint',
  "not the inventory's": 'bad',
};

const columns = [
  { title: 'DEVICE' },
  { title: 'ADDRESS', dropped: 2 },
  { title: 'TYPE', dropped: 1 },
  { title: 'FINGERPRINT', min: 50 },
  { title: 'STATE', min: 7 },
];

export function trust(cli: Cli): void {
  cli
    .command('trust', 'Shows host keys for review and pins them.', [
      'roundsman trust fw1',
      'roundsman trust --all --yes',
      'roundsman trust --group hq',
      'roundsman trust --from known_hosts',
      'roundsman trust fw1 --replace',
    ])
    .argument('[names...]', 'devices of the inventory')
    .option('--all', 'every device')
    .option('--group <group>', 'every device of this group')
    .option('--from <file>', 'take the keys from a file in known_hosts format, not from the network')
    .option('--yes', 'do not ask')
    .option('--replace', 'forget the keys that were pinned before: new hardware')
    .action((names: string[], options: Options) =>
      cli.run(options, async (context) => {
        const { services, world, json } = context;
        checkSelection(names, options);
        const devices = select(await services.fleet(), { names, group: options.group }).map(
          ({ name }) => name,
        );
        const offers =
          options.from === undefined
            ? await services.offeredKeys(devices, world.signal)
            : await services.keysFromFile(devices, options.from);
        const rows = offers.map((offer) => ({ offer, keys: judge(offer) }));
        if (!json) printRows(rows, context);

        const replace = options.replace === true;
        const added = wanted(rows, 'new', ({ keys }) => keys.every(({ state }) => state !== 'changed'));
        const replaced = replace
          ? wanted(rows, null, ({ keys }) => keys.some(({ state }) => state === 'changed'))
          : [];
        const count = [...added, ...replaced].reduce((sum, { keys }) => sum + keys.length, 0);
        if (count > 0) {
          if (options.yes !== true) {
            const command = `roundsman trust ${argumentsOf(names, options)} --yes`;
            if (json) throw new UsageError('--json cannot ask', `run \`${command} --json\``);
            const question = `Compared with the devices' consoles? Pin ${counted(count, 'key')} of ${counted(added.length + replaced.length, 'device')}?`;
            if (!(await confirmed(world, question, command))) {
              context.print('Nothing was pinned.');
              return exitCodes.failed;
            }
          }
          if (added.length > 0) await services.trust(added, false);
          if (replaced.length > 0) await services.trust(replaced, true);
        }
        const pinned = new Set([...added, ...replaced].map(({ device }) => device));
        if (json) context.document(rows.map((row) => rowJson(row, pinned)));
        else context.print(`${counted(count, 'key')} pinned`);
        return rows.every((row) => isFine(row, pinned)) ? exitCodes.ok : exitCodes.devices;
      }),
    );
}

interface Row {
  readonly offer: OfferedKeys;
  readonly keys: readonly { readonly key: HostKey; readonly state: KeyState }[];
}

/** What each key that a device shows means beside what is pinned for it. */
function judge(offer: OfferedKeys): Row['keys'] {
  const { offered, pinned, demanded } = offer;
  const same = (a: HostKey, b: HostKey): boolean => a.blob.equals(b.blob);
  const isPinned = (key: HostKey): boolean => pinned.some((other) => same(key, other));
  if (demanded.length > 0) {
    const agrees = offered.some(({ fingerprint }) => demanded.includes(fingerprint));
    return offered.map((key) => ({ key, state: agrees ? 'inventory' : "not the inventory's" }));
  }
  // A key of a new type is an addition only where the device shows a pinned one too.
  const vouched = pinned.length === 0 || offered.some(isPinned);
  return offered.map((key) => {
    if (isPinned(key)) return { key, state: 'pinned' };
    const sameType = pinned.some(({ type }) => type === key.type);
    return { key, state: vouched && !sameType ? 'new' : 'changed' };
  });
}

/** The keys to pin of each device that `which` picks; `state` null: all that it shows. */
function wanted(
  rows: readonly Row[],
  state: KeyState | null,
  which: (row: Row) => boolean,
): { device: string; keys: HostKey[] }[] {
  return rows
    .filter(which)
    .map(({ offer, keys }) => ({
      device: offer.device,
      keys: keys.filter((entry) => state === null || entry.state === state).map(({ key }) => key),
    }))
    .filter(({ keys }) => keys.length > 0);
}

function isFine({ offer, keys }: Row, pinned: ReadonlySet<string>): boolean {
  if (keys.length === 0) return offer.pinned.length > 0 && offer.failure === null;
  if (pinned.has(offer.device)) return true;
  return keys.every(({ state }) => state === 'pinned' || state === 'inventory');
}

function printRows(rows: readonly Row[], { print, paint, width }: Context): void {
  const cells = rows.flatMap(({ offer, keys }): Cell[][] => {
    const address = `${offer.host}:${offer.port}`;
    if (keys.length === 0) return [[offer.device, address, '-', '-', { text: 'no key', style: 'bad' }]];
    return keys.map(({ key, state }) => [
      offer.device,
      address,
      key.type,
      key.fingerprint,
      { text: state, style: styles[state] },
    ]);
  });
  print(...table(columns, cells, width, paint), '');
  for (const { offer, keys } of rows) {
    const { device, failure } = offer;
    if (failure !== null) {
      const { message, todo } = describe(failure, { device });
      print(`${device}: ${message}`, `  → ${todo}`);
    } else if (keys.length === 0) print(`${device}: the file has no key of ${offer.host}`);
    const [first] = keys.filter(({ state }) => state === 'changed' || state === "not the inventory's");
    if (first?.state === 'changed') {
      const before = offer.pinned.map(({ type, fingerprint }) => `${type} ${fingerprint}`).join(', ');
      print(
        `${device}: pinned before: ${before}`,
        `  → compare with the console of the device; if it is new hardware, run \`roundsman trust ${device} --replace\``,
      );
    } else if (first !== undefined)
      print(
        `${device}: the inventory demands ${offer.demanded.join(', ')}`,
        '  → compare with the console of the device, then correct `host_key` in the inventory',
      );
  }
}

function rowJson({ offer, keys }: Row, pinned: ReadonlySet<string>): object {
  return {
    device: offer.device,
    host: offer.host,
    port: offer.port,
    keys: keys.map(({ key, state }) => ({ type: key.type, fingerprint: key.fingerprint, state })),
    pinned: pinned.has(offer.device),
    error: jsonFailure(offer.failure, { device: offer.device, runId: null }),
  };
}

/** Exactly one way to say which devices, so that none is trusted by an oversight. */
function checkSelection(names: readonly string[], { all, group, from }: Options): void {
  const ways = [names.length > 0, all === true, group !== undefined].filter(Boolean).length;
  if (ways === 0 && from === undefined)
    throw new UsageError('no device is named', 'name devices, or use `--all`, `--group` or `--from`');
  if (ways > 1)
    throw new UsageError(
      'devices are named in more than one way',
      'use only one of names, `--all` and `--group`',
    );
}

function argumentsOf(names: readonly string[], { all, group, from, replace }: Options): string {
  return [
    ...names,
    ...(all === true ? ['--all'] : []),
    ...(group === undefined ? [] : ['--group', group]),
    ...(from === undefined ? [] : ['--from', from]),
    ...(replace === true ? ['--replace'] : []),
  ].join(' ');
}
