import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { retire } from '../../src/pipeline/moves.ts';
import { describeWith } from '../support/system.ts';
import { Collector } from './collector.ts';

const text = 'hostname FW1\ninterface a\n';

describeWith('git', 'files of devices', () => {
  let collector: Collector;
  beforeEach(async () => {
    collector = await new Collector().open();
  });
  afterEach(() => collector[Symbol.dispose]());

  function git(...args: string[]): string {
    return execFileSync('git', ['--git-dir', join(collector.dir, 'configs.git'), ...args], {
      encoding: 'utf8',
    });
  }
  const files = (): string[] => git('ls-tree', '-r', '--name-only', 'main').trim().split('\n');

  it('that changed their group move in one commit, with each device and each path in it', async () => {
    for (const name of ['fw1', 'fw2', 'fw3'])
      await collector.read({ name, texts: { 'running-config': text } });
    await collector.read({ name: 'fw3', texts: { 'running-config': text, 'context-a': 'x\n' } });
    const before = Number(git('rev-list', '--count', 'main'));
    for (const name of ['fw1', 'fw2']) collector.register({ name, group: 'hq' });
    collector.register({ name: 'edge3', formerly: ['fw3'], group: 'hq' });
    const commit = (await collector.move()) ?? '';
    expect(Number(git('rev-list', '--count', 'main'))).toBe(before + 1);
    expect(files()).toEqual([
      'hq/edge3/context-a.cfg',
      'hq/edge3/running-config.cfg',
      'hq/fw1/running-config.cfg',
      'hq/fw2/running-config.cfg',
    ]);
    const message = git('log', '-1', '--format=%B', commit);
    expect(message).toMatch(/^3 devices moved\n\n/);
    expect(message).toContain('default/fw1/running-config.cfg -> hq/fw1/running-config.cfg\n');
    expect(message).toMatch(/Device: edge3\nDevice-Id: fw3\nDevice: fw1\nDevice: fw2\n/);

    // Nothing is left to do, and nothing is read anew.
    expect(await collector.move()).toBeNull();
    for (const name of ['fw1', 'fw2'])
      expect(
        (await collector.read({ name, group: 'hq', texts: { 'running-config': text } })).ended,
      ).toMatchObject({
        outcome: 'unchanged',
      });
    // The versions are where they were written.
    for (const { commit: at, path } of collector.ledger.versions('fw1', 'running-config'))
      expect(await collector.repository.read(at, path)).toBe(text);
    // One of two artefacts changes: the other one keeps its version.
    await collector.read({
      name: 'edge3',
      group: 'hq',
      texts: { 'running-config': text, 'context-a': 'y\n' },
    });
    expect(collector.ledger.versions('fw3', 'running-config')).toHaveLength(1);
    expect(collector.ledger.versions('fw3', 'context-a')).toHaveLength(2);
  });

  it('of one device say in the subject what became of it', async () => {
    await collector.read({ texts: { 'running-config': text } });
    collector.register({ group: 'hq' });
    await collector.move();
    collector.register({ name: 'fw9', formerly: ['fw1'], group: 'hq' });
    await collector.move();
    expect(git('log', '-2', '--format=%s').trim().split('\n')).toEqual([
      'fw9: renamed from fw1',
      'fw1: moved to hq',
    ]);
  });

  it('that exchange their names keep their texts apart', async () => {
    await collector.read({ name: 'fw1', texts: { 'running-config': 'one\n' } });
    await collector.read({ name: 'fw2', texts: { 'running-config': 'two\n' } });
    collector.register({ name: 'spare', formerly: ['fw1'] });
    collector.register({ name: 'fw1', formerly: ['fw2'] });
    collector.register({ name: 'fw2', formerly: ['spare'] });
    await collector.move();
    expect(git('show', 'main:default/fw1/running-config.cfg')).toBe('two\n');
    expect(git('show', 'main:default/fw2/running-config.cfg')).toBe('one\n');
    expect(files()).toHaveLength(2);
  });

  it('of a retired device go away in one commit, and its texts can be read as before', async () => {
    await collector.read({ texts: { 'running-config': text, 'context-a': 'x\n' } });
    const { platform, id, name } = collector.register();
    const commit = await retire({ platform, id, name }, collector.nowMs, collector.hands);
    expect(git('ls-tree', '-r', 'main')).toBe('');
    const message = git('log', '-1', '--format=%B');
    expect(message).toMatch(/^fw1: retired\n/);
    expect(message).toMatch(/\n\nDevice: fw1\nPlatform: cisco_asa\n/);
    const [version] = collector.ledger.versions('fw1', 'running-config');
    expect(await collector.repository.read(version?.commit ?? '', version?.path ?? '')).toBe(text);
    expect(await retire({ platform, id, name }, collector.nowMs, collector.hands)).toBeNull();
    expect(git('rev-parse', 'main').trim()).toBe(commit);
    // Taken back, its file is there again with the next reading, whose text is the same.
    collector.register({ formerly: [`fw1.retired-${new Date(collector.nowMs).toISOString().slice(0, 10)}`] });
    const { ended } = await collector.read({ texts: { 'running-config': text, 'context-a': 'x\n' } });
    expect(ended.outcome).toBe('changed');
    expect(git('log', '-1', '--format=%s')).toBe('fw1: in use again\n');
    expect(files()).toHaveLength(2);
  });

  it('of a device whose place another platform took are not what its first reading is compared with', async () => {
    await collector.read({ texts: { 'running-config': `${text.repeat(20)}` } });
    collector.register({ name: 'fw-new', platform: 'fortinet_fortigate', formerly: ['fw1'] });
    await collector.move();
    const taken = { name: 'fw-new', platform: 'fortinet_fortigate', formerly: ['fw1'] };
    const { ended } = await collector.read({ ...taken, texts: { 'running-config': 'config system\nend\n' } });
    expect(ended.outcome).toBe('changed');
    expect(git('log', '-1', '--format=%s')).toBe('fw-new: re-read as fortinet_fortigate\n');
    expect(collector.ledger.versions('fw1', 'running-config')).toHaveLength(2);
    // From then on it is.
    const next = await collector.read({ ...taken, texts: { 'running-config': '' } });
    expect(next.ended).toMatchObject({ outcome: 'quarantined', failure: { code: 'verify.shrunk' } });
  });
});
