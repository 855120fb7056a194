import { clip, harmless } from '../core/display.ts';
import type { PushFailure, PushFailureReason } from '../core/remotes.ts';
import { duration } from '../core/units.ts';
import type { NetworkLimits, NetworkResult } from './network.ts';

/** What git and ssh say (in LC_ALL=C), and what it means. The first that fits counts. */
const words: readonly (readonly [RegExp, PushFailureReason])[] = [
  [/host key verification failed|host key is known|host identification has changed/i, 'identity'],
  [/certificate|SSL peer|SSL_ERROR|does not match target host name/i, 'identity'],
  [/permission denied|authentication failed|could not read (?:username|password)|error: 40[13]/i, 'login'],
  [/error in libcrypto|invalid format|load key/i, 'login'],
  [/could not resolve|name or service|connection (?:refused|closed|reset|timed out)/i, 'unreachable'],
  [/failed to connect|couldn't connect|no route|unreachable|timed out|early eof/i, 'unreachable'],
  [/hung up unexpectedly|broken pipe|not appear to be a git repository|not found/i, 'unreachable'],
];

/** Lines that say how far a push is, and advice for people at a working copy. */
const noise =
  /^(?:remote: )?(?:Enumerating|Counting|Compressing|Delta|Writing|Total|Resolving|Unpacking|Checking)\b.*\d|^hint:|^error: failed to push some refs|^(?:Please make sure|and the repository exists)|^\s*$/;

/** Why a push failed; null where every ref reached the remote. `secrets` are taken out of the words. */
export function failureOfPush(
  { exitCode, stdout, stderr, cut }: NetworkResult,
  limits: NetworkLimits,
  secrets: readonly string[],
): PushFailure | null {
  const said = sayable(stderr, secrets);
  const withWords = (text: string): string => clip(said === '' ? text : `${text}: ${said}`, mostText);
  if (cut === 'aborted') return { reason: 'other', problem: 'the push was interrupted' };
  if (cut === 'bytes')
    return { reason: 'other', problem: withWords(`the remote says more than ${limits.bytes} bytes`) };
  if (cut === 'idle')
    return { reason: 'silent', problem: withWords(`not a word for ${duration(limits.idleMs)}`) };
  if (cut === 'total')
    return { reason: 'silent', problem: withWords(`not done within ${duration(limits.totalMs)}`) };

  const refused = refsIn(stdout).find(({ flag }) => flag === '!');
  if (refused !== undefined) {
    const diverged = /^\[rejected\]/.test(refused.summary);
    const problem = diverged
      ? `${refused.ref} of the remote has commits that are not here`
      : withWords(`${refused.ref}: ${cleaned(refused.summary, secrets)}`);
    return { reason: diverged ? 'diverged' : 'rejected', problem };
  }
  if (exitCode === 0) return null;
  const reason = words.find(([pattern]) => pattern.test(stderr))?.[1] ?? 'other';
  return { reason, problem: said === '' ? `git push ended with exit status ${exitCode}` : said };
}

const mostText = 500;

/** What became of each ref, from `--porcelain`. */
export function refsIn(stdout: string): readonly { flag: string; ref: string; summary: string }[] {
  return stdout.split('\n').flatMap((line) => {
    const [, flag = '', ref = '', summary = ''] = /^([ +\-*!=])\t[^\t]*:([^\t]*)\t(.*)$/.exec(line) ?? [];
    return ref === '' ? [] : [{ flag, ref, summary }];
  });
}

/** The words of git and of the remote, as one harmless line. */
function sayable(stderr: string, secrets: readonly string[]): string {
  const lines = stderr
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => !noise.test(line));
  return clip(cleaned(lines.join(' | '), secrets), mostText);
}

function cleaned(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret !== '') clean = clean.replaceAll(secret, '<secret>');
  return harmless(clean);
}
