import { BackupError } from '../core/errors.ts';
import { type ImportedCommit, importCommits } from './fast-import.ts';
import { flushRepository } from './flush-repository.ts';
import type { Git } from './git.ts';
import { groupCommit } from './group-commit.ts';
import { clearDeadLocks, removeHalfWritten, type Span } from './leftovers.ts';
import { countLines, type LineCounts, type Pair, removeOldScratch } from './line-counts.ts';
import { messageText } from './message.ts';
import { blobId, setAside } from './objects.ts';
import { isArtefactPath } from './paths.ts';
import { isAncestor, readBlobs, readTip } from './reading.ts';
import type { CommitRequest, Committed } from './repository.ts';
import { importSigned, type Signing } from './signing.ts';
import { storing } from './storing.ts';
import { readOwnTips, writeOwnTips } from './tip.ts';

/** Bounds the memory that one batch holds, and how much one failure takes with it. */
const largestBatch = 256;

/** The one writer of a repository. */
interface Writer {
  readonly commit: (request: CommitRequest) => Promise<Committed>;
  /** All that a commit does before its objects are written, between two batches; throws what a commit would throw. */
  readonly attempt: () => Promise<void>;
}

/**
 * `onStaleLock` is told of each lock of a dead process that it removed; `mended` does a batch, and once more where what
 * stood in its way could be repaired.
 */
export function writer(
  git: Git,
  onStaleLock: () => void,
  mended: <Answer>(work: () => Promise<Answer>) => Promise<Answer>,
  signing: Signing,
): Writer {
  const failed: Span[] = [];
  let swept = false;

  type Answers = readonly PromiseSettledResult<Committed>[];

  async function write(requests: readonly CommitRequest[]): Promise<Answers> {
    await storing(git.dir, async () => {
      if (!swept) await removeOldScratch(git.dir);
      swept = true;
      await clearDeadLocks(git.dir, failed, onStaleLock);
    });
    // No lock is left now, so one of this stretch that outlives our child is our child's.
    const fromMs = Date.now();
    try {
      const answers = await storing(git.dir, () => writeBatch(git, requests, signing));
      failed.length = 0;
      return answers;
    } catch (error) {
      const span = { fromMs, toMs: Date.now() };
      failed.push(span);
      await removeHalfWritten(git.dir, span);
      throw error;
    }
  }

  /** A batch without requests is an attempt. */
  const batches = groupCommit(async (all: readonly (CommitRequest | null)[]): Promise<Answers> => {
    const requests = all.filter((request) => request !== null);
    const answers = await mended(() => write(requests));
    let next = 0;
    return all.map((request) => (request === null ? attempted : (answers[next++] ?? attempted)));
  }, largestBatch);
  return {
    async commit(request) {
      const { files, blobs = [], remove } = request;
      for (const path of [...[...files, ...blobs].map((file) => file.path), ...remove]) {
        if (!isArtefactPath(path)) throw new Error(`${JSON.stringify(path)} is not the path of an artefact`);
      }
      return batches(request);
    },
    attempt: async () => void (await batches(null)),
  };
}

const attempted: PromiseFulfilledResult<Committed> = {
  status: 'fulfilled',
  value: { commit: '', addedLines: 0, removedLines: 0, foreignTip: null },
};

/** Each request in a commit of its own; the answers come when all of them are durable. */
async function writeBatch(
  git: Git,
  requests: readonly CommitRequest[],
  signing: Signing,
): Promise<readonly PromiseSettledResult<Committed>[]> {
  const sinceMs = Date.now();
  const { tip, foreignTip } = await startingPoint(git);
  const counts = await countChanges(git, tip, requests);
  const prepared = requests.map((request, index) => prepare(request, counts[index] ?? noLines));

  const wanted = prepared.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (wanted.length === 0) {
    // As far as an attempt goes: whether this disk takes a write.
    await writeOwnTips(git.dir, (await readOwnTips(git.dir)) ?? { acknowledged: tip, pending: null });
    return prepared as readonly PromiseRejectedResult[];
  }
  // git takes a text for stored whose file is there, also where a power cut emptied that.
  for (const { files } of wanted) for (const { bytes } of files) await setAside(git.dir, blobId(bytes));
  signing.onBatch(tip);
  const beforeMove = (made: readonly string[]): Promise<void> =>
    writeOwnTips(git.dir, { acknowledged: tip, pending: made.at(-1) ?? null });
  const signer = signing.signer();
  const ids =
    signer === null
      ? await importCommits(git, tip, wanted, beforeMove)
      : await importSigned(git, signer, tip, wanted, beforeMove);
  const newest = ids.at(-1) ?? null;
  const found = await readTip(git);
  if (found !== newest) {
    throw new BackupError('store.foreign-tip', { expected: newest ?? 'nothing', found: found ?? 'nothing' });
  }
  await flushRepository(git.dir, sinceMs);
  await writeOwnTips(git.dir, { acknowledged: newest, pending: null });

  let next = 0;
  return prepared.map((one, index) => {
    if (one.status === 'rejected') return one;
    const first = next === 0;
    const commit = ids[next++] ?? '';
    const value = { commit, ...(counts[index] ?? noLines), foreignTip: first ? foreignTip : null };
    return { status: 'fulfilled', value };
  });
}

