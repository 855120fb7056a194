import { readdirSync } from 'node:fs';
import { root } from './promql.ts';

/** The commands of the program: one file each, and the service. */
export function commandNames(): readonly string[] {
  const files = readdirSync(`${root}src/cli/commands`).map((file) => file.replace(/\.ts$/, ''));
  return [...new Set([...files, 'daemon'])];
}
