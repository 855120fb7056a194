import { isDeepStrictEqual } from 'node:util';
import { describe } from '../../core/catalogue.ts';
import { UsageError } from '../../core/errors.ts';
import { counted } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { jsonFailure } from '../json.ts';
import type { Cli } from '../program.ts';
import { select } from '../select.ts';
import type { HostKey, OfferedKeys, Services } from '../services.ts';
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
        const asked = (some: readonly string[]) =>
          options.from === undefined
            ? services.offeredKeys(some, world.signal)
            : services.keysFromFile(some, options.from);
        const rows = new Map<string, Row>();
        let count = 0;
        // A jump host is passed only once its own key is trusted: each round reaches one further.
        for (let waiting: readonly string[] = devices; waiting.length > 0; ) {
          const round = judged(await asked(waiting), rows);
          for (const row of round) rows.set(keyOf(row.offer), row);
          if (!json) printRows(round, selectionOf(names, options), context);
          const pins = pinsOf(round, options.replace === true);
          count += pins.count;
          if (pins.count > 0 && !(await pin(pins, names, options, context))) return exitCodes.failed;
          for (const row of round) row.pinned ||= pins.targets.has(keyOf(row.offer));
          const passable = round.filter(({ offer, pinned }) => offer.jumpHost && pinned);
          waiting =
            passable.length === 0
              ? []
              : round
                  .filter((row) => waitsForJumpHost(row) && !row.offer.jumpHost)
                  .map(({ offer }) => offer.device);
        }
        const all = [...rows.values()];
        if (json) context.document(all.map(rowJson));
        else context.print(`${counted(count, 'key')} pinned`);
        return all.every(isFine) ? exitCodes.ok : exitCodes.devices;
      }),
    );
}

interface Row {
  readonly offer: OfferedKeys;
  readonly keys: readonly { readonly key: HostKey; readonly state: KeyState }[];
  /** This call pinned keys of it. */
  pinned: boolean;
}

/** A device and a jump host may have the same name. */
function keyOf({ device, jumpHost }: Pick<OfferedKeys, 'device' | 'jumpHost'>): string {
  return `${jumpHost ? 'jump host ' : ''}${device}`;
}

/** What is new since the rounds before: jump hosts are asked again, and were shown already. */
function judged(offers: readonly OfferedKeys[], before: ReadonlyMap<string, Row>): readonly Row[] {
  return offers
    .filter((offer) => {
      const known = before.get(keyOf(offer));
      return (
        known === undefined ||
        (known.keys.length === 0 && !isDeepStrictEqual(known.offer.failure, offer.failure))
      );
    })
    .map((offer) => ({ offer, keys: judge(offer), pinned: false }));
}

/** Whether a jump host on the way to it has to be trusted before it can be asked. */
function waitsForJumpHost({ offer: { failure } }: Row): boolean {
  return failure?.code === 'connect.jump' && failure.detail.code === 'connect.host-key-unknown';
}

/** The jump host where it failed. */
function hopOf({ offer: { failure } }: Row): string {
  return failure?.code === 'connect.jump' ? failure.detail.hop : '';
}

/** Whether this jump host is among these, with a key that can be pinned. */
function isOffered(hop: string, rows: readonly Row[]): boolean {
  return rows.some(
    ({ offer, keys }) => offer.jumpHost && offer.device === hop && keys.some(({ state }) => state === 'new'),
  );
}

interface Pins {
  readonly added: Parameters<Services['trust']>[0];
  readonly replaced: Parameters<Services['trust']>[0];
  readonly targets: ReadonlySet<string>;
  readonly count: number;
}

function pinsOf(rows: readonly Row[], replace: boolean): Pins {
  const added = wanted(rows, 'new', ({ keys }) => keys.every(({ state }) => state !== 'changed'));
  const replaced = replace
    ? wanted(rows, null, ({ keys }) => keys.some(({ state }) => state === 'changed'))
    : [];
  const both = [...added, ...replaced];
  return {
    added,
    replaced,
    targets: new Set(both.map(keyOf)),
    count: both.reduce((sum, { keys }) => sum + keys.length, 0),
  };
}

