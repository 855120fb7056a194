import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { usualLimits } from '../../src/gitstore/push.ts';
import { failureOfPush } from '../../src/gitstore/push-failure.ts';

const ended = { exitCode: 128, stdout: '', stderr: '', cut: null } as const;
const failureOf = (result: Partial<Parameters<typeof failureOfPush>[0]>, secrets: readonly string[] = []) =>
  failureOfPush({ ...ended, ...result }, usualLimits, secrets);

describe('why a push failed', () => {
  it.each([
    ['Host key verification failed.', 'identity'],
    ['No ED25519 host key is known for remote and you have requested strict checking.', 'identity'],
    ['fatal: unable to access: SSL certificate problem: certificate has expired', 'identity'],
    ['git@host: Permission denied (publickey).', 'login'],
    ["fatal: Authentication failed for 'https://git.example.net/x/'", 'login'],
    ["fatal: could not read Username for 'https://git.example.net': terminal prompts disabled", 'login'],
    ['The requested URL returned error: 403', 'login'],
    ['ssh: Could not resolve hostname git.example.net: Name or service not known', 'unreachable'],
    ['ssh: connect to host git.example.net port 22: No route to host', 'unreachable'],
    ['kex_exchange_identification: Connection closed by remote host', 'unreachable'],
    ['ERROR: Repository not found.', 'unreachable'],
    ['fatal: the remote end hung up unexpectedly', 'unreachable'],
    ['something nobody has seen before', 'other'],
  ])('"%s" is %s', (stderr, reason) => {
    expect(failureOf({ stderr })).toEqual({ reason, problem: stderr });
  });

  it('leaves out how far it came, and advice for people at a working copy', () => {
    const stderr =
      'Enumerating objects: 5, done.\nCounting objects:  50% (1/2)\rCounting objects: 100% (2/2), done.\n' +
      'remote: Resolving deltas: 100% (1/1)\nremote: no room left        \nhint: try git pull\n' +
      "error: failed to push some refs to 'x'\n";
    expect(failureOf({ stderr, exitCode: 1 })?.problem).toBe('remote: no room left');
  });

  it('is no failure where git says so, and the exit status where nobody says a word', () => {
    expect(
      failureOf({ exitCode: 0, stdout: 'To x\n*\taaa:refs/heads/main\t[new branch]\nDone\n' }),
    ).toBeNull();
    expect(failureOf({})).toEqual({ reason: 'other', problem: 'git push ended with exit status 128' });
  });

  it('shows no secret, on one line, harmless and short, whatever the remote says', () => {
    const secrets = ['hunter2', Buffer.from('u:hunter2').toString('base64')];
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary' }),
            fc.constantFrom(...secrets, '\n', '\r', '\u001b]0;x\u0007'),
          ),
        ),
        fc.constantFrom(null, 'idle', 'total', 'bytes', 'aborted'),
        fc.string({ unit: 'binary', maxLength: 2_000 }),
        (pieces, cut, summary) => {
          const line = summary.replaceAll('\n', '');
          const stdout = `!\taaa:refs/heads/main\t[remote rejected] (${line}${secrets[0]})\n`;
          const stderr = pieces.join('');
          for (const said of [
            failureOf({ stderr, cut }, secrets),
            failureOf({ stdout, stderr, cut }, secrets),
          ]) {
            const problem = said?.problem ?? '';
            for (const secret of secrets) expect(problem).not.toContain(secret);
            expect(problem).toMatch(/^[^\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u202e]{1,500}$/);
          }
        },
      ),
    );
  });
});
