import type { Git, GitChild } from './git.ts';

/** One commit as fast-import gets it. Paths are of artefacts, so none needs quoting. */
export interface ImportedCommit {
  readonly message: string;
  /** UTC epoch milliseconds; git keeps whole seconds. */
  readonly atMs: number;
  readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
  readonly remove: readonly string[];
  /** Files by the id of their text. */
  readonly blobs: readonly { readonly path: string; readonly blob: string }[];
}

export const mainRef = 'refs/heads/main';

/** Nobody's mailbox: it says which program wrote a commit. */
export const committerEmail = 'roundsman@localhost';
export const author = `Roundsman <${committerEmail}>`;

/**
 * Writes commits on top of `tip` (null: the first one has no parent), one after the other, and moves
 * main. Returns their ids; they count only once the caller has read main back.
 *
 * `beforeMove` is called with the ids while the ref has not moved yet; when it throws, it does not.
 * git refuses the move where main is no longer at `tip`. Throws BackupError `store.*`: any exit code
 * but 0 and any line on standard error is a failure, because fast-import only warns about a ref that it
 * could not move.
 */
export async function importCommits(
  git: Git,
  tip: string | null,
  commits: readonly ImportedCommit[],
  beforeMove: (ids: readonly string[]) => Promise<void>,
): Promise<readonly string[]> {
  return run(git, { ref: mainRef, tip, end: 'done\n' }, commits, beforeMove);
}

/** Writes the same commits, and no ref leads to them. Returns their ids. Throws as `importCommits` does. */
export async function importBare(
  git: Git,
  tip: string | null,
  commits: readonly ImportedCommit[],
): Promise<readonly string[]> {
  // The branch is forgotten again before fast-import would write it.
  const end = `reset ${bareRef}\nfrom ${'0'.repeat(40)}\n\ndone\n`;
  return run(git, { ref: bareRef, tip, end }, commits, async () => {});
}

const bareRef = 'refs/roundsman/unsigned';

interface Branch {
  readonly ref: string;
  readonly tip: string | null;
  /** What the stream ends with. */
  readonly end: string;
}

async function run(
  git: Git,
  branch: Branch,
  commits: readonly ImportedCommit[],
  beforeEnd: (ids: readonly string[]) => Promise<void>,
): Promise<readonly string[]> {
  // A tenth less time for each commit, for repositories that are a tenth larger (bench/parts/git.ts).
  const child = git.start([
    '-c',
    'core.compression=1',
    'fast-import',
    '--quiet',
    '--done',
    '--date-format=raw',
  ]);
  let cause: unknown = null;
  let ids: readonly string[] = [];
  try {
    const answers = answersOf(child, commits.length);
    for (const [index, commit] of commits.entries()) {
      for (const piece of stream(commit, index, branch)) await write(child, piece);
    }
    ids = (await answers) ?? [];
    if (ids.length === commits.length) {
      await beforeEnd(ids);
      await write(child, Buffer.from(branch.end));
    }
  } catch (error) {
    cause = error;
  }
  // Without `done` before its end the stream is incomplete, and fast-import moves nothing.
  child.process.stdin.end();
  const result = await child.ended;
  if (cause !== null) throw cause;
  if (result.exitCode !== 0 || result.stderr !== '' || ids.length !== commits.length) {
    throw await git.failure('fast-import', result);
  }
  return ids;
}

/** The pieces of one commit, ending with the question for its id. */
function* stream(commit: ImportedCommit, index: number, { ref, tip }: Branch): Generator<Buffer> {
  const message = Buffer.from(commit.message, 'utf8');
  yield Buffer.from(
    `commit ${ref}\nmark :${index + 1}\n` +
      `committer ${author} ${Math.floor(commit.atMs / 1000)} +0000\ndata ${message.length}\n`,
  );
  yield message;
  yield Buffer.from('\n');
  if (index === 0 && tip !== null) yield Buffer.from(`from ${tip}\n`);
  for (const path of commit.remove) yield Buffer.from(`D ${path}\n`);
  for (const file of commit.files) {
    yield Buffer.from(`M 100644 inline ${file.path}\ndata ${file.bytes.length}\n`);
    yield file.bytes;
    yield Buffer.from('\n');
  }
  for (const { path, blob } of commit.blobs) yield Buffer.from(`M 100644 ${blob} ${path}\n`);
  yield Buffer.from(`\nget-mark :${index + 1}\n`);
}

/** The ids that fast-import answers with; null where it ends before it gave all of them. */
function answersOf(child: GitChild, count: number): Promise<readonly string[] | null> {
  return new Promise((resolve) => {
    let received = '';
    child.process.stdout.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const lines = received.split('\n').slice(0, -1);
      if (lines.length === count) resolve(lines);
    });
    void child.ended.then(() => resolve(null));
  });
}

/** Resolves once there is room for more, or the child is gone (its exit code then says why). */
async function write(child: GitChild, piece: Buffer): Promise<void> {
  const { stdin } = child.process;
  if (!stdin.writable || stdin.write(piece)) return;
  let drained = () => {};
  const room = new Promise<void>((resolve) => {
    drained = resolve;
    stdin.once('drain', resolve);
  });
  await Promise.race([room, child.ended]);
  stdin.off('drain', drained);
}
