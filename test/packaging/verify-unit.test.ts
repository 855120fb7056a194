import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeWith } from '../support/system.ts';
import { type Ended, run } from './run.ts';
import { checkout } from './tree.ts';

const read = (name: string): string => readFileSync(join(checkout, 'config/systemd', name), 'utf8');
const service = read('roundsman-verify.service');
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-unit-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Unit and timer, with a program that exists on this machine. */
function unitsIn(change: (text: string) => string = (text) => text): [string, string] {
  const unit = join(dir, 'roundsman-verify.service');
  const timer = join(dir, 'roundsman-verify.timer');
  writeFileSync(unit, change(service).replace('/usr/local/bin/roundsman', '/bin/true'));
  writeFileSync(timer, read('roundsman-verify.timer'));
  return [unit, timer];
}

describeWith('systemd-analyze', 'the unit of the verification', (analyze) => {
  it('gives systemd nothing to complain about, and neither does its timer', async () => {
    expect(await run(analyze, 'verify', ...unitsIn())).toEqual({ status: 0, stdout: '', stderr: '' });
    const wrong = unitsIn((text) => text.replace('SecureBits', 'SecureBit'));
    expect((await run(analyze, 'verify', ...wrong)).stderr).toContain('SecureBit');
  });

  it('exposes at most 1.5', async () => {
    const score = (file: string): Promise<Ended> =>
      run(analyze, 'security', '--offline=true', '--no-pager', '--threshold=15', file);
    const ended = await score(unitsIn()[0]);
    expect(ended.status, ended.stdout).toBe(0);
    const open = unitsIn((text) =>
      text.replace(/^(?:SystemCallFilter|PrivateNetwork|IPAddressDeny)=.*$/gm, ''),
    );
    expect((await score(open[0])).status).not.toBe(0);
  });
});

describe('the unit of the verification', () => {
  const lines = service.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  it('reads as another user than the service, and may write nothing', () => {
    expect(lines).toContain('User=roundsman-verify');
    expect(lines).toContain('ProtectSystem=strict');
    expect(lines.filter((line) => /^(ReadWritePaths|StateDirectory)=/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.includes('CAP_'))).toEqual([
      'AmbientCapabilities=CAP_DAC_READ_SEARCH',
      'CapabilityBoundingSet=CAP_DAC_READ_SEARCH',
    ]);
  });

  it('fails where something was found', () => {
    expect(lines.filter((line) => /^SuccessExitStatus=|^ExecStart=-/.test(line))).toEqual([]);
  });
});
