import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'the lines that a commit counts', () => {
  it('of two texts of 50 000 lines with nothing in common are counted by git, beside the event loop', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'roundsman-counts-'));
    try {
      const repository = await openRepository({ dir: join(dir, 'configs.git') });
      const text = (word: string): string =>
        Array.from({ length: 50_000 }, (_, index) => `${word} ${index}\n`).join('');
      const commit = (word: string, atMs: number) =>
        repository.commit({
          subject: ({ addedLines, removedLines }) => `+${addedLines} -${removedLines}`,
          ...{ body: '', trailers: [['Run-Id', word]], remove: [], atMs },
          files: [{ path: artefactPath('default', 'fw1', 'running-config'), text: text(word) }],
        });
      await commit('before', 1_000);
      let ended = false;
      const began = performance.now();
      const counted = commit('after', 2_000).finally(() => {
        ended = true;
      });
      let longest = 0;
      for (let turned = began; !ended; ) {
        await setImmediate();
        const now = performance.now();
        longest = Math.max(longest, now - turned);
        turned = now;
      }
      expect(await counted).toMatchObject({ addedLines: 50_000, removedLines: 50_000 });
      expect(longest / (performance.now() - began)).toBeLessThan(0.5);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
