import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('asks V8 for nothing that this Node does not know', () => {
  const main = readFileSync(new URL('../../src/main.ts', import.meta.url), 'utf8');
  const asked = [...main.matchAll(/'(--[a-z-]+)=\d+'/g)].map(([, flag]) => flag);
  expect(asked.length).toBeGreaterThan(0);
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  for (const flag of asked) expect(known).toContain(`  ${flag} (`);
});
