import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Driver } from './driver.ts';

/** Files of this folder that are no drivers. */
const others = new Set(['driver', 'registry']);

/**
 * Every driver, by id: each other file of this folder is one, which exports it as `driver` and is named
 * for its id. Works in the checkout (`.ts`) and in a package (`.js`). Throws where a file breaks that rule.
 */
export async function loadDrivers(): Promise<ReadonlyMap<string, Driver>> {
  const here = new URL('.', import.meta.url);
  const drivers = new Map<string, Driver>();
  for (const file of readdirSync(fileURLToPath(here)).sort()) {
    const id = /^([a-z][a-z0-9_]*)\.[jt]s$/.exec(file)?.[1];
    if (id === undefined || others.has(id)) continue;
    const module: { readonly driver?: Driver } = await import(new URL(file, here).href);
    if (module.driver?.id !== id) throw new Error(`${file} does not export a driver with the id ${id}`);
    drivers.set(id, module.driver);
  }
  return drivers;
}
