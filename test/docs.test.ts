import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { generatedDocs } from '../scripts/generated-docs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('the documentation', async () => {
  it.each(await generatedDocs())('%s holds what the code says today (npm run docs)', (file, render) => {
    const text = readFileSync(`${root}${file}`, 'utf8');
    expect(text).toBe(render(text));
  });
});
