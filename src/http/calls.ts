import type { Fleet, HostKey, RunsFilter, Services } from '../cli/services.ts';
import type { Version } from '../ledger/ledger.ts';

/**
 * What of `Services` the control socket answers. The others concern files or signals of the caller's own
 * process: `init`, `daemon`, `check` (the files as they lie there now, not as the daemon read them),
 * `keysFromFile`, `exportState` and `importState`, `verify` and `acceptBreak` (a witness of its own), and `restore`, so that no identity ever comes near the daemon: it gives the sealed copy.
 */
export type CallName = Exclude<
  keyof Services & string,
  | 'init'
  | 'daemon'
  | 'check'
  | 'keysFromFile'
  | 'exportState'
  | 'importState'
  | 'verify'
  | 'acceptBreak'
  | 'restore'
>;

/** One call. Arguments arrive as a JSON array, as `wire.ts` writes values. */
export interface Call {
  /** Of each argument: JSON Schema, closed. The signal or watch that a method takes last is not among them. */
  readonly takes: readonly Schema[];
  /** How a long call follows its caller: `events` takes a watch, `signal` only that. Absent: an ordinary call. */
  readonly follows?: 'events' | 'signal';
  /** The largest request. */
  readonly bodyBytes?: number;
}

type Schema = Readonly<Record<string, unknown>>;

const mebibyte = 1024 * 1024;

/** Of a call that says nothing else. */
export const usualBodyBytes = 16 * mebibyte;

/** Names and ids end up in paths and in arguments of git: these patterns keep them names. */
export const device = { type: 'string', pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' };
const devices = list(device);
export const runId = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$' };
const commit = { type: 'string', pattern: '^[0-9a-f]{40,64}$' };
export const artefact = { type: 'string', pattern: '^[^\\u0000-\\u001f]{1,255}$' };
/** Who asks, in the words of the caller. */
const person = { type: 'string', pattern: '^[^\\u0000-\\u001f\\u007f]{1,200}$' };
const text = { type: 'string' };
const whole = { type: 'integer' };
const bytes = object<{ $bytes: string }>({ $bytes: text });

export const calls: Readonly<Record<CallName, Call>> = {
  fleet: { takes: [] },
  reach: { takes: [devices], follows: 'events' },
  backup: { takes: [devices], follows: 'events' },
  status: { takes: [devices] },
  remotes: { takes: [] },
  runs: {
    takes: [
      object<RunsFilter>({
        devices: orNull(devices),
        states: orNull(
          list({ enum: ['running', 'changed', 'unchanged', 'failed', 'quarantined', 'missed', 'skipped'] }),
        ),
        sinceMs: orNull(whole),
        untilMs: orNull(whole),
      }),
    ],
  },
  run: { takes: [runId] },
  versions: { takes: [device] },
  held: { takes: [device] },
  text: {
    takes: [
      object<Version>({
        deviceId: { type: 'string', maxLength: 128 },
        artefact,
        commit,
        path: { type: 'string', pattern: '^[^\\u0000-\\u001f]{1,1024}$' },
        runId,
        atMs: whole,
        bytes: orNull(whole),
      }),
    ],
  },
  messages: { takes: [list(commit)] },
  // Two artefacts of 64 MiB, with what JSON and UTF-8 add.
  compare: { takes: [device, text, text], bodyBytes: 256 * mebibyte },
  transcript: { takes: [device, orNull(runId)] },
  accept: { takes: [device, runId, person] },
  release: { takes: [device, person] },
  offeredKeys: { takes: [devices], follows: 'signal' },
  trust: {
    takes: [
      list(
        object<Parameters<Services['trust']>[0][number]>({
          device,
          jumpHost: { type: 'boolean' },
          keys: list(object<HostKey>({ type: text, fingerprint: text, blob: bytes })),
        }),
      ),
      { type: 'boolean' },
    ],
  },
  archives: { takes: [device] },
  sealed: { takes: [device, artefact, orNull(runId)] },
};

/** The schema of a request's body. */
export function bodySchema({ takes }: Call): Schema {
  const length = { minItems: takes.length, maxItems: takes.length };
  return takes.length === 0 ? { type: 'array', ...length } : { type: 'array', items: takes, ...length };
}

/** The fleet as it is told to others: names alone, and no password that the inventory holds literally. */
export function namesIn(fleet: Fleet): Fleet {
  return { ...fleet, devices: fleet.devices.map(({ name, group, enabled }) => ({ name, group, enabled })) };
}

function list(items: Schema): Schema {
  return { type: 'array', items };
}

/** Closed: a property that the type gains has to be named here too. */
function object<Type>(properties: Readonly<Record<keyof Type & string, Schema>>): Schema {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: 'null' }] };
}
