import { describe, expect, it } from 'vitest';
import { createSteps } from '../../src/cli/terminal/steps.ts';
import { call } from './fake-services.ts';

describe('export and import', () => {
  it('show the same main and the same head of the chain, for a person to compare', async () => {
    const out = await call(['export', '/media/disk']);
    const back = await call(['import', '/media/disk']);
    expect([out.exitCode, back.exitCode]).toEqual([0, 0]);
    for (const line of [`main         ${'c0ffee'.padEnd(40, '0')}`, `head ${'c4a1'.padEnd(64, '0')}`]) {
      expect(out.stdout).toContain(line);
      expect(back.stdout).toContain(line);
    }
    expect(back.stdout).toContain('Nobody knows whether collector1 went on after the export, so the 1 h');
  });

  it('print with --json what docs/cli-json.md lists', async () => {
    const keys = async (...argv: string[]) => {
      const { stdout } = await call([...argv, '--json']);
      return Object.keys(JSON.parse(stdout) as object);
    };
    const both = ['host', 'exported_at', 'main', 'chain', 'sealed', 'spool'];
    expect(await keys('export', 'd')).toEqual([
      'directory',
      ...both,
      'fingerprint_key',
      'missed',
      'copy_yourself',
    ]);
    expect(await keys('import', 'd')).toEqual([
      'state_dir',
      ...both,
      'imported_at',
      'gap_ms',
      'fingerprint_key',
    ]);
  });
});

describe('the line that says which step is under way', () => {
  it('is drawn on a terminal only, once for each whole per cent, and removed', () => {
    const written: string[] = [];
    const sink = {
      write: (data: string | Uint8Array) => written.push(String(data)),
      isTTY: true,
      columns: 30,
    };
    const steps = createSteps(sink);
    for (let done = 0; done < 1000; done++) steps.show({ step: 'sealed copies', done, total: 1000 });
    steps.end();
    expect(written).toHaveLength(101);
    expect(written[1]).toBe('\rsealed copies: 1 % of 1000\x1b[K');
    expect(written.at(-1)).toBe('\r\x1b[K');

    const silent = createSteps({ ...sink, isTTY: false });
    silent.show({ step: 'ledger', done: 0, total: 0 });
    silent.end();
    expect(written).toHaveLength(101);
  });
});
