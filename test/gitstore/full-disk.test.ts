import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { openSpool } from '../../src/gitstore/open-spool.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { CommitRequest } from '../../src/gitstore/repository.ts';
import { describeMounting, Tmpfs } from '../support/mount.ts';

function request(text: string): CommitRequest {
  return {
    ...{
      subject: () => 'fw1',
      body: '',
      trailers: [['Run-Id', 'r1']],
      atMs: Date.UTC(2025, 0, 2),
      remove: [],
    },
    files: [{ path: artefactPath('default', 'fw1', 'running-config'), text }],
  };
}

/** Half-written objects and packs of git, at any depth. */
function leftovers(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => /tmp_|crash/.test(name));
}

/** A text that no compression makes small. */
function large(bytes: number): string {
  let text = '';
  for (let n = 1; text.length < bytes; n = (n * 48_271) % 2_147_483_647) text += `${n}\n`;
  return text;
}

describeMounting('a repository on a full disk', () => {
  const full = [
    ['bytes', '4m', (disk: Tmpfs) => disk.fill()],
    [
      'inodes',
      '16m,nr_inodes=80',
      (disk: Tmpfs) => {
        try {
          for (let n = 0; ; n++) writeFileSync(join(disk.dir, `fill${n}`), '');
        } catch {
          // The last one did not fit.
        }
      },
    ],
  ] as const;

  it.each(full)(
    'without %s takes nothing, leaves nothing half-written, and goes on when there is room',
    async (_what, size, fill) => {
      using disk = new Tmpfs(size);
      const dir = join(disk.dir, 'configs.git');
      const repository = await openRepository({ dir });
      const { commit } = await repository.commit(request('a\n'));
      fill(disk);
      await expect(repository.commit(request(large(200_000)))).rejects.toMatchObject({
        code: 'store.disk-full',
      });
      expect(await repository.read(null, request('').files[0]?.path ?? '')).toBe('a\n');
      expect(leftovers(dir)).toEqual([]);
      for (const name of readdirSync(disk.dir)) if (name.startsWith('fill')) rmSync(join(disk.dir, name));
      const next = await repository.commit(request(large(200_000)));
      const git = ['-c', `safe.directory=${dir}`, '--git-dir', dir];
      expect(execFileSync('git', [...git, 'rev-parse', `${next.commit}^`], { encoding: 'utf8' }).trim()).toBe(
        commit,
      );
      execFileSync('git', [...git, 'fsck', '--full', '--strict']);
    },
  );

  it.each(full)(
    'the spool without %s keeps what it has, and takes the next when there is room',
    async (_what, size, fill) => {
      using disk = new Tmpfs(size);
      const spool = await openSpool(join(disk.dir, 'spool'));
      const entry = (runId: string, masked: string) => ({
        ...{ runId, deviceId: 'fw1', deviceName: 'fw1', group: 'default', platform: 'cisco_asa' },
        ...{
          trigger: 'schedule' as const,
          slotMs: null,
          readAtMs: 1,
          serials: [],
          restorable: 'yes' as const,
        },
        facts: { hostname: null, version: null, model: null, serial: null, changedBy: null, changedAt: null },
        condition: { ha: null, standby: null, sync: null, unsaved: null },
        ...{ restorableBecause: null, maskKey: 'k', rules: 'r' },
        artefacts: [{ name: 'running-config', masked, sealed: null }],
      });
      await spool.put(entry('r1', 'a\n'));
      fill(disk);
      await expect(spool.put(entry('r2', large(200_000)))).rejects.toMatchObject({ code: 'store.disk-full' });
      expect((await spool.waiting()).map(({ runId }) => runId)).toEqual(['r1']);
      for (const name of readdirSync(disk.dir)) if (name.startsWith('fill')) rmSync(join(disk.dir, name));
      await spool.put(entry('r2', 'b\n'));
      expect(await spool.standing()).toEqual({ entries: 2, oldestMs: 1 });
      expect((await spool.outline()).map(({ runId }) => runId)).toEqual(['r1', 'r2']);
      expect((await spool.entry('r2'))?.artefacts[0]?.masked).toBe('b\n');
      expect(await spool.entry('r3')).toBeNull();
    },
  );
});
