import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/daemon/settings.ts';
import { temporaryFile } from '../inventory/support.ts';
import { call } from './fake-services.ts';

describe('token', () => {
  it('makes one that is shown once, and a line that the settings take', async () => {
    const { stdout, stderr, exitCode } = await call(['token', 'deploy', '--scope', 'read', 'operate']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^rm_[A-Za-z0-9_-]{43}\n$/);
    const line = stderr.split('\n').find((one) => one.includes('sha256')) ?? '';
    const { http } = loadSettings(temporaryFile(`http:\n  tokens:\n  ${line}\n`, 'roundsman.yaml'));
    const sha256 = createHash('sha256').update(stdout.trim()).digest('hex');
    expect(http.tokens).toEqual([{ name: 'deploy', sha256, scopes: ['read', 'operate'] }]);
    expect(stderr).not.toContain(stdout.trim());
  });

  it('is another one every time, and may read unless told otherwise', async () => {
    const made = async () => JSON.parse((await call(['token', 'a', '--json'])).stdout);
    const [one, other] = [await made(), await made()];
    expect(one).toMatchObject({ name: 'a', scopes: ['read'] });
    expect(one.token).not.toBe(other.token);
    expect(one.sha256).toBe(createHash('sha256').update(one.token).digest('hex'));
  });

  it.each([
    [['token', 'A B'], 'not a valid name'],
    [['token', 'a', '--scope', 'raed'], 'did you mean "read"'],
  ])('%j is refused', async (argv, said) => {
    const { stderr, exitCode, stdout } = await call(argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(said);
  });
});