const noLines: LineCounts = { addedLines: 0, removedLines: 0 };

/**
 * The parent of the next commit. Where somebody else moved main, their commit is the parent, and if ours
 * is no longer behind it, ours is kept by a ref of its own: neither history is ever lost.
 */
async function startingPoint(git: Git): Promise<{ tip: string | null; foreignTip: string | null }> {
  const found = await readTip(git);
  const own = await readOwnTips(git.dir);
  if (own === null || found === own.acknowledged) return { tip: found, foreignTip: null };
  if (found !== null && found === own.pending) {
    // A crash came between the move and the flush: make good for the flush.
    await flushRepository(git.dir, 0);
    return { tip: found, foreignTip: null };
  }

  const ours = own.acknowledged;
  // Main was removed: the next commit continues where we were.
  if (found === null) return { tip: ours, foreignTip: null };
  if (ours !== null && (await isCommit(git, ours)) && !(await isAncestor(git, ours, found))) {
    await git.must(['update-ref', `refs/roundsman/replaced/${ours}`, ours]);
  }
  return { tip: found, foreignTip: found };
}

async function isCommit(git: Git, id: string): Promise<boolean> {
  return (await git.run(['cat-file', '-e', `${id}^{commit}`])).exitCode === 0;
}

/** A request as fast-import takes it, or why this one alone cannot be written. */
function prepare(request: CommitRequest, counts: LineCounts): PromiseSettledResult<ImportedCommit> {
  try {
    const { body, trailers, atMs, remove, blobs = [] } = request;
    const message = messageText({ subject: request.subject(counts), body, trailers });
    const files = request.files.map(({ path, text }) => ({ path, bytes: Buffer.from(text, 'latin1') }));
    return { status: 'fulfilled', value: { message, atMs, files, remove, blobs } };
  } catch (reason) {
    return { status: 'rejected', reason };
  }
}

/**
 * Lines that each request adds and removes, against main as it is when its turn comes. A file that goes
 * away while one of the same name comes is a move: only what differs counts.
 */
async function countChanges(
  git: Git,
  tip: string | null,
  requested: readonly CommitRequest[],
): Promise<readonly LineCounts[]> {
  // Of a file that moves as it is, nothing is read and nothing counted.
  const requests = requested.map(({ files, remove, blobs }) => ({
    files,
    remove: blobs === undefined ? remove : [],
  }));
  const paths = [
    ...new Set(requests.flatMap(({ files, remove }) => [...files.map(({ path }) => path), ...remove])),
  ];
  const blobs =
    tip === null
      ? []
      : await readBlobs(
          git,
          paths.map((path) => `${tip}:${path}`),
        );
  const current = new Map<string, Buffer>();
  for (const [index, path] of paths.entries()) {
    const blob = blobs[index];
    if (blob) current.set(path, blob);
  }

  const pairs: (Pair & { request: number })[] = [];
  for (const [request, { files, remove }] of requests.entries()) {
    const leaving = new Map(remove.map((path) => [nameOf(path), current.get(path) ?? nothing]));
    for (const path of remove) current.delete(path);
    for (const { path, text } of files) {
      const before = current.get(path) ?? leaving.get(nameOf(path)) ?? nothing;
      leaving.delete(nameOf(path));
      const after = Buffer.from(text, 'latin1');
      current.set(path, after);
      pairs.push({ before, after, request });
    }
    for (const before of leaving.values()) pairs.push({ before, after: nothing, request });
  }

  const counted = await countLines(git, pairs);
  const sums = requests.map(() => ({ addedLines: 0, removedLines: 0 }));
  for (const [index, { request }] of pairs.entries()) {
    const sum = sums[request];
    if (sum === undefined) continue;
    sum.addedLines += counted[index]?.addedLines ?? 0;
    sum.removedLines += counted[index]?.removedLines ?? 0;
  }
  return sums;
}

const nothing = Buffer.alloc(0);

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
