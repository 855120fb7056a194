import type { Absence } from './due.ts';

/** A difference between wall and monotonic clock that is a jump, and no drift. */
const jumpMs = 60_000;
/** The loop ticks at least once a minute: a process that did not for this long was frozen. */
const frozenMs = 120_000;
/** Absences that no slot can ask about any more are dropped; a slot is never open for so long. */
const keptMs = 40 * 86_400_000;

/** What time did since the tick before. */
export interface Noticed {
  /** Wall against monotonic clock; positive: ahead. Null: no jump. */
  readonly jumpedByMs: number | null;
}

/** Watches both clocks between ticks, and remembers when this process could start nothing. */
export class Timekeeper {
  /** When this process began to keep the schedule; after the clock went back behind it, when that was seen. */
  upSinceMs: number;
  readonly #absences: Absence[] = [];
  #last: { readonly wallMs: number; readonly monotonicMs: number };
  #pausedSinceMs: number | null = null;

  constructor(wallMs: number, monotonicMs: number) {
    this.upSinceMs = wallMs;
    this.#last = { wallMs, monotonicMs };
  }

  /** Oldest first. */
  get absences(): readonly Absence[] {
    return this.#absences;
  }

  get paused(): boolean {
    return this.#pausedSinceMs !== null;
  }

  pause(wallMs: number): void {
    this.#pausedSinceMs ??= wallMs;
  }

  resume(wallMs: number): void {
    if (this.#pausedSinceMs !== null && this.#pausedSinceMs < wallMs)
      this.#absences.push({ fromMs: this.#pausedSinceMs, toMs: wallMs, cause: 'paused' });
    this.#pausedSinceMs = null;
  }

  notice(wallMs: number, monotonicMs: number): Noticed {
    const last = this.#last;
    this.#last = { wallMs, monotonicMs };
    const passedMs = monotonicMs - last.monotonicMs;
    const jumpedByMs = wallMs - last.wallMs - passedMs;
    if (passedMs > frozenMs)
      this.#absences.push({ fromMs: last.wallMs, toMs: last.wallMs + passedMs, cause: 'collector_down' });
    while (this.#absences[0] !== undefined && this.#absences[0].toMs < wallMs - keptMs)
      this.#absences.shift();
    if (Math.abs(jumpedByMs) <= jumpMs) return { jumpedByMs: null };
    if (jumpedByMs > 0) this.#absences.push({ fromMs: wallMs - jumpedByMs, toMs: wallMs, cause: 'clock' });
    else this.#forgetAfter(wallMs);
    return { jumpedByMs };
  }

  /** The clock went back: what was noted of the time that is to come again says nothing of it. */
  #forgetAfter(wallMs: number): void {
    const kept = this.#absences
      .filter(({ fromMs }) => fromMs < wallMs)
      .map((absence) => ({ ...absence, toMs: Math.min(absence.toMs, wallMs) }));
    this.#absences.splice(0, this.#absences.length, ...kept);
    this.upSinceMs = Math.min(this.upSinceMs, wallMs);
    if (this.#pausedSinceMs !== null) this.#pausedSinceMs = Math.min(this.#pausedSinceMs, wallMs);
  }
}
