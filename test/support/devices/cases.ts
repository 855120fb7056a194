import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import type { Restorable } from '../../../src/core/errors.ts';
import type { Options } from '../../../src/drivers/driver.ts';
import type { DeviceSpec, Platform } from './spec.ts';

/** One folder below test/fixtures/<platform>: a device, and what has to come out of it. */
export interface FixtureCase {
  readonly platform: Platform;
  readonly name: string;
  readonly title: string;
  readonly device: DeviceSpec;
  /** What the inventory says under `options:`. */
  readonly options: Options;
  readonly facts: { readonly [fact: string]: string };
  readonly restorable: Restorable;
  /** Must appear nowhere. One character per byte. */
  readonly secrets: readonly string[];
  /** Look like secrets or stand beside one, and must be left alone. One character per byte. */
  readonly neighbours: readonly string[];
  /** Every line that is typed after the login, where it cannot be told from the driver; null: it can. */
  readonly typed: readonly string[] | null;
  readonly folder: string;
}

const root = fileURLToPath(new URL('../../fixtures', import.meta.url));

/** The cases of a platform, by name; empty where it has no folder. */
export function casesOf(platform: string): readonly FixtureCase[] {
  let names: string[];
  try {
    names = readdirSync(`${root}/${platform}`).sort();
  } catch {
    return [];
  }
  return names.map((name) => loadCase(platform, name));
}

/**
 * Reads one case. The device's text, device.cfg, is taken byte for byte; so is every other file of the folder that
 * case.yaml names: a value `'@file NAME'` anywhere below `device:` stands for its content.
 */
export function loadCase(platform: string, name: string): FixtureCase {
  const folder = `${root}/${platform}/${name}`;
  const written = load(readFileSync(`${folder}/case.yaml`, 'utf8')) as {
    title: string;
    device: Omit<DeviceSpec, 'platform' | 'config'>;
    options?: Options;
    facts: { [fact: string]: string };
    restorable: Restorable | boolean;
    secrets: string[];
    neighbours: string[];
    typed?: string[];
  };
  return {
    platform: platform as Platform,
    name,
    title: written.title,
    device: {
      ...(withFiles(written.device, folder) as typeof written.device),
      platform: platform as Platform,
      config: readFileSync(`${folder}/device.cfg`, 'latin1'),
    },
    options: written.options ?? {},
    facts: written.facts,
    restorable: written.restorable as Restorable,
    secrets: written.secrets,
    neighbours: written.neighbours,
    typed: written.typed ?? null,
    folder,
  };
}

function withFiles(value: unknown, folder: string): unknown {
  if (typeof value === 'string') {
    const file = /^@file (\S+)$/.exec(value)?.[1];
    return file === undefined ? value : readFileSync(`${folder}/${file}`, 'latin1');
  }
  if (Array.isArray(value)) return value.map((one) => withFiles(one, folder));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withFiles(one, folder)]));
}

/** Where the expected text of an artefact stands: `expected.cfg`, and `expected/<artefact>.cfg` for all but the first one. */
export function expectedPath({ folder }: FixtureCase, artefact: string): string {
  return artefact === 'running-config'
    ? `${folder}/expected.cfg`
    : `${folder}/expected/${artefact.replaceAll('/', '_')}.cfg`;
}

/** Every artefact text that a fixture expects, by the name of its file without the ending. */
export function expectedTexts(fixture: FixtureCase): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  const add = (name: string, path: string): void => {
    try {
      texts.set(name, readFileSync(path, 'latin1'));
    } catch {
      // Not this one.
    }
  };
  add('running-config', expectedPath(fixture, 'running-config'));
  let more: string[] = [];
  try {
    more = readdirSync(`${fixture.folder}/expected`).sort();
  } catch {
    // One artefact and no more.
  }
  for (const file of more) add(file.replace(/\.cfg$/, ''), `${fixture.folder}/expected/${file}`);
  return texts;
}

/** Everything that the device may display as configuration, template by template. */
export function templatesOf({ device }: FixtureCase): readonly string[] {
  const contexts = (device.contexts ?? []).flatMap(({ config, saved }) => [config, saved]);
  const parts = [device.globalConfig, device.fullConfig];
  const texts = [device.config, ...parts, ...Object.values(device.files ?? {}), ...contexts];
  return texts.filter((text) => text !== undefined && text !== null);
}
