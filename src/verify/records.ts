import { instant } from '../core/units.ts';
import type { Evidence, RunFact, SlotFact } from '../ledger/evidence.ts';
import { Bits } from './bits.ts';
import type { Met, Said } from './chain.ts';
import type { Commits } from './commits.ts';
import type { Findings } from './finding.ts';
import { Pruned } from './pruned.ts';
import type { SignKey } from './signatures.ts';
import { Tally } from './tally.ts';

/** A commit that a record names and main does not have. */
export interface Missing {
  readonly commit: string;
  readonly n: number;
  readonly atMs: number | null;
  /** What the record says that it was: a finding's words. */
  readonly made: string;
  /** Of the run that stored it; null for moves and retirements. */
  readonly runId: string | null;
}

/**
 * Holds each record against the tables and against main, and afterwards each row of the tables against the records:
 * an end in one of them has to be in the other.
 */
export class Records {
  readonly #evidence: Evidence;
  readonly #commits: Commits;
  readonly #findings: Findings;
  readonly #forgottenBeforeMs: number;
  readonly #pruned: Pruned;
  readonly #runs = new Bits();
  readonly #accepted = new Bits();
  readonly #versions = new Bits();
  readonly #sealed = new Bits();
  readonly #archives = new Bits();
  readonly #slots = new Tally();
  readonly #standings = new Map<string, { readonly run: string; readonly atMs: number }>();
  /** Named by records and not on main, by commit. */
  readonly missing = new Map<string, Missing>();
  /** Confirmed by a reading that found nothing changed, and never heard of before. */
  readonly unheard = new Map<string, Missing>();

  /** Keys that came into force, in their order. */
  readonly signKeys: SignKey[] = [];

  constructor(evidence: Evidence, commits: Commits, findings: Findings, nowMs: number) {
    this.#evidence = evidence;
    this.#commits = commits;
    this.#findings = findings;
    this.#forgottenBeforeMs = evidence.forgottenBeforeMs() ?? Number.NEGATIVE_INFINITY;
    this.#pruned = new Pruned(evidence, nowMs);
  }

