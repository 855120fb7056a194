import { simpleGit } from 'simple-git';
import { mainRef } from './fast-import.ts';
import { type Git, gitEnvironment } from './git.ts';
import { isArtefactPath } from './paths.ts';
import type { Repository } from './repository.ts';

/** Questions about commits. */
export function reading(git: Git): Pick<Repository, 'findRun' | 'messages'> {
  const environment = gitEnvironment();
  const client = simpleGit({
    baseDir: git.dir,
    binary: git.program,
    config: [`safe.directory=${git.dir}`],
    allowEnvironment: Object.keys(environment),
    // For GIT_CONFIG_GLOBAL=/dev/null, which is stricter than none.
    unsafe: { allowUnsafeConfigPaths: true },
    // simple-git takes a git that was killed for one that found nothing: a run would be committed a second time.
    errors: (error, { exitCode, stdErr }) => {
      if (error !== undefined || exitCode === 0) return error;
      return new Error(Buffer.concat(stdErr).toString('utf8') || 'git came to no end of its own');
    },
  }).env(environment);

  /** simple-git throws with what git said; a reader's failure has no exit code there. */
  async function ask(...args: string[]): Promise<string> {
    try {
      return await client.raw(args);
    } catch (error) {
      const stderr = error instanceof Error ? error.message : String(error);
      throw await git.failure(args[0] ?? 'git', { exitCode: 128, stderr });
    }
  }

  return {
    async findRun(runId) {
      if (!/^[A-Za-z0-9._~-]+$/.test(runId) || (await readTip(git)) === null) return null;
      // The body of a message may hold such a line as well, so git's own reading of the trailers decides.
      const found = await ask(
        'log',
        '--extended-regexp',
        `--grep=^Run-Id: ${runId.replaceAll('.', '\\.')}$`,
        '--format=%H %(trailers:key=Run-Id,valueonly,separator=%x20)',
        mainRef,
      );
      const line = found.split('\n').find((one) => one.slice(41) === runId);
      return line?.slice(0, 40) ?? null;
    },

    async messages(commits) {
      const found = new Map<string, string>();
      for (let from = 0; from < commits.length; from += commitsAtOnce) {
        const some = commits.slice(from, from + commitsAtOnce).filter((id) => /^[0-9a-f]{40}$/.test(id));
        if (some.length === 0) continue;
        const answer = await ask('log', '--no-walk=unsorted', '-z', '--format=%H%n%B', ...some);
        for (const one of answer.split('\0'))
          if (one !== '') found.set(one.slice(0, 40), one.slice(41).trimEnd());
      }
      return found;
    },
  };
}

/** A command line has room for some thousands of ids. */
const commitsAtOnce = 500;

/** The commit that main is at; null where there is none yet. */
export async function readTip(git: Git): Promise<string | null> {
  const answer = await git.must(['for-each-ref', '--format=%(objectname)', mainRef]);
  return answer.toString('latin1').trim() || null;
}

/** Whether `older` is `newer` or an ancestor of it. */
export async function isAncestor(git: Git, older: string, newer: string): Promise<boolean> {
  const result = await git.run(['merge-base', '--is-ancestor', older, newer]);
  if (result.exitCode > 1) throw await git.failure('merge-base', result);
  return result.exitCode === 0;
}

/** The id of the text behind each path in its commit (null: what main is at); null where there is none. */
export async function readBlobIds(
  git: Git,
  files: readonly { readonly commit: string | null; readonly path: string }[],
): Promise<readonly (string | null)[]> {
  if (files.length === 0) return [];
  const names = files.map(({ commit, path }) =>
    (commit === null || /^[0-9a-f]{40}$/.test(commit)) && isArtefactPath(path)
      ? `${commit ?? mainRef}:${path}`
      : 'none',
  );
  const answer = await git.must(
    ['cat-file', '--batch-check=%(objecttype) %(objectname)', '--buffer'],
    `${names.join('\n')}\n`,
  );
  const lines = answer.toString('latin1').split('\n');
  return names.map((_name, index) => /^blob ([0-9a-f]{40})$/.exec(lines[index] ?? '')?.[1] ?? null);
}

/** The bytes behind each name (`<commit>:<path>`), null where there is none; one git process for all. */
export async function readBlobs(git: Git, names: readonly string[]): Promise<readonly (Buffer | null)[]> {
  if (names.length === 0) return [];
  const answer = await git.must(['cat-file', '--batch'], `${names.join('\n')}\n`);
  let at = 0;
  return names.map(() => {
    const end = answer.indexOf('\n', at);
    const [, type, size] = answer.toString('latin1', at, end).match(/ (\w+) (\d+)$/) ?? [];
    at = end + 1;
    if (size === undefined) return null;
    const blob = answer.subarray(at, at + Number(size));
    at += Number(size) + 1;
    return type === 'blob' ? blob : null;
  });
}
