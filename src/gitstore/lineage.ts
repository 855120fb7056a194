import { createInterface } from 'node:readline';
import { committerEmail, mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import { isArtefactPath } from './paths.ts';
import { readTip } from './reading.ts';
import type { Repository, StoredCommit } from './repository.ts';

/** Commits before the newest known one that are told as well: as many as one batch holds. */
const margin = 256;

/** Begins the lines of a commit; no trailer and no quoted path begins with it. */
const begin = '\u0001';
/** Ends the trailers. */
const end = '\u0002';

/** Walks along main. */
export function lineage(git: Git): Pick<Repository, 'commitsSince'> {
  /** The lines that git prints; whoever stops reading ends git too. */
  async function* lines(args: readonly string[]): AsyncGenerator<string> {
    const child = git.start(args);
    let whole = false;
    try {
      yield* createInterface({ input: child.process.stdout.setEncoding('latin1'), crlfDelay: 0 });
      whole = true;
    } finally {
      child.process.kill();
      const result = await child.ended;
      // biome-ignore lint/correctness/noUnsafeFinally: it only replaces the end of a reading that came to none.
      if (whole && result.exitCode !== 0) throw await git.failure('log', result);
    }
  }

  /** How many commits are newer than the newest known one. */
  async function countUnknown(isKnown: (commit: string, runId: string) => boolean): Promise<number> {
    let unknown = 0;
    const format = '--format=%H %(trailers:key=Run-Id,valueonly,separator=%x20)';
    for await (const line of lines(['log', format, mainRef])) {
      if (isKnown(line.slice(0, 40), line.slice(41))) break;
      unknown += 1;
    }
    return unknown;
  }

  return {
    async *commitsSince(isKnown) {
      if ((await readTip(git)) === null) return;
      const unknown = await countUnknown(isKnown);
      if (unknown === 0) return;
      const format = `--format=${begin}%H %ct %ce%n%(trailers:only=true,unfold=true)${end}`;
      const walk = [
        'log',
        '--reverse',
        `--max-count=${unknown + margin}`,
        '--root',
        '--no-renames',
        '--name-status',
      ];
      let open: Draft | null = null;
      for await (const line of lines([...walk, format, mainRef])) {
        if (line.startsWith(begin)) {
          if (open !== null) yield open;
          open = drafted(line);
        } else if (open !== null) add(open, line);
      }
      if (open !== null) yield open;
    },
  };
}

interface Draft extends StoredCommit {
  readonly trailers: [string, string][];
  readonly written: string[];
  readonly removed: string[];
  /** Whether the trailers are over. */
  told: boolean;
}

function drafted(line: string): Draft {
  const [commit = '', seconds = '', committer] = line.slice(1).split(' ');
  return {
    commit,
    atMs: Number(seconds) * 1_000,
    isOurs: committer === committerEmail,
    ...{ trailers: [], written: [], removed: [], told: false },
  };
}

function add(open: Draft, line: string): void {
  if (!open.told) {
    const trailer = /^([A-Za-z][A-Za-z-]*): (.*?)(\u0002?)$/.exec(line);
    // As git wrote them: UTF-8.
    if (trailer !== null)
      open.trailers.push([trailer[1] ?? '', Buffer.from(trailer[2] ?? '', 'latin1').toString()]);
    open.told = line.endsWith(end);
    return;
  }
  const [, status, path] = /^([A-Z])\t(.*)$/.exec(line) ?? [];
  if (path === undefined || !isArtefactPath(path)) return;
  (status === 'D' ? open.removed : open.written).push(path);
}
