import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunEnded } from '../../../src/core/run.ts';
import {
  keepTranscript,
  readTranscript,
  removeTranscriptsBefore,
} from '../../../src/daemon/services/transcripts.ts';
import { createTranscript } from '../../../src/transport/transcript.ts';
import { tiny } from '../../pipeline/tiny-driver.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-transcripts-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function ended(device: string, nth: number): RunEnded {
  return {
    ...{ runId: runId(nth), device, group: 'default', platform: 'tiny', trigger: 'manual' },
    ...{
      startedAtMs: 0,
      endedAtMs: 0,
      restorable: null,
      restorableBecause: null,
      artefacts: [],
      unsaved: null,
      archives: [],
      stack: null,
    },
    settled: { outcome: 'failed', failure: { code: 'run.interrupted', detail: { by: 'signal' } } },
  };
}

function runId(nth: number): string {
  return `20260301T0200${String(nth).padStart(2, '0')}Z-00000000`;
}

async function keep(device: string, nth: number): Promise<void> {
  const transcript = createTranscript({ limitBytes: 1000 });
  transcript.received('password hunter2\n');
  await keepTranscript(dir, ended(device, nth), tiny, transcript);
}

const kept = (device: string) => readdirSync(join(dir, 'transcripts', device)).sort();

describe('transcripts', () => {
  it('of one device are the newest twenty, whatever fails as often as it likes', async () => {
    for (let nth = 0; nth < 23; nth += 1) await keep('fw1', nth);
    await keep('fw2', 0);
    expect(kept('fw1')).toEqual(Array.from({ length: 20 }, (_, index) => `${runId(index + 3)}.txt`));
    expect(kept('fw2')).toHaveLength(1);
    expect((await readTranscript(dir, 'fw1', null))?.runId).toBe(runId(22));
    expect((await readTranscript(dir, 'fw1', runId(22)))?.text).not.toContain('hunter2');
  });

  it('leaves what is no transcript alone', async () => {
    await keep('fw1', 0);
    writeFileSync(join(dir, 'transcripts/fw1/notes'), 'mine');
    for (let nth = 1; nth < 22; nth += 1) await keep('fw1', nth);
    await removeTranscriptsBefore(dir, Number.MAX_SAFE_INTEGER);
    expect(kept('fw1')).toEqual(['notes']);
  });

  it('that are older than the instant go, of every device', async () => {
    for (const device of ['fw1', 'fw2']) for (const nth of [1, 2]) await keep(device, nth);
    for (const device of ['fw1', 'fw2'])
      utimesSync(join(dir, 'transcripts', device, `${runId(1)}.txt`), 1000, 1000);
    await removeTranscriptsBefore(dir, 1_000_001);
    expect([kept('fw1'), kept('fw2')]).toEqual([[`${runId(2)}.txt`], [`${runId(2)}.txt`]]);
  });

  it('may be none at all', async () => {
    await removeTranscriptsBefore(dir, 1);
    expect(await readTranscript(dir, 'fw1', null)).toBeNull();
  });
});
