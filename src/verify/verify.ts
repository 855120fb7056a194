import { setImmediate, setTimeout } from 'node:timers/promises';
import type { SealedFiles } from '../artefacts/inspect.ts';
import { BackupError } from '../core/errors.ts';
import type { History, Refs } from '../gitstore/history.ts';
import type { Evidence } from '../ledger/evidence.ts';
import { beforeTheFirst, checkChain, type Head, type Said } from './chain.ts';
import { type Commit, Commits } from './commits.ts';
import { type Accepted, Findings, type Known } from './finding.ts';
import { Notes } from './notes.ts';
import { Records } from './records.ts';
import { SealedCheck } from './sealed.ts';
import { checkSignature, signaturesDemanded } from './signatures.ts';
import { reportAnchors, reportStrangers } from './strangers.ts';

/** What is verified. */
export interface Witnesses {
  readonly history: History;
  readonly evidence: Evidence;
  readonly sealed: SealedFiles;
}

/** A record of which somebody outside of this host was told: in the log, or by an earlier verification. */
export interface Anchor {
  readonly record: number;
  /** Its hash (hex). */
  readonly hash: string;
}

/** How a caller follows it, and ends it: by throwing. `total` 0: nobody knows. */
export type Tell = (step: string, done: number, total: number) => void;

/** What was verified, and what came of it. */
export interface Verdict {
  readonly commits: number;
  /** The commit that main is at; null before the first. */
  readonly main: string | null;
  readonly chain: { readonly length: number; readonly head: string };
  readonly sealedFiles: number;
  readonly findings: Findings;
  readonly accepted: readonly Accepted[];
  /** What is no tampering and deserves a look. */
  readonly notes: readonly string[];
}

/** After so many steps others have a turn, a signal among them. */
const inOneTurn = 2_000;
/** No record has a smaller number. */
const beforeAll = Number.MIN_SAFE_INTEGER;
/** Between a commit and its record lies less. */
const betweenMs = 1_000;
/** Clocks of commits are ours; a run may take so long. */
const recentMs = 60 * 60_000;

/**
 * Holds the repository, the ledger's chain, its tables and the sealed copies against each other. Writes nothing; a
 * daemon may be at work: what it does meanwhile is looked at again at the end. Throws what `tell` throws, and
 * BackupError `store.*` or `record.*` where something cannot be read at all.
 */
export async function verifyState(
  witnesses: Witnesses,
  anchor: Anchor | null,
  nowMs: number,
  tell: Tell,
): Promise<Verdict> {
  const breaks = breaksIn(witnesses.evidence);
  const findings = new Findings(knownBy(breaks));
  const verification = new Verification(witnesses, findings, { anchor, nowMs, tell });
  await verification.history();
  await verification.ledger();
  await verification.sealed();
  await verification.late();
  const { commits, main, head, sealedFiles, notes } = verification;
  return {
    commits: commits.size,
    main,
    chain: { length: head.n, head: Buffer.from(head.hash).toString('hex') },
    sealedFiles,
    findings,
    notes,
    accepted: breaks.map(({ record, atMs, by, because }) => ({
      ...{ record, atMs, by, because },
      findings: findings.metAgain(record),
    })),
  };
}

interface Break extends Omit<Accepted, 'findings'> {
  readonly ids: readonly string[];
}

/** What persons accepted, each in a record of its own. */
function breaksIn(evidence: Evidence): readonly Break[] {
  return recordsOf(evidence).map(({ n, record }) => {
    const { at_ms, by, because, findings } = JSON.parse(record) as Said;
    return {
      ...{ record: n, atMs: Number(at_ms), by: String(by), because: String(because) },
      ids: Array.isArray(findings) ? findings.map(String) : [],
    };
  });
}

/** None where the file is damaged, which is told of later. */
function recordsOf(evidence: Evidence): ReturnType<Evidence['records']> {
  try {
    return evidence.records('break');
  } catch (error) {
    if (evidence.damage().length === 0) throw error;
    return [];
  }
}

function knownBy(breaks: readonly Break[]): Known {
  return new Map(breaks.flatMap(({ record, ids }) => ids.map((id) => [id, record] as const)));
}

/** One verification, step by step. */
class Verification {
  readonly #witnesses: Witnesses;
  readonly #findings: Findings;
  readonly #tell: Tell;
  readonly #anchor: Anchor | null;
  readonly #startedAtMs: number;
  readonly #notes = new Notes();
  readonly #copies: SealedCheck;
  readonly commits = new Commits();
  main: string | null = null;
  head: Head = beforeTheFirst;
  #refs: Refs = { main: null, replaced: [], substitutes: new Map(), problems: [] };
  #records: Records | null = null;
  #isDamaged = false;
  /** Hash of the record that the anchor names. */
  #anchored = '';

