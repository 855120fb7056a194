import { BackupError } from '../core/errors.ts';
import type { ArtefactCommand, Capture } from '../drivers/driver.ts';
import { filledLines, withFlags } from './lines.ts';

/**
 * A pager that was not answered, at the beginning of a line: what followed it may be missing. It stands there alone, or
 * before the control characters of an erasure that nobody knew. Words right behind it make it text, such as a line of a
 * message to administrators: no device writes on over its pager without going back to the beginning of the line first.
 */
const pagerResidue = /^(?:(?:--\s?More\s?--|<--- More --->) *(?:[\x00-\x08\x0b-\x1f\x7f]|$)|---\(less)/m;

/** One artefact as it was read. */
interface Answered {
  /** As the artefact is called. */
  readonly name: string;
  readonly capture: Capture;
  /** The same asked a second time; null where it was asked once. */
  readonly again: Capture | null;
  /** What of a text is compared: without what is volatile, and without what is encrypted anew at every display. */
  readonly comparable: (text: string) => string;
}

/**
 * Throws BackupError `verify.incomplete` unless everything speaks for `reading` being whole: how the
 * answer ended, and every rule in `wholeWhen`. A second reading must be whole too and say the same.
 */
export function verify(command: ArtefactCommand, reading: Answered): void {
  const { name, capture, again, comparable } = reading;
  refuse(name, capture, whyIncomplete(command, capture));
  if (again === null) return;
  const second = whyIncomplete(command, again);
  refuse(name, again, second === null ? null : `second reading: ${second}`);
  if (capture.text !== again.text && comparable(capture.text) !== comparable(again.text)) {
    const counts = `${filledLines(capture.text).length} and ${filledLines(again.text).length} lines`;
    refuse(name, capture, `two readings differ (${counts})`);
  }
}

function refuse(artefact: string, capture: Capture, because: string | null): void {
  if (because === null) return;
  const lines = filledLines(capture.text).length;
  throw new BackupError('verify.incomplete', { artefact, because, lines });
}

/** Null where nothing speaks against the capture being whole. */
function whyIncomplete({ wholeWhen }: ArtefactCommand, capture: Capture): string | null {
  const { text, endedBy, exitStatus } = capture;
  if (endedBy === 'exit-status' && exitStatus !== 0) {
    return exitStatus === null ? 'the command ended without an exit status' : `exit status ${exitStatus}`;
  }
  if (!/[^\s\0]/.test(text)) return 'the answer is empty';
  const lines = filledLines(text);
  // No pager stands between us and a file.
  if (endedBy !== 'transfer' && pagerResidue.test(text)) return 'a pager interrupted the answer';
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
