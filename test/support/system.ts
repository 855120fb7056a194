import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';

/** The full path of a system program, or null where it is not installed. */
export function programPath(name: string): string | null {
  for (const dir of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(dir, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return null;
}

/**
 * A group of tests that needs a system program. Where it is absent the group is skipped under a name
 * that says so, and counted at the end; `.ci/run` installs everything and sets ROUNDSMAN_REQUIRE_ALL,
 * and then the absence is an error.
 */
export function describeWith(program: string, name: string, tests: (path: string) => void): void {
  const path = programPath(program);
  if (path !== null) describe(name, () => tests(path));
  else if (process.env.ROUNDSMAN_REQUIRE_ALL !== undefined) {
    throw new Error(`${program} is not installed: ${name} cannot be tested`);
  } else describe.skip(`${name} (needs ${program})`, () => tests(program));
}