  /** One record, in its turn. */
  take(met: Met): void {
    const { said, n, hash } = met;
    this.#commits.met(hash, n);
    switch (said.category) {
      case 'run':
        this.#run(met);
        break;
      case 'accept':
        this.#accept(met);
        break;
      case 'slot':
        this.#slot(met);
        break;
      case 'archive':
        this.#archive(met);
        break;
      case 'moved':
        this.#name(word(said.commit), met, 'a move of files', null);
        break;
      case 'retire':
        if (said.commit !== null) this.#name(word(said.commit), met, 'a retirement', null);
        break;
      case 'foreign-tip': {
        const kept = this.#commits.get(word(said.kept));
        if (kept !== null) kept.named ??= 'foreign';
        break;
      }
      case 'sign-key':
        this.signKeys.push({
          n,
          publicKey: typeof said.public_key === 'string' ? said.public_key : null,
          after: typeof said.after === 'string' ? said.after : null,
        });
        break;
      case 'rebuilt':
        this.#findings.add(
          'chain.rebuilt',
          `record ${n}`,
          `the ledger did not know run ${word(said.run)}, and took it over from commit ${word(said.commit)}`,
          met.atMs,
        );
    }
  }

  #run(met: Met): void {
    const { said, n, atMs } = met;
    const runId = word(said.run);
    const row = this.#evidence.run(runId);
    const isGood = said.state === 'changed' || said.state === 'unchanged';
    const device = word(said.device);
    if (isGood) this.#standings.set(device, { run: runId, atMs: Number(said.ended_at_ms) });
    if (isGood) this.#good(met, runId, device);
    if (!this.#isThere(row, `run ${runId}`, met)) return;
    if (this.#runs.add(row.n))
      this.#changed(`run ${runId}`, `ended twice: record ${n} tells of it again`, atMs);
    const error = said.error as Said | null;
    const wrong = differences({ ...said, error: error === null ? null : error?.code }, row.columns);
    // An acceptance gives it the commit that it did not have.
    if (row.acceptedAtMs === null && said.commit !== row.commit) wrong.push('commit');
    if (wrong.length > 0)
      this.#changed(`run ${runId}`, `is not what record ${n} says (${this.#told(row, said, wrong)})`, atMs);
    this.#reading(met, runId, device, isGood);
  }

  #good(met: Met, runId: string, device: string): void {
    const commit = word(met.said.commit);
    const by = `run ${runId} of ${device}`;
    if (met.said.state === 'unchanged') {
      const isHeardOf = this.#commits.get(commit) !== null || this.missing.has(commit);
      const { n, atMs } = met;
      if (!isHeardOf) this.unheard.set(commit, { commit, n, atMs, made: `what ${by} confirmed`, runId });
      return;
    }
    this.#name(commit, met, by, runId);
    const stored = this.#commits.get(commit);
    if (stored === null) return;
    if (stored.runId !== runId)
      this.#findings.add(
        'commit.without-success',
        `commit ${commit}`,
        `says that it is of run ${stored.runId || '(none)'}, and record ${met.n} that it is of run ${runId}`,
        met.atMs,
      );
    const digests = artefactsIn(met.said).flatMap(({ sealed }) =>
      typeof sealed === 'string' ? [sealed] : [],
    );
    const unnamed = digests.filter((digest) => !stored.sealed.includes(digest));
    for (const digest of unnamed)
      this.#findings.add(
        'commit.without-success',
        `commit ${commit}`,
        `does not name the sealed copy ${digest}, which record ${met.n} says is of its run ${runId}`,
        met.atMs,
      );
  }

  #reading(met: Met, runId: string, device: string, isGood: boolean): void {
    const { said, n, atMs } = met;
    for (const artefact of artefactsIn(said)) {
      const { path, sealed } = artefact;
      const name = word(artefact.name);
      if (isGood && typeof path === 'string') {
        const version = this.#evidence.version(device, name, runId);
        const where = `version of ${name} of ${device} by run ${runId}`;
        if (version !== null) {
          this.#versions.add(version.n);
          if (version.path !== path || version.commit !== said.commit)
            this.#changed(
              where,
              `is ${version.commit}:${version.path}, and record ${n} says ${word(said.commit)}:${path}`,
              atMs,
            );
        } else if (artefact.changed === true) this.#gone(where, met);
      }
      if (typeof sealed === 'string') this.#copy(met, { device, name, runId, sealed });
    }
  }

  /** A copy of what did not change gives way to the next one, and retention forgets the others. */
  #copy(
    met: Met,
    { device, name, runId, sealed }: { device: string; name: string; runId: string; sealed: string },
  ): void {
    const row = this.#evidence.sealed(device, name, runId);
    const where = `sealed copy of ${name} of ${device} by run ${runId}`;
    if (row !== null) {
      this.#sealed.add(row.n);
      if (row.digest !== sealed)
        this.#changed(where, `is ${row.digest}, and record ${met.n} says ${sealed}`, met.atMs);
      return;
    }
    const mayGo = met.said.state === 'unchanged' || Number(met.said.ended_at_ms) < this.#forgottenBeforeMs;
    if (!mayGo) this.#gone(where, met);
  }

  #accept(met: Met): void {
    const { said, n, atMs } = met;
    const runId = word(said.run);
    const row = this.#evidence.run(runId);
    if (row === null) {
      this.#gone(`run ${runId}`, met);
      return;
    }
    this.#accepted.add(row.n);
    const device = word(said.device);
    if (row.acceptedAtMs !== said.at_ms || row.acceptedBy !== said.by || row.commit !== said.commit)
      this.#changed(
        `run ${runId}`,
        `was accepted by ${word(said.by)} with commit ${word(said.commit)}, as record ${n} says; the ledger has something else`,
        atMs,
      );
    this.#standings.set(device, { run: runId, atMs: Number(said.at_ms) });
    this.#name(word(said.commit), met, `accepted run ${runId} of ${device}`, runId);
    for (const [artefact, path] of Object.entries((said.paths ?? {}) as Said)) {
      const version = this.#evidence.version(device, artefact, runId);
      const where = `version of ${artefact} of ${device} by run ${runId}`;
      if (version === null) continue;
      this.#versions.add(version.n);
      if (version.path !== path || version.commit !== said.commit)
        this.#changed(
          where,
          `is ${version.commit}:${version.path}, and record ${n} says ${word(said.commit)}:${word(path)}`,
          atMs,
        );
    }
  }

  #slot(met: Met): void {
    const { said, n, atMs } = met;
    const device = word(said.device);
    const slotMs = Number(said.slot_ms);
    const where = slotName(device, slotMs);
    const row = this.#evidence.slot(device, slotMs);
    if (!this.#isThere(row, where, met)) return;
    this.#slots.add(`${device} ${slotMs}`);
    const wrong = differences({ ...said }, row.columns);
    if (wrong.length > 0)
      this.#changed(where, `is not what record ${n} says (${this.#told(row, said, wrong)})`, atMs);
  }

  #archive(met: Met): void {
    const { said, n, atMs } = met;
    const [device, name, runId] = [word(said.device), word(said.archive), word(said.run)];
    const where = `archive ${name} of ${device} by run ${runId}`;
    const row = this.#evidence.archive(device, name, runId);
    const digest = (said.sealed as Said | null)?.digest ?? null;
    if (row === null) {
      if ((atMs ?? 0) >= this.#forgottenBeforeMs) this.#gone(where, met);
      return;
    }
    this.#archives.add(row.n);
    if (row.digest !== digest)
      this.#changed(
        where,
        `is ${row.digest ?? 'a failure'}, and record ${n} says ${word(digest ?? 'a failure')}`,
        atMs,
      );
  }

  /** A record says that this commit was made. */
  #name(commit: string, { n, atMs }: Met, made: string, runId: string | null): void {
    const found = this.#commits.get(commit);
    if (found !== null) found.named = 'ours';
    else this.missing.set(commit, { commit, n, atMs, made, runId });
  }

  /** After the last record: what the tables hold that no record tells of. */
  *leftovers(): Generator<void> {
    for (const run of this.#evidence.endedRuns()) {
      const where = `run ${run.runId}`;
      if (!this.#runs.has(run.n))
        this.#unrecorded(where, `of ${run.deviceId} ended ${run.state}`, run.endedAtMs);
      if (run.acceptedAtMs !== null && !this.#accepted.has(run.n))
        this.#unrecorded(
          where,
          `of ${run.deviceId} was accepted by ${run.acceptedBy ?? 'nobody'}`,
          run.acceptedAtMs,
        );
      yield;
    }
    for (const { n, artefact, deviceId, runId, commit, atMs } of this.#evidence.versions()) {
      if (!this.#versions.has(n))
        this.#unrecorded(
          `version of ${artefact} of ${deviceId} by run ${runId}`,
          `lies in commit ${commit}`,
          atMs,
        );
      yield;
    }
    for (const { n, kind, artefact, deviceId, runId, digest, atMs } of this.#evidence.sealedFiles()) {
      const isMet = kind === 'archive' ? this.#archives.has(n) : this.#sealed.has(n);
      const what = kind === 'archive' ? `archive ${artefact}` : `sealed copy of ${artefact}`;
      if (!isMet)
        this.#unrecorded(`${what} of ${deviceId} by run ${runId}`, `is ${digest ?? 'a failure'}`, atMs);
      yield;
    }
    for (const slot of this.#evidence.endedSlots()) {
      this.#slots.remove(`${slot.deviceId} ${slot.slotMs}`);
      yield;
    }
    if (!this.#slots.isEven) {
      for (const slot of this.#evidence.unrecordedSlots())
        this.#unrecorded(
          slotName(slot.deviceId, slot.slotMs),
          `ended ${word(slot.columns.state)}`,
          slot.detectedAtMs,
        );
    }
    this.#standing();
  }

  /** An intruder who wants nobody to miss a backup would begin here. */
  #standing(): void {
    for (const { deviceId, name, goodRun, lastSuccessMs } of this.#evidence.standings()) {
      const last = this.#standings.get(deviceId) ?? null;
      if ((last?.run ?? null) === goodRun && (last?.atMs ?? null) === lastSuccessMs) continue;
      const told = (run: string | null, atMs: number | null): string =>
        run === null && atMs === null
          ? 'none'
          : `run ${run ?? '(none)'} of ${atMs === null ? 'no time' : moment(atMs)}`;
      this.#changed(
        `device ${name}`,
        `has as its last success ${told(goodRun, lastSuccessMs)}, and by the records it is ${told(last?.run ?? null, last?.atMs ?? null)}`,
        last?.atMs ?? null,
      );
    }
  }

  #told(row: Pick<RunFact | SlotFact, 'columns'>, said: Said, wrong: readonly string[]): string {
    const value = (one: unknown): string => (one === null || one === undefined ? 'nothing' : word(one));
    return wrong
      .map((key) => {
        const recorded = key === 'error' ? ((said.error as Said | null)?.code ?? null) : said[key];
        const commit = (row as Partial<RunFact>).commit;
        return `${key}: ${value(key === 'commit' ? commit : row.columns[key])} in the ledger, ${value(recorded)} recorded`;
      })
      .join('; ');
  }

  /** Whether the row is there, as it should be or not. */
  #isThere<Row>(row: Row | null, where: string, met: Met): row is Row {
    const mayGo = this.#pruned.explains(met);
    if (row === null && !mayGo) this.#gone(where, met);
    if (row !== null && mayGo)
      this.#changed(where, 'is there, and by the records retention removed it: it was put back', met.atMs);
    return row !== null;
  }

  #changed(where: string, what: string, sinceMs: number | null): void {
    this.#findings.add('row.changed', where, what, sinceMs);
  }

  #gone(where: string, { n, atMs }: Met): void {
    this.#findings.add('row.gone', where, `is in record ${n}, and not in the ledger's tables any more`, atMs);
  }

  #unrecorded(where: string, what: string, sinceMs: number | null): void {
    this.#findings.add(
      'row.unrecorded',
      where,
      `${what}, and no record tells of it: the chain was cut short, or the row made up`,
      sinceMs,
    );
  }
}

/** Names of columns that a record has with another value. What a record does not say is not compared. */
function differences(said: Said, columns: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(columns).filter((key) => said[key] !== undefined && said[key] !== columns[key]);
}

function artefactsIn(said: Said): readonly Said[] {
  const artefacts = (said.reading as Said | null | undefined)?.artefacts;
  return Array.isArray(artefacts) ? artefacts.filter((one) => typeof one === 'object' && one !== null) : [];
}

function slotName(device: string, slotMs: number): string {
  return `slot ${moment(slotMs)} of ${device}`;
}

function moment(ms: number): string {
  return Math.abs(ms) > 8e15 || Number.isNaN(ms) ? 'an unknown time' : instant(ms);
}

/** A value of a record or a row that should be text. */
function word(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