/** Asks, unless told not to, and pins; false: nothing was pinned. */
async function pin(
  { added, replaced, targets, count }: Pins,
  names: readonly string[],
  options: Options,
  { services, world, json, print }: Context,
): Promise<boolean> {
  if (options.yes !== true) {
    const command = `roundsman trust ${argumentsOf(names, options)} --yes`;
    if (json) throw new UsageError('--json cannot ask', `run \`${command} --json\``);
    const hops = [...added, ...replaced].filter(({ jumpHost }) => jumpHost).length;
    const of = [
      ...(hops === 0 ? [] : [counted(hops, 'jump host')]),
      ...(hops === targets.size ? [] : [counted(targets.size - hops, 'device')]),
    ].join(' and ');
    const question = `Compared with the devices' consoles? Pin ${counted(count, 'key')} of ${of}?`;
    if (!(await confirmed(world, question, command))) {
      print('Nothing was pinned.');
      return false;
    }
  }
  if (added.length > 0) await services.trust(added, false);
  if (replaced.length > 0) await services.trust(replaced, true);
  return true;
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
function wanted(rows: readonly Row[], state: KeyState | null, which: (row: Row) => boolean): Pins['added'] {
  return rows
    .filter(which)
    .map(({ offer, keys }) => ({
      device: offer.device,
      jumpHost: offer.jumpHost,
      keys: keys.filter((entry) => state === null || entry.state === state).map(({ key }) => key),
    }))
    .filter(({ keys }) => keys.length > 0);
}

function isFine({ offer, keys, pinned }: Row): boolean {
  if (keys.length === 0) return offer.pinned.length > 0 && offer.failure === null;
  if (pinned) return true;
  return keys.every(({ state }) => state === 'pinned' || state === 'inventory');
}

/** `selection`: the arguments that name these devices. */
function printRows(rows: readonly Row[], selection: string, { print, paint, width }: Context): void {
  const nextRound = rows.filter((row) => waitsForJumpHost(row) && isOffered(hopOf(row), rows));
  const cells = rows.flatMap((row): Cell[][] => {
    const { offer, keys } = row;
    const name = offer.jumpHost ? `${offer.device} (jump host)` : offer.device;
    const address = `${offer.host}:${offer.port}`;
    if (nextRound.includes(row))
      return [[name, address, '-', '-', { text: `behind ${hopOf(row)}`, style: 'doubtful' }]];
    if (keys.length === 0) return [[name, address, '-', '-', { text: 'no key', style: 'bad' }]];
    return keys.map(({ key, state }) => [
      name,
      address,
      key.type,
      key.fingerprint,
      { text: state, style: styles[state] },
    ]);
  });
  print(...table(columns, cells, width, paint), '');
  for (const { offer, keys } of rows.filter((row) => !nextRound.includes(row))) {
    const { device, jumpHost, failure } = offer;
    const command = `roundsman trust ${jumpHost ? selection : device} --replace`;
    if (failure !== null) {
      const { message, todo } = describe(failure, { device: jumpHost ? selection : device });
      print(`${device}: ${message}`, `  → ${todo}`);
    } else if (keys.length === 0) print(`${device}: the file has no key of ${offer.host}`);
    const [first] = keys.filter(({ state }) => state === 'changed' || state === "not the inventory's");
    if (first?.state === 'changed') {
      const before = offer.pinned.map(({ type, fingerprint }) => `${type} ${fingerprint}`).join(', ');
      print(
        `${device}: pinned before: ${before}`,
        `  → compare with the console of the device; if it is new hardware, run \`${command}\``,
      );
    } else if (first !== undefined)
      print(
        `${device}: the inventory demands ${offer.demanded.join(', ')}`,
        '  → compare with the console of the device, then correct `host_key` in the inventory',
      );
  }
}

function rowJson({ offer, keys, pinned }: Row): object {
  return {
    device: offer.device,
    jump_host: offer.jumpHost,
    host: offer.host,
    port: offer.port,
    keys: keys.map(({ key, state }) => ({ type: key.type, fingerprint: key.fingerprint, state })),
    pinned,
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

function selectionOf(names: readonly string[], { all, group }: Options): string {
  return [
    ...names,
    ...(all === true ? ['--all'] : []),
    ...(group === undefined ? [] : ['--group', group]),
  ].join(' ');
}

function argumentsOf(names: readonly string[], options: Options): string {
  const { from, replace } = options;
  const selection = selectionOf(names, options);
  return [
    ...(selection === '' ? [] : [selection]),
    ...(from === undefined ? [] : ['--from', from]),
    ...(replace === true ? ['--replace'] : []),
  ].join(' ');
}
