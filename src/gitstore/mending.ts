import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import { flush, makeDirectory, writeDurably } from './durable.ts';
import { mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import { objectsNamedIn, setAside } from './objects.ts';
import { isAncestor } from './reading.ts';
import { readOwnTips, writeOwnTips } from './tip.ts';

/** What was repaired in the repository. */
export type Mended =
  /** `found`: what the ref said before, harmless and short; `from`: who remembered the commit. */
  | { readonly what: 'main'; readonly commit: string; readonly from: Witness; readonly found: string }
  | { readonly what: 'head'; readonly found: string }
  | { readonly what: 'object'; readonly object: string };

/** Who remembers where main was: the repository's note of what was acknowledged, git's own log of the ref, the ledger. */
export type Witness = 'acknowledged' | 'reflog' | 'ledger';

/** Who may repair, and what helps. */
export interface Mending {
  /** Whether the state lock is held: whoever only reads changes nothing. */
  readonly allowed: () => boolean;
  /** Commits that the ledger names, newest first. */
  readonly remembered: () => Iterable<string>;
  readonly onMended: (mended: Mended) => void;
}

/** So many commits are tried before main is given up. */
const mostCandidates = 1_000;

/**
 * Repairs what can be repaired without a person: a HEAD or a main that a power cut emptied, and loose objects that are
 * not what their names say (`said`: git's words on them). Nothing that can be read is changed, and no history is
 * rewritten: main goes to the newest commit that was acknowledged and is whole. Returns whether anything was done.
 */
export async function mend(git: Git, said: string, { remembered, onMended }: Mending): Promise<boolean> {
  const done: Mended[] = [];
  const note = (mended: Mended): void => {
    done.push(mended);
    onMended(mended);
  };
  const setAsideNamed = async (words: string): Promise<void> => {
    for (const object of objectsNamedIn(words))
      if (await setAside(git.dir, object)) note({ what: 'object', object });
  };
  await mendHead(git.dir, note);
  await setAsideNamed(said);
  const main = await look(git, mainRef);
  if (main.isWhole) return done.length > 0;
  await setAsideNamed(main.said);
  const found = await readFile(join(git.dir, mainRef), 'latin1').catch(() => null);
  const own = await readOwnTips(git.dir);
  // No main and none acknowledged: the repository is new, and nothing is wrong with it.
  if (found === null && (own?.acknowledged ?? null) === null) return done.length > 0;
  for await (const { commit, from } of candidates(git, remembered)) {
    const seen = await look(git, commit);
    if (!seen.isWhole) {
      await setAsideNamed(seen.said);
      continue;
    }
    // Told first: where it cannot be written down, it is not done.
    note({ what: 'main', commit, from, found: clip(harmless(found?.trim() ?? ''), 80) });
    if (commit !== own?.pending) await writeOwnTips(git.dir, { acknowledged: commit, pending: null });
    await putMain(git.dir, commit);
    return true;
  }
  if (done.length > 0) return true;
  throw new BackupError('store.git-failed', {
    command: 'ls-tree',
    exitCode: 128,
    stderr: clip(
      harmless(`main cannot be read, and no commit that is whole is known: ${main.said.trim()}`),
      500,
    ),
  });
}

async function mendHead(dir: string, note: (mended: Mended) => void): Promise<void> {
  const found = await readFile(join(dir, 'HEAD'), 'latin1').catch(() => '');
  if (/^(?:ref: refs\/\S+|[0-9a-f]{40})\n?$/.test(found)) return;
  await writeDurably(join(dir, 'HEAD'), `ref: ${mainRef}\n`);
  note({ what: 'head', found: clip(harmless(found), 80) });
}

/** Whether a commit and all its trees can be read; what git says where they cannot. */
async function look(git: Git, commit: string): Promise<{ readonly isWhole: boolean; readonly said: string }> {
  const { exitCode, stderr } = await git.run(['ls-tree', '-r', '--name-only', commit]);
  return { isWhole: exitCode === 0 && stderr === '', said: stderr };
}

/** Commits that main may have been at, likeliest first. */
async function* candidates(
  git: Git,
  remembered: () => Iterable<string>,
): AsyncGenerator<{ readonly commit: string; readonly from: Witness }> {
  const own = await readOwnTips(git.dir);
  const acknowledged = own?.acknowledged ?? null;
  const logged = await reflog(git.dir);
  const [newest] = logged;
  const tried = new Set<string>();
  const fresh = (commit: string): boolean =>
    tried.size < mostCandidates && !tried.has(commit) && !!tried.add(commit);
  // Its log may lack what was acknowledged; where it does not, it also knows what came after.
  const follows = async (newer: string, older: string) => isAncestor(git, older, newer).catch(() => false);
  if (newest !== undefined && acknowledged !== null && (await follows(newest, acknowledged)))
    if (fresh(newest)) yield { commit: newest, from: 'reflog' };
  if (acknowledged !== null && fresh(acknowledged)) yield { commit: acknowledged, from: 'acknowledged' };
  for (const commit of logged) if (fresh(commit)) yield { commit, from: 'reflog' };
  for (const commit of remembered()) if (fresh(commit)) yield { commit, from: 'ledger' };
}

/** Where main was by git's own log, newest first; empty where there is none. */
async function reflog(dir: string): Promise<readonly string[]> {
  const text = await readFile(join(dir, 'logs', mainRef), 'latin1').catch(() => '');
  const ids = text.split('\n').map((line) => /^[0-9a-f]{40} ([0-9a-f]{40}) /.exec(line)?.[1]);
  return ids.filter((id): id is string => id !== undefined && !/^0+$/.test(id)).reverse();
}

/** Moves main as git does: a lock that nobody else has, written and flushed, renamed into place. */
async function putMain(dir: string, commit: string): Promise<void> {
  const file = join(dir, mainRef);
  const lock = `${file}.lock`;
  await makeDirectory(dirname(file));
  // A group of readers may have been given the one before.
  const mode = (await stat(file).catch(() => null))?.mode ?? 0o600;
  const handle = await open(lock, 'wx', 0o600);
  try {
    await handle.chmod(mode & 0o640);
    await handle.writeFile(`${commit}\n`);
    await handle.sync();
    await rename(lock, file);
  } catch (error) {
    await rm(lock, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await flush(dirname(file));
}
