import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadInventory } from '../../src/inventory/inventory.ts';
import { compared, expectedProblems, problemsOf, sorted } from './expected.ts';
import { options } from './support.ts';

const folder = fileURLToPath(new URL('../fixtures/inventory', import.meta.url));
const fixtures = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

describe('an inventory with mistakes', () => {
  it('has fixtures', () => {
    expect(fixtures.length).toBeGreaterThan(15);
  });

  it.each(fixtures)('%s: every mistake is named at once, with path, line and nearest word', (name) => {
    const file = `${folder}/${name}`;
    const expected = expectedProblems(readFileSync(file, 'utf8'));
    const problems = problemsOf(() => loadInventory(file, options));
    expect(expected.length).toBeGreaterThan(0);
    expect(sorted(compared(problems, expected))).toEqual(sorted(expected));
    expect(problems.map((problem) => problem.line)).toEqual(
      problems.map((problem) => problem.line).toSorted((a, b) => (a ?? 0) - (b ?? 0)),
    );
  });

  it.each(fixtures)('%s: no message shows what could be a secret', (name) => {
    const problems = problemsOf(() => loadInventory(`${folder}/${name}`, options));
    expect(JSON.stringify(problems)).not.toMatch(/hunter2/);
  });
});
