import { describe, expect, it } from 'vitest';
import { secretVariables } from '../../src/inventory/secret-variables.ts';

describe('the environment variables that hold secrets', () => {
  it('are those that a reference names, wherever it stands, each once', () => {
    const document = {
      credentials: { a: { username: 'x', password: { env: 'ONE' }, enable: { env: 'TWO' } } },
      devices: [{ name: 'fw1', options: { archive: { passphrase: { env: 'THREE' } } } }, { name: 'fw2' }],
      http: { tokens: [{ name: 'grafana', secret: { env: 'ONE' } }] },
    };
    expect(secretVariables(document)).toEqual(['ONE', 'TWO', 'THREE']);
  });

  it('are none where `env` is something else', () => {
    for (const document of [null, 'env', { env: { A: 'x' } }, { env: 5 }, { env: 'A', file: 'b' }, [[]]])
      expect(secretVariables(document)).toEqual([]);
  });
});