  constructor(
    witnesses: Witnesses,
    findings: Findings,
    { anchor, nowMs, tell }: { readonly anchor: Anchor | null; readonly nowMs: number; readonly tell: Tell },
  ) {
    this.#witnesses = witnesses;
    this.#findings = findings;
    this.#anchor = anchor;
    this.#startedAtMs = nowMs;
    this.#tell = tell;
    this.#copies = new SealedCheck(witnesses, findings, this.#notes, nowMs);
  }

  get sealedFiles(): number {
    return this.#copies.files;
  }

  get notes(): readonly string[] {
    return this.#notes.told;
  }

  /** First: what is committed after this is not looked for in it. */
  async history(): Promise<void> {
    const { history } = this.#witnesses;
    this.#refs = await history.refs();
    this.main = this.#refs.main;
    for (const problem of this.#refs.problems) this.#findings.add('git.damaged', 'refs', problem, null);
    await this.#reading(() => this.#walk([]));
    await this.#checkSubstitutes();
    await this.#reading(() => this.#checkObjects());
  }

  async #walk(except: readonly string[]): Promise<void> {
    if (this.main === null) return;
    let done = 0;
    for await (const commit of this.#witnesses.history.commits(this.main, except)) {
      if (done++ % inOneTurn === 0) this.#tell('history', done, 0);
      this.commits.add(commit);
    }
  }

