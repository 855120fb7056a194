import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { committerEmail, mainRef } from './fast-import.ts';
import { type Git, gitEnvironment, gitIn } from './git.ts';
import { type OwnTips, readOwnTips } from './tip.ts';

/** A commit as its own bytes have it. */
export interface RecordedCommit {
  readonly commit: string;
  /** UTC epoch milliseconds, in whole seconds. */
  readonly atMs: number;
  /** Whether it names this program as its committer. Anybody can write that. */
  readonly isOurs: boolean;
  /** In their order; empty where there are none. */
  readonly trailers: readonly (readonly [string, string])[];
}

/** A commit, byte by byte. */
export interface RawCommit {
  readonly commit: string;
  readonly bytes: Buffer;
}

/** Where the refs of a repository are. */
export interface Refs {
  /** Null: there is no main. */
  readonly main: string | null;
  /** What main was at when somebody else moved it (`refs/roundsman/replaced/…`). */
  readonly replaced: readonly string[];
  /** `refs/replace/…`: what git shows for an object instead of it. */
  readonly substitutes: ReadonlyMap<string, string>;
  /** What git says of refs that it cannot read; harmless or not. */
  readonly problems: readonly string[];
}

/**
 * A repository as a witness reads it: every object as it is, whatever settings, grafts, shallow marks and
 * substitutes lie beside it, and without a right to write there. Throws BackupError `store.*`.
 */
export interface History extends AsyncDisposable {
  refs(): Promise<Refs>;
  /** Null where the file is absent or damaged. */
  ownTips(): Promise<OwnTips | null>;
  /** Oldest first: all that `tip` leads to, and none of `except` does. */
  commits(tip: string, except: readonly string[]): AsyncIterable<RecordedCommit>;
  /** The bytes of these commits, in this order. */
  raw(commits: Iterable<string>): AsyncIterable<RawCommit>;
  /** Those of these objects that are there. */
  present(objects: readonly string[]): Promise<ReadonlySet<string>>;
  /** What `git fsck` says, line by line, of every object and of all that these commits lead to. */
  check(tips: readonly string[]): AsyncIterable<string>;
}

const config = '[core]\n\trepositoryformatversion = 0\n\tbare = true\n';
const substitutesAt = 'refs/replace/';
const replacedAt = 'refs/roundsman/replaced/';

/**
 * Opens the repository in `dir`, an absolute path. Its objects are read through an empty repository of our own, because
 * git obeys what lies beside them: settings that name programs to run, and files that hide a part of the history.
 */
export async function openHistory(dir: string): Promise<History> {
  if (!isAbsolute(dir)) throw new Error(`${dir} is not an absolute path`);
  const own = await emptyRepository();
  const theirs = gitIn(dir, 'git');
  const git = gitIn(own, 'git');
  const environment = {
    ...gitEnvironment(),
    GIT_DIR: own,
    GIT_OBJECT_DIRECTORY: join(dir, 'objects'),
    // No object is fetched from anywhere.
    GIT_ALLOW_PROTOCOL: 'none',
  };

  return {
    async refs() {
      const { exitCode, stdout, stderr } = await theirs.run([
        'for-each-ref',
        '--format=%(objectname) %(refname)',
      ]);
      if (exitCode !== 0) throw await theirs.failure('for-each-ref', { exitCode, stderr });
      const all = linesOf(stdout).map((line) => [line.slice(41), line.slice(0, 40)] as const);
      const below = (prefix: string) => all.filter(([name]) => name.startsWith(prefix));
      return {
        main: all.find(([name]) => name === mainRef)?.[1] ?? null,
        replaced: below(replacedAt).map(([, id]) => id),
        substitutes: new Map(
          below(substitutesAt).map(([name, id]) => [name.slice(substitutesAt.length), id]),
        ),
        problems: linesOf(Buffer.from(stderr)),
      };
    },
    ownTips: () => readOwnTips(dir),
    async *commits(tip, except) {
      const format = '--format=%H %ct %ce%n%B%x00';
      const walk = ['rev-list', '--reverse', '--topo-order', '--no-commit-header', format];
      const input = [tip, ...except.map((id) => `^${id}`)].map((id) => `${id}\n`).join('');
      for await (const piece of pieces(git, [...walk, '--stdin'], environment, '\0', input)) {
        if (piece.trim() !== '') yield commitFrom(piece.replace(/^\n/, ''));
      }
    },
    raw: (commits) => rawCommits(git, commits, environment),
    async present(objects) {
      const there = new Set<string>();
      const input = objects.filter((id) => /^[0-9a-f]{40}$/.test(id)).map((id) => `${id}\n`);
      if (input.length === 0) return there;
      const ask = ['cat-file', '--batch-check=%(objectname)', '--buffer'];
      for await (const line of pieces(git, ask, environment, '\n', input.join('')))
        if (/^[0-9a-f]{40}$/.test(line)) there.add(line);
      return there;
    },
    async *check(tips) {
      const args = ['fsck', '--full', '--no-dangling', '--no-progress', '--name-objects', ...tips];
      const child = git.start(args, environment);
      child.process.stdin.end();
      yield* split(child.process.stdout.setEncoding('utf8'), '\n');
      const { exitCode, stderr } = await child.ended;
      const said = linesOf(Buffer.from(stderr)).filter((line) => !line.startsWith('notice: '));
      yield* said;
      if (exitCode !== 0 && said.length === 0 && exitCode > 127)
        throw await git.failure('fsck', { exitCode, stderr });
    },
    [Symbol.asyncDispose]: () => rm(own, { recursive: true, force: true }),
  };
}

