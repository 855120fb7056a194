import type { z } from 'zod';
import type { ArchivePlan, Device, SecretRef } from '../core/device.ts';
import type { Problem } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import type { OptionSpec } from '../drivers/driver.ts';
import { isMapping } from './mapping.ts';
import { judged, type Reader, section } from './schema.ts';
import { choice, flag, listIfShort, schedule, secret, text } from './values.ts';
import type { Path } from './yaml.ts';

/** What the inventory may choose of one platform. */
export interface Choices {
  readonly options: readonly OptionSpec[];
  /** Names of the files that its devices can make. */
  readonly archives: readonly string[];
}

/** What one level says under `options:`, as it is written; keys with mistakes are left out. */
export interface Stated {
  readonly at: Path;
  readonly values: ReadonlyMap<string, unknown>;
}

/** What becomes of all levels together. */
export interface Chosen {
  readonly options: Device['options'];
  /** The time zone is that of the device. */
  readonly archives: readonly Omit<ArchivePlan, 'timezone'>[];
}

/** Reads `options:` of every level, and remembers what is wrong with it and what deserves a look. */
export class OptionReader {
  readonly warnings: Problem[] = [];
  readonly #reader: Reader;
  readonly #archiveSchema: ReturnType<typeof archiveSchema>;
  readonly #blamed = new Set<string>();

  /** `dir`: where relative files lie. */
  constructor(reader: Reader, dir: string) {
    this.#reader = reader;
    this.#archiveSchema = archiveSchema(dir);
  }

  /**
   * What one level says; `raw` undefined: nothing. A value has to suit one of `platforms`: the devices of a group
   * can be of several.
   */
  state(raw: unknown, at: Path, platforms: readonly Choices[]): Stated {
    const values = new Map<string, unknown>();
    if (raw !== undefined && !isMapping(raw)) this.#reader.blame(at, 'expected a mapping (key: value)');
    for (const [key, value] of Object.entries(isMapping(raw) ? raw : {})) {
      const schemas = platforms.flatMap((choices) => this.#schemaOf(key, choices) ?? []);
      const [first] = schemas;
      if (first === undefined) {
        const known = [...new Set(platforms.flatMap(namesOf))].sort();
        const near = nearest(key, known);
        this.#reader.blame([...at, key], `unknown key${listIfShort(known, near)}`, near);
      } else if (schemas.some((schema) => schema.safeParse(value).success)) values.set(key, value);
      else this.#reader.read(first, value, [...at, key]);
    }
    for (const [key, value] of values) this.#warnOf(value, [...at, key]);
    return { at, values };
  }

  /** What holds for a device: the first of `levels` that names a key decides on it. */
  choose(levels: readonly Stated[], choices: Choices, platform: string): Chosen {
    const options: Record<string, string | boolean> = {};
    for (const spec of choices.options)
      options[spec.name] = this.#first(spec.name, optionSchema(spec), levels, platform) ?? spec.standard;
    const archives = choices.archives.flatMap((name) => {
      const entry = this.#first(name, this.#archiveSchema, levels, platform);
      return entry === null ? [] : [{ name, schedule: entry.schedule, passphrase: entry.passphrase }];
    });
    return { options, archives };
  }

  /** Null where no level says it; where what a group says suits only other platforms, that is blamed once. */
  #first<T>(name: string, schema: z.ZodType<T>, levels: readonly Stated[], platform: string): T | null {
    const level = levels.find(({ values }) => values.has(name));
    if (level === undefined) return null;
    const result = schema.safeParse(level.values.get(name));
    if (result.success) return result.data;
    const message = `does not suit its devices of ${platform}: ${result.error.issues[0]?.message ?? ''}`;
    const at = [...level.at, name];
    const mistake = `${at.join('.')} ${message}`;
    if (!this.#blamed.has(mistake)) this.#reader.blame(at, message);
    this.#blamed.add(mistake);
    return null;
  }

  #schemaOf(key: string, { options, archives }: Choices): z.ZodType | null {
    const spec = options.find(({ name }) => name === key);
    if (spec !== undefined) return optionSchema(spec);
    return archives.includes(key) ? this.#archiveSchema : null;
  }

  #warnOf(value: unknown, at: Path): void {
    const passphrase: unknown = isMapping(value) ? value.passphrase : null;
    const where = [...at, 'passphrase'];
    if (typeof passphrase === 'string')
      this.warnings.push(
        this.#reader.problem(
          where,
          'the secret itself is written here; a file, a systemd credential or a command keeps it out of this file',
        ),
      );
    else if (isMapping(passphrase) && 'env' in passphrase)
      this.warnings.push(
        this.#reader.problem(
          where,
          'is read from the environment, which child processes and crash dumps show; a file or a systemd credential is safer',
        ),
      );
  }
}

function namesOf({ options, archives }: Choices): readonly string[] {
  return [...options.map(({ name }) => name), ...archives];
}

/** Kept: one is made of zod's many parts, and ten thousand devices ask for the same few. */
const optionSchemas = new WeakMap<OptionSpec, z.ZodType<string | boolean>>();

function optionSchema(spec: OptionSpec): z.ZodType<string | boolean> {
  const kept = optionSchemas.get(spec);
  if (kept !== undefined) return kept;
  const made = makeOptionSchema(spec);
  optionSchemas.set(spec, made);
  return made;
}

function makeOptionSchema({ takes }: OptionSpec): z.ZodType<string | boolean> {
  if (takes === 'flag') return flag();
  if (!('matching' in takes)) return choice(takes);
  const { matching, expected } = takes;
  const whole = new RegExp(`^(?:${matching.source})$`, matching.flags.replace(/[gy]/g, ''));
  const words = text(expected);
  return judged(expected, (value, blame): string => {
    // A level is a number to everybody but YAML.
    const written = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
    const read = words.safeParse(written);
    if (!read.success) return blame(read.error.issues[0]?.message ?? `expected ${expected}`);
    return whole.test(read.data) ? read.data : blame(`expected ${expected}`);
  });
}

/** `{ schedule, passphrase }`; null: none, also where a group asks for it. */
function archiveSchema(dir: string): z.ZodType<{ schedule: string; passphrase: SecretRef | null } | null> {
  return section({ schedule: schedule(), passphrase: secret(dir).nullable().default(null) }).nullable();
}