  /** A commit or text that is shown instead of one that is there would hide it from every reader but this one. */
  async #checkSubstitutes(): Promise<void> {
    const { substitutes } = this.#refs;
    for (const object of await this.#witnesses.history.present([...substitutes.keys()]))
      this.#findings.add(
        'git.substituted',
        `object ${object}`,
        `git shows ${substitutes.get(object)} instead of it`,
        null,
      );
  }

  async #checkObjects(): Promise<void> {
    this.#tell('git fsck', 0, 0);
    const { history } = this.#witnesses;
    const tips = this.main === null ? [] : [this.main];
    for await (const line of history.check(tips))
      this.#findings.add('git.damaged', 'configs.git', line, null);
  }

  /** What git cannot read is a finding, not the end. */
  async #reading(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BackupError && error.code === 'store.git-failed')) throw error;
      const { stderr } = (error as BackupError<'store.git-failed'>).detail;
      this.#findings.add('git.damaged', 'configs.git', `cannot be read: ${stderr}`, null);
    }
  }

  async ledger(): Promise<void> {
    const { evidence } = this.#witnesses;
    this.#tell('ledger: integrity', 0, 0);
    const damage = evidence.damage();
    for (const line of damage) this.#findings.add('ledger.damaged', 'ledger.db', line, null);
    this.#isDamaged = damage.length > 0;
    await this.#tolerantly(async () => {
      const records = new Records(evidence, this.commits, this.#findings, this.#startedAtMs);
      this.#records = records;
      await this.#chain(records, beforeAll, evidence.chainLength());
      await this.#inTurns(records.leftovers(), 'ledger: tables');
    });
  }

  /** What SQLite meets in a file that is damaged is told of already, and ends what can be said of the ledger. */
  async #tolerantly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#isDamaged || isAbort(error)) throw error;
      this.#records = null;
    }
  }

  async #chain(records: Records, after: number, total: number): Promise<void> {
    let met = 0;
    const links = checkChain(this.#witnesses.evidence.chain(after), this.head, this.#findings);
    for (;;) {
      const { done, value } = links.next();
      if (done === true) {
        this.head = value;
        return;
      }
      if (met++ % inOneTurn === 0) await this.#turn('ledger: audit chain', met, total);
      if (value.n === this.#anchor?.record) this.#anchored = value.hash;
      records.take(value);
    }
  }

  async #inTurns(steps: Iterable<void>, step: string): Promise<void> {
    let done = 0;
    for (const _ of steps) if (done++ % inOneTurn === 0) await this.#turn(step, done, 0);
  }

  async #turn(step: string, done: number, total: number): Promise<void> {
    this.#tell(step, done, total);
    await setImmediate();
  }

  async sealed(): Promise<void> {
    await this.#tolerantly(() =>
      this.#copies.check((done, total) => this.#turn('sealed copies', done, total)),
    );
  }

  /** What changed since it was looked at, and what only now can be told. */
  async late(): Promise<void> {
    const { evidence, history } = this.#witnesses;
    const tips = await history.ownTips();
    await this.#newCommits();
    const judged = this.commits.size;
    await this.#tolerantly(() => this.#newRecords());
    // What these records name may be newer than main was.
    await this.#newCommits();
    await this.#tolerantly(async () => {
      this.#copies.tellDoubts();
      if (this.#records === null) return;
      await this.#reportMissing(this.#records);
      const commits = [...this.commits.all()].slice(0, judged);
      reportStrangers(commits, evidence, this.#findings, this.#notes);
      await this.#checkSignatures(commits, this.#records);
      reportAnchors(commits, (commit) => this.commits.anchorOf(commit), this.#findings);
      this.#checkAnchor();
    });
    this.#checkOwnTip(tips?.acknowledged ?? null);
  }

  async #checkSignatures(commits: readonly Commit[], { signKeys }: Records): Promise<void> {
    const demands = signaturesDemanded(commits, signKeys, this.#notes);
    if (demands.length === 0) return;
    const keys = new Map(demands.map(({ commit, key }) => [commit.commit, key] as const));
    await this.#reading(async () => {
      let done = 0;
      for await (const raw of this.#witnesses.history.raw(keys.keys())) {
        if (done++ % inOneTurn === 0) await this.#turn('signatures', done, keys.size);
        const key = keys.get(raw.commit);
        if (key !== undefined) checkSignature(raw, key, this.#findings);
      }
    });
  }

  async #newRecords(): Promise<void> {
    const { evidence } = this.#witnesses;
    for (let again = false; this.#records !== null; again = true) {
      evidence.refresh();
      await this.#chain(this.#records, this.head.n, 0);
      if (again || !this.#awaitsRecord()) return;
      await setTimeout(betweenMs);
    }
  }

  /** What was told outside. */
  #checkAnchor(): void {
    if (this.#anchor === null || this.#anchored === this.#anchor.hash) return;
    const { record, hash } = this.#anchor;
    const now =
      this.#anchored === '' ? `is gone: the chain ends with record ${this.head.n}` : `has ${this.#anchored}`;
    this.#findings.add(
      'anchor.lost',
      `record ${record}`,
      `had the hash ${hash} when it was told, and ${now}`,
      null,
    );
  }

  async #newCommits(): Promise<void> {
    const before = this.main;
    this.#refs = await this.#witnesses.history.refs();
    if (this.#refs.main === before || this.#refs.main === null) return;
    this.main = this.#refs.main;
    await this.#reading(() => this.#walk(before === null ? [] : [before]));
  }

  /** Whether a commit may have been made in this moment, and its record follows. */
  #awaitsRecord(): boolean {
    for (const { named, atMs } of this.commits.all())
      if (named === null && atMs > this.#startedAtMs - recentMs) return true;
    return false;
  }

  async #reportMissing({ missing, unheard }: Records): Promise<void> {
    const gone = [...missing.values()].filter(({ commit }) => this.commits.get(commit) === null);
    const kept = gone.length === 0 ? new Set<string>() : await this.#kept();
    for (const { commit, n, atMs, made } of gone) {
      const successor = this.#refs.substitutes.get(commit) ?? null;
      const now = [
        ...(successor === null ? [] : [`${successor} stands for it`]),
        ...(kept.has(commit) ? ['refs/roundsman/replaced keeps it'] : []),
      ].join('; ');
      this.#findings.add(
        'commit.gone',
        `commit ${commit}`,
        `(${made}, record ${n}) is not on main any more${now === '' ? '' : `: ${now}`}`,
        atMs,
        `gone, for it ${successor}`,
      );
    }
    for (const { commit, n, atMs, made } of unheard.values())
      if (this.commits.get(commit) === null && !missing.has(commit))
        this.#findings.add(
          'success.without-commit',
          `record ${n}`,
          `${made}: commit ${commit || '(none)'}, which no record says was made, and which is not on main`,
          atMs,
        );
  }

  async #kept(): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (const tip of this.#refs.replaced) {
      await this.#reading(async () => {
        const except = this.main === null ? [] : [this.main];
        for await (const { commit } of this.#witnesses.history.commits(tip, except)) found.add(commit);
      });
    }
    return found;
  }

  /** What main was last acknowledged at lies beside the repository. */
  #checkOwnTip(at: string | null): void {
    if (at === null || this.commits.get(at) !== null) return;
    this.#findings.add(
      'git.went-back',
      'main',
      `is at ${this.main ?? 'nothing'}, and was acknowledged at ${at}, which it does not hold`,
      null,
      at,
    );
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
