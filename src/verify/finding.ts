import { createHash } from 'node:crypto';

/** What can be wrong. Scripts hold on to these names. */
export type FindingKind = keyof typeof todos;

/** One thing that is not as it was recorded. */
export interface Finding {
  readonly kind: FindingKind;
  /** What it is about: `record 17`, `commit 3f9a…`, `run …`, a file. */
  readonly where: string;
  /** One line; may hold words of a device. */
  readonly what: string;
  /** When that which is concerned was written: it happened then or later. UTC epoch milliseconds; null where nothing says. */
  readonly sinceMs: number | null;
  readonly todo: string;
}

/** A finding that a person looked at and recorded. */
export interface Accepted {
  /** The record of the chain that holds it. */
  readonly record: number;
  readonly atMs: number;
  readonly by: string;
  readonly because: string;
  /** How many of the findings that it lists were found again. */
  readonly findings: number;
}

const evidence = 'keep a copy of state_dir as it is now, and see docs/runbooks/ConfigBackupAuditTampered.md';

/** What to do about each. */
const todos = {
  'chain.changed': evidence,
  'chain.gap': evidence,
  'chain.order': evidence,
  'chain.rebuilt':
    'was the ledger lost, or put back from an older copy? Then accept it: `roundsman verify --accept-break`. Else somebody made the commit',
  'anchor.lost': evidence,
  'anchor.order': evidence,
  'commit.gone':
    'was the history rewritten on purpose (docs/operations.md, "A secret that reached git")? Then accept it: `roundsman verify --accept-break`. Else put configs.git back from a backup or a remote',
  'commit.unknown': 'look at it: `git -C STATE_DIR/configs.git show COMMIT`; who could write there?',
  'commit.without-success': 'look at both: `roundsman runs`, and `git -C STATE_DIR/configs.git show COMMIT`',
  'commit.unsigned':
    'who made it? Somebody whom you know: accept it: `roundsman verify --accept-break`. Else `git -C STATE_DIR/configs.git show COMMIT`; who could write there?',
  'commit.badly-signed': evidence,
  'success.without-commit':
    'read the device again: `roundsman backup NAME`, and put configs.git back from a backup or a remote',
  'row.changed': evidence,
  'row.gone': evidence,
  'row.unrecorded': evidence,
  'sealed.changed': 'put the file back from a backup of state_dir; `restore` refuses it as it is',
  'sealed.gone': 'put the file back from a backup of state_dir; it is needed by `restore` of that version',
  'git.damaged':
    'put configs.git back from a backup or a remote, or let the next readings write what is missing; see docs/operations.md, "Verify"',
  'git.substituted':
    'was it made by a rewriting of the history? Then accept it: `roundsman verify --accept-break`. Else `git -C STATE_DIR/configs.git replace --delete OBJECT`',
  'git.went-back':
    'was the history rewritten on purpose? Then accept it: `roundsman verify --accept-break`. Else put configs.git back from a backup or a remote',
  'ledger.damaged':
    'stop the service, move ledger.db with its -wal and -shm aside, and start it again: see docs/operations.md, "A ledger that is damaged"',
} as const satisfies Record<string, string>;

/** So many of one kind are told one by one; of the others, how many there are. */
const shownOfAKind = 50;

/** More in one record would be no record that a person can answer for. */
const mostAccepted = 1_000_000;

/** What was accepted before, by the id of each finding. */
export type Known = ReadonlyMap<string, number>;

/** Collects findings: all are counted, the first ones of each kind are kept, and known ones are told apart. */
export class Findings {
  readonly #known: Known;
  readonly #shown: Finding[] = [];
  readonly #counts = new Map<FindingKind, number>();
  readonly #ids = new Set<string>();
  readonly #metAgain = new Map<number, Set<string>>();

  /** `known`: by id, the record that accepted it. */
  constructor(known: Known) {
    this.#known = known;
  }

  /**
   * `state`: what was found there, where `what` may be worded otherwise the next time. What is found elsewhere, or
   * found to be something else, is another finding.
   */
  add(kind: FindingKind, where: string, what: string, sinceMs: number | null, state = what): void {
    const id = createHash('sha256').update([kind, where, state].join('\0')).digest('hex').slice(0, 32);
    const record = this.#known.get(id);
    if (record !== undefined) {
      this.#metAgain.set(record, (this.#metAgain.get(record) ?? new Set()).add(id));
      return;
    }
    if (this.#ids.has(id)) return;
    if (this.#ids.size < mostAccepted) this.#ids.add(id);
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= shownOfAKind) this.#shown.push({ kind, where, what, sinceMs, todo: todos[kind] });
  }

  /** In the order in which they were found. */
  get shown(): readonly Finding[] {
    return this.#shown;
  }

  /** How many there are of each kind, those that are not shown among them. */
  get counts(): ReadonlyMap<FindingKind, number> {
    return this.#counts;
  }

  /** Of every finding that was not accepted, or of the first million. */
  get ids(): readonly string[] {
    return [...this.#ids];
  }

  /** How many findings of this record were found again. */
  metAgain(record: number): number {
    return this.#metAgain.get(record)?.size ?? 0;
  }
}

/** Stands for all of these findings, in whatever order they were found. */
export function fingerprintOf(ids: readonly string[]): string {
  return createHash('sha256').update(ids.toSorted().join('\n')).digest('hex');
}
