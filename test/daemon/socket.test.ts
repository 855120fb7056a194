import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { InvalidConfiguration, UsageError } from '../../src/core/errors.ts';
import { findSocket } from '../../src/daemon/socket.ts';

const dir = mkdtempSync(join(tmpdir(), 'roundsman-socket-'));
const file = join(dir, 'roundsman.yaml');
afterAll(() => rmSync(dir, { recursive: true }));

function found(text: string, env: Record<string, string> = {}): string {
  writeFileSync(file, text);
  return findSocket(file, env);
}

it('the socket lies in the state directory, which is relative to the settings', () => {
  expect(found('state_dir: ./state\n')).toBe(join(dir, 'state/control.sock'));
  expect(found('workers: 5\n')).toBe('/var/lib/roundsman/control.sock');
  expect(found('')).toBe('/var/lib/roundsman/control.sock');
});

it('the runtime directory goes before it, and the settings before both', () => {
  const env = { RUNTIME_DIRECTORY: '/run/roundsman:/run/other' };
  expect(found('state_dir: ./state\n', env)).toBe('/run/roundsman/control.sock');
  expect(found('state_dir: ./state\nsocket: ./here.sock\n', env)).toBe(join(dir, 'here.sock'));
  expect(found('state_dir: ./state\nsocket: null\n')).toBe(join(dir, 'state/control.sock'));
});

it('a mistake elsewhere in the settings keeps nobody from asking the daemon', () => {
  expect(found('state_dir: /srv/r\nworkers: many\nsecrets: { recipients: [nonsense] }\n')).toBe(
    '/srv/r/control.sock',
  );
});

it('a file that is no YAML, or not there, is told of', () => {
  expect(() => found('state_dir: [\n')).toThrow(InvalidConfiguration);
  expect(() => findSocket(join(dir, 'none.yaml'), {})).toThrow(UsageError);
});
