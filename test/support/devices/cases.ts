import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import type { Restorable } from '../../../src/core/errors.ts';
import type { DeviceSpec, Platform } from './spec.ts';

/** One folder below test/fixtures/<platform>: a device, and what has to come out of it. */
export interface FixtureCase {
  readonly platform: Platform;
  readonly name: string;
  readonly title: string;
  readonly device: DeviceSpec;
  readonly facts: { readonly [fact: string]: string };
  readonly restorable: Restorable;
  /** Must appear nowhere. One character per byte. */
  readonly secrets: readonly string[];
  /** Look like secrets or stand beside one, and must be left alone. One character per byte. */
  readonly neighbours: readonly string[];
  readonly expectedPath: string;
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

/** Reads one case. The device's text is taken byte for byte. */
export function loadCase(platform: string, name: string): FixtureCase {
  const folder = `${root}/${platform}/${name}`;
  const written = load(readFileSync(`${folder}/case.yaml`, 'utf8')) as {
    title: string;
    device: Omit<DeviceSpec, 'platform' | 'config'>;
    facts: { [fact: string]: string };
    restorable: Restorable | boolean;
    secrets: string[];
    neighbours: string[];
  };
  return {
    platform: platform as Platform,
    name,
    title: written.title,
    device: {
      ...written.device,
      platform: platform as Platform,
      config: readFileSync(`${folder}/device.cfg`, 'latin1'),
    },
    facts: written.facts,
    restorable: written.restorable as Restorable,
    secrets: written.secrets,
    neighbours: written.neighbours,
    expectedPath: `${folder}/expected.cfg`,
  };
}
