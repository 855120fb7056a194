import { BackupError } from '../core/errors.ts';
import type { ArtefactCommand, Capture, Driver } from '../drivers/driver.ts';
import { filledLines, withFlags } from './lines.ts';
import type { Mask } from './mask.ts';
import { normalise } from './normalise.ts';
import { redact } from './redact.ts';

/** A pager that was not answered, at the beginning of a line: what followed it may be missing. */
const pagerResidue = /^(?:--\s?More\s?--|<--- More --->|---\(less)/m;

/** One artefact as it was read. */
interface Answered {
  readonly capture: Capture;
  /** The same asked a second time; null where it was asked once. */
  readonly again: Capture | null;
}

/**
 * Throws BackupError `verify.incomplete` unless everything speaks for `reading` being whole: how the
 * answer ended, and every rule in `wholeWhen`. A second reading must be whole too and say the same,
 * apart from what is volatile; `mask` only serves to compare the two.
 */
export function verify(driver: Driver, artefact: ArtefactCommand, reading: Answered, mask: Mask): void {
  const { capture, again } = reading;
  refuse(artefact, capture, whyIncomplete(artefact, capture));
  if (again === null) return;
  const second = whyIncomplete(artefact, again);
  refuse(artefact, again, second === null ? null : `second reading: ${second}`);
  const comparable = (text: string): string => redact(driver, normalise(driver, text), mask).text;
  if (comparable(capture.text) !== comparable(again.text)) {
    const counts = `${filledLines(capture.text).length} and ${filledLines(again.text).length} lines`;
    refuse(artefact, capture, `two readings differ (${counts})`);
  }
}

function refuse(artefact: ArtefactCommand, capture: Capture, because: string | null): void {
  if (because === null) return;
  const lines = filledLines(capture.text).length;
  throw new BackupError('verify.incomplete', { artefact: artefact.name, because, lines });
}

/** Null where nothing speaks against the capture being whole. */
function whyIncomplete(artefact: ArtefactCommand, capture: Capture): string | null {
  const { text, endedBy, exitStatus } = capture;
  const { wholeWhen } = artefact;
  if (endedBy === 'exit-status' && exitStatus !== 0) {
    return exitStatus === null ? 'the command ended without an exit status' : `exit status ${exitStatus}`;
  }
  if (!/[^\s\0]/.test(text)) return 'the answer is empty';
  const lines = filledLines(text);
  if (pagerResidue.test(text)) return 'a pager interrupted the answer';
  if (lines.length < wholeWhen.atLeastLines) {
    return `fewer than the ${wholeWhen.atLeastLines} lines that every copy has`;
  }
  if (!matches(wholeWhen.firstLine, lines[0])) return 'the first line is not how this platform begins';
  if (!matches(wholeWhen.lastLine, lines.at(-1))) return 'the last line is not how this platform ends';
  const verdict = wholeWhen.structure?.(text) ?? { whole: true };
  return verdict.whole ? null : verdict.because;
}

function matches(pattern: RegExp | undefined, line: string | undefined): boolean {
  return pattern === undefined || withFlags(pattern, '').test(line ?? '');
}
