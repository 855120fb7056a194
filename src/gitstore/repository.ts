/** One commit that is wanted: one device and one run. */
export interface CommitRequest {
  readonly subject: (counts: { addedLines: number; removedLines: number }) => string;
  /** Between subject and trailers; empty for none. */
  readonly body: string;
  /** In this order. Values are made one line before they are written. */
  readonly trailers: readonly (readonly [string, string])[];
  /** UTC epoch milliseconds. */
  readonly atMs: number;
  /** Text is one character per byte. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** Paths that go away in the same commit (a device that moved to another group). */
  readonly remove: readonly string[];
  /** Files whose text git has already, by `blobs`. Their lines are not counted. */
  readonly blobs?: readonly { readonly path: string; readonly blob: string }[];
}

/** A commit on main, as git tells of it. */
export interface StoredCommit {
  readonly commit: string;
  /** UTC epoch milliseconds, in whole seconds. */
  readonly atMs: number;
  /** Whether it names this program as its committer. Anybody can write that. */
  readonly isOurs: boolean;
  /** In their order; empty where there are none. */
  readonly trailers: readonly (readonly [string, string])[];
  /** What it wrote and removed, against its parent; paths of artefacts alone. */
  readonly written: readonly string[];
  readonly removed: readonly string[];
}

export interface Committed {
  readonly commit: string;
  readonly addedLines: number;
  readonly removedLines: number;
  /**
   * The commit that somebody else had put on main: it was kept, and is an ancestor of `commit`. Told
   * once, with the first commit after it was found; null where main was as we left it.
   */
  readonly foreignTip: string | null;
}

/** What a look at every object found. */
export interface Inspection {
  /** What git says, one line each; empty where nothing is wrong. */
  readonly problems: readonly string[];
  /** Paths of main whose text is lost until the device is read again. */
  readonly lostPaths: readonly string[];
}

/** What is remembered of looks at every object. Instants are UTC epoch milliseconds. */
export interface Inspected {
  readonly atMs: number;
  /** Problems of the last look. */
  readonly problems: number;
  /** The last look that found none; null: there was none. */
  readonly lastCleanMs: number | null;
}

/**
 * The bare repository. A commit is acknowledged only when it is durable and the ref was read back.
 * Throws BackupError with a `store.*` code.
 */
export interface Repository {
  /** Requests that arrive while a batch is being written become the next batch; each has its own commit. */
  commit(request: CommitRequest): Promise<Committed>;
  /** One character per byte; null where the path is not in that commit. `commit` null: what main is at. */
  read(commit: string | null, path: string): Promise<string | null>;
  /** The commit whose `Run-Id` trailer is this; null where there is none. */
  findRun(runId: string): Promise<string | null>;
  /**
   * Commits of main, oldest first: those that came after the newest one that `isKnown` knows (`runId`: its `Run-Id`,
   * empty for none), and some before it, because commits of one moment are not always known in their order. None
   * where the newest one is known; all where none is.
   */
  commitsSince(isKnown: (commit: string, runId: string) => boolean): AsyncIterable<StoredCommit>;
  /** The id of the text behind each path in its commit (null: what main is at); null where there is none. */
  blobs(
    files: readonly { readonly commit: string | null; readonly path: string }[],
  ): Promise<readonly (string | null)[]>;
  /**
   * Resolves where a commit could be made now, after what a power cut left was repaired; rejects with what is in its way.
   * Writes nothing that a reader sees. The state lock is held.
   */
  ready(): Promise<void>;
  /** Reads every object of the history, and remembers what came of it. Minutes where that is large. The state lock is held. */
  inspect(nowMs: number): Promise<Inspection>;
  /**
   * Packs what commits left, beside them; does not begin while `inspect` looks. `signal` ends it early; the next time
   * goes on. The state lock is held.
   */
  maintain(signal: AbortSignal | null): Promise<void>;
  /** What is remembered of the looks until now; null before the first. */
  inspected(): Promise<Inspected | null>;
  /** Subject, body and trailers of each commit, by its full id; an id that is none is absent. */
  messages(commits: readonly string[]): Promise<ReadonlyMap<string, string>>;
}
