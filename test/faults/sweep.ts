import { expect } from 'vitest';
import { type Deed, FaultyDisk, type Kind } from './faulty-disk.ts';
import { World } from './world.ts';

/** Which calls of a backup fail, one backup after the other. */
export interface Sweep {
  readonly watched: readonly Kind[];
  readonly deed: Deed;
  /** Whether every later call fails as well, as on a disk that stays full. */
  readonly on: boolean;
  /** From one index to the next; 1: every one. */
  readonly step: number;
  readonly from: number;
}

/** What was tried, for the line that is printed. */
export interface Swept {
  readonly indices: number;
  /** Backups that ended well although a call of theirs failed, and those that did not. */
  readonly well: number;
  readonly ill: number;
}

/**
 * Backs a device up again and again, each time with a new configuration and the next call failing, until no call is
 * left to fail. After each: nothing was acknowledged that is not there, and the next backup, on a disk that is well
 * again, succeeds and leaves ledger, repository and sealed files in agreement. Several `lanes` share the indices.
 */
export async function sweep(
  { watched, deed, on, step, from }: Sweep,
  lanes: number,
  { cc, git }: { readonly cc: string; readonly git: string },
): Promise<Swept> {
  let next = from;
  let over = false;
  const swept = { indices: 0, well: 0, ill: 0 };

  async function lane(): Promise<void> {
    const world = new World();
    try {
      await world.begin(['fw1']);
      using disk = new FaultyDisk(cc, git, world.workspace.state);
      Object.assign(world.workspace.env, disk.env);
      expect((await world.workspace.backup()).code).toBe(0);
      while (!over) {
        const index = next;
        next += step;
        const changes = world.change('fw1');
        disk.arm(watched, index, on ? Number.MAX_SAFE_INTEGER : index, deed);
        const { code, lines, stderr } = await world.workspace.backup();
        const hit = disk.count >= index;
        const about = `${deed} at call ${index}, ${disk.call(index)}: exit code ${code}\n${stderr}`;
        disk.disarm();
        if (!hit) {
          over = true;
          expect(code, about).toBe(0);
          return;
        }
        swept.indices += 1;
        swept[code === 0 ? 'well' : 'ill'] += 1;
        expect(await world.contradictions(false), about).toEqual([]);
        for (const { outcome, commit } of lines.values())
          if (outcome === 'changed')
            expect(await world.stored('fw1', commit ?? ''), `acknowledged; ${about}`).toBe(changes);

        const clean = await world.workspace.backup();
        expect([clean.code, clean.lines.get('fw1')?.error], `${clean.stderr}\nafter ${about}`).toEqual([
          0,
          null,
        ]);
        expect(await world.contradictions(true), about).toEqual([]);
        expect(await world.stored('fw1'), about).toBe(changes);
      }
      const verified = await world.workspace.run(['verify']);
      expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    } catch (error) {
      over = true;
      throw error;
    } finally {
      await world.stop();
    }
  }

  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return swept;
}