/** A bare repository without an object. */
async function emptyRepository(): Promise<string> {
  const parent = tmpdir();
  try {
    const dir = await mkdtemp(join(parent, 'roundsman-history-'));
    await mkdir(join(dir, 'objects'));
    await mkdir(join(dir, 'refs'));
    await writeFile(join(dir, 'HEAD'), `ref: ${mainRef}\n`);
    await writeFile(join(dir, 'config'), config);
    return dir;
  } catch (error) {
    throw storageError(error, parent);
  }
}

/** What git prints, in pieces. Throws where it ends with another exit code than 0. */
async function* pieces(
  git: Git,
  args: readonly string[],
  environment: Record<string, string>,
  end: string,
  input: string,
): AsyncGenerator<string> {
  const child = git.start(args, environment);
  let whole = false;
  try {
    child.process.stdin.end(input);
    yield* split(child.process.stdout.setEncoding('utf8'), end);
    whole = true;
  } finally {
    child.process.kill();
    const { exitCode, stderr } = await child.ended;
    if (whole && exitCode !== 0) {
      // biome-ignore lint/correctness/noUnsafeFinally: it only replaces the end of a reading that came to none.
      throw await git.failure(args[0] ?? 'git', { exitCode, stderr });
    }
  }
}

async function* rawCommits(
  git: Git,
  commits: Iterable<string>,
  environment: Record<string, string>,
): AsyncGenerator<RawCommit> {
  const child = git.start(['cat-file', '--batch', '--buffer'], environment);
  try {
    child.process.stdin.end([...commits].map((id) => `${id}\n`).join(''));
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of child.process.stdout as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const end = rest.indexOf(0x0a);
        const head = rest.toString('latin1', 0, Math.max(end, 0));
        const [, commit = '', size] = /^([0-9a-f]{40}) commit (\d+)$/.exec(head) ?? [];
        if (end === -1) break;
        if (size === undefined)
          throw await git.failure('cat-file', { exitCode: 0, stderr: `unexpected: ${head}` });
        const after = end + 1 + Number(size);
        if (rest.length <= after) break;
        yield { commit, bytes: rest.subarray(end + 1, after) };
        rest = rest.subarray(after + 1);
      }
    }
  } finally {
    child.process.kill();
    await child.ended;
  }
}

async function* split(stream: AsyncIterable<string>, end: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + chunk).split(end);
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}

function commitFrom(text: string): RecordedCommit {
  const [head = '', ...message] = text.split('\n');
  const [commit = '', seconds = '', committer] = head.split(' ');
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw new BackupError('store.git-failed', {
      command: 'rev-list',
      exitCode: 0,
      stderr: `unexpected: ${head}`,
    });
  return {
    commit,
    atMs: Number(seconds) * 1_000,
    isOurs: committer === committerEmail,
    trailers: trailersIn(message.join('\n')),
  };
}

/** The last paragraph, where every line of it is `Key: value`, as we write them. */
function trailersIn(message: string): readonly (readonly [string, string])[] {
  const paragraphs = message.trim().split(/\n{2,}/);
  if (paragraphs.length < 2) return [];
  const lines = paragraphs.at(-1)?.split('\n') ?? [];
  const found = lines.map((line) => /^([A-Za-z][A-Za-z-]*): (.*)$/.exec(line));
  return found.every((one) => one !== null) ? found.map((one) => [one[1] ?? '', one[2] ?? ''] as const) : [];
}

function linesOf(text: Buffer): string[] {
  return text
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}
