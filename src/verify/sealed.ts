import type { SealedFiles } from '../artefacts/inspect.ts';
import type { Evidence } from '../ledger/evidence.ts';
import type { Findings } from './finding.ts';
import type { Notes } from './notes.ts';

/** Holds the sealed files against the rows that name them, one directory of 256 after the other. */
export class SealedCheck {
  readonly #evidence: Evidence;
  readonly #sealed: SealedFiles;
  readonly #findings: Findings;
  readonly #notes: Notes;
  readonly #startedAtMs: number;
  /** What is looked at again, with the rows as they are then. */
  readonly #doubts: (() => void)[] = [];
  /** Those that were read. */
  files = 0;

  constructor(
    { evidence, sealed }: { readonly evidence: Evidence; readonly sealed: SealedFiles },
    findings: Findings,
    notes: Notes,
    startedAtMs: number,
  ) {
    this.#evidence = evidence;
    this.#sealed = sealed;
    this.#findings = findings;
    this.#notes = notes;
    this.#startedAtMs = startedAtMs;
  }

  /** `turn` is awaited before each directory. */
  async check(turn: (done: number, total: number) => Promise<void>): Promise<void> {
    // A reading that is under way has sealed, and its rows come at its end.
    const runningMs = this.#evidence.oldestRunningMs() ?? Number.POSITIVE_INFINITY;
    const youngMs = Math.min(this.#startedAtMs, runningMs);
    for (let shard = 0; shard < 256; shard++) {
      await turn(shard, 256);
      await this.#shard(shard.toString(16).padStart(2, '0'), youngMs);
    }
  }

  async #shard(prefix: string, youngMs: number): Promise<void> {
    const sealed = this.#sealed;
    const named = new Map(this.#evidence.digests(prefix).map((row) => [row.digest ?? '', row]));
    for (const [digest, row] of named) {
      const state = await sealed.state(digest);
      this.files += 1;
      if (state === 'whole') continue;
      const what = row.kind === 'archive' ? `archive ${row.artefact}` : row.artefact;
      const now = state === 'gone' ? 'is gone' : 'is not what was written: its digest differs';
      const said = `${what} of ${row.deviceId} by run ${row.runId} ${now}`;
      this.#doubts.push(() => {
        // Retention removes a row first, then its file.
        if (this.#evidence.names(digest))
          this.#findings.add(`sealed.${state}`, sealed.path(digest), said, row.atMs, state);
      });
    }
    for (const { digest, path } of await sealed.list(prefix)) {
      if (digest !== null && named.has(digest)) continue;
      const changedMs = await sealed.changedMs(path);
      if (changedMs === null || changedMs >= youngMs) continue;
      this.#doubts.push(() => {
        if (digest === null || !this.#evidence.names(digest))
          this.#notes.add(
            `${path} is named by nothing in the ledger: no tampering, and of no use to \`restore\``,
          );
      });
    }
  }

  /** After the ledger was read again. */
  tellDoubts(): void {
    for (const doubt of this.#doubts) doubt();
  }
}
