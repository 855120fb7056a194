/**
 * What a terminal would show, and the exact text behind it: pure, text in, text out. A terminal is
 * emulated only for the last line that is being written; no answer is ever rendered as a whole.
 */

/** The line on which the cursor stands. */
export interface Line {
  /** What is seen on it. Blanks right of the cursor do not count: an erased pager leaves them behind. */
  readonly text: string;
  /** Per character of `text`, where it came from: its offset in what was given. */
  readonly at: readonly number[];
}

/** A pager that was answered in the middle of an answer. Offsets count from the start of the answer. */
export interface PagerMark {
  /** Where its line begins to be the pager's: the first character, and colour codes right before it. */
  readonly start: number;
  /** The first character that was not there yet when the key was pressed. */
  readonly end: number;
  /** True: nothing else stood on that line. */
  readonly wholeLine: boolean;
  /** True: all of it was there, and nothing had begun to take it off the screen. */
  readonly still: boolean;
  /** The key that was pressed. */
  readonly press: string;
  /** Which of the driver's pagers it was. */
  readonly pager: number;
}

/** The longest last line that is looked at. Prompts are shorter; a line that is longer is not one. */
export const windowBytes = 2048;
/** The width of the terminal that the SSH connection asks for: where `less` wraps. */
const terminalColumns = 511;
/** The echo of a command, and what a device prints before it, stand in the first part of an answer. */
export const echoBytes = 16 * 1024;

/** CSI, OSC, the strings of DCS, SOS, PM and APC, and the two-character sequences. */
const sequence =
  /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-OQ-WYZ\\`-~])/y;

/**
 * The line on which the cursor stands after `raw`, which holds one line at most: CR, BS and the ANSI
 * sequences that move the cursor or erase are carried out, other control characters are not shown.
 * `before` is what already stood on the line, such as the prompt behind which an echo begins.
 */
export function renderLine(raw: string, before = ''): Line {
  const cells: string[] = [...before];
  const at: number[] = cells.map(() => 0);
  let cursor = cells.length;
  for (let index = 0; index < raw.length; index++) {
    const character = raw[index] as string;
    if (character === '\r') cursor = 0;
    else if (character === '\b') cursor = Math.max(0, cursor - 1);
    else if (character === '\x1b') {
      sequence.lastIndex = index;
      const found = sequence.exec(raw);
      if (found === null) continue;
      index += found[0].length - 1;
      cursor = control(cells, at, cursor, found[2] ?? '', found[1] ?? '');
    } else if (character >= ' ' || character === '\t') {
      while (cells.length < cursor) at[cells.push(' ') - 1] = index;
      cells[cursor] = character;
      at[cursor] = index;
      cursor++;
    }
  }
  let end = cells.length;
  while (end > cursor && cells[end - 1] === ' ') end--;
  return { text: cells.slice(0, end).join(''), at: at.slice(0, end) };
}

/** Carries out one CSI sequence; returns where the cursor stands then. */
function control(cells: string[], at: number[], cursor: number, final: string, parameters: string): number {
  const count = Math.min(windowBytes, Number.parseInt(parameters, 10) || 1);
  if (final === 'C') return Math.min(windowBytes, cursor + count);
  if (final === 'D') return Math.max(0, cursor - count);
  if (final === 'G') return count - 1;
  if (final !== 'K' && final !== 'J') return cursor;
  if (parameters !== '1') cells.length = at.length = Math.min(cells.length, cursor);
  if (parameters === '1' || parameters === '2') cells.fill(' ', 0, Math.min(cells.length, cursor + 1));
  return cursor;
}

/**
 * The last line of an answer, from its `tail`. Null where the line begins before the tail: nothing
 * that may be the middle of a longer line is ever taken for a prompt. `fromStart`: the tail is all there is.
 */
export function lastLine(tail: string, fromStart: boolean): Line | null {
  const feed = tail.lastIndexOf('\n');
  if (feed === -1 && !fromStart) return null;
  const { text, at } = renderLine(tail.slice(feed + 1));
  return { text, at: at.map((offset) => offset + feed + 1) };
}

/**
 * The last row of an answer: as `lastLine`, but where `less` wrapped a line at the edge of the terminal, what
 * follows is a row of its own, and a pager may stand there. Null where the row begins before the tail.
 */
export function lastRow(tail: string, fromStart: boolean): Line | null {
  const feed = tail.lastIndexOf('\n');
  let start = feed + 1;
  let known = feed !== -1 || fromStart;
  for (let at = tail.indexOf(wrap, start); at !== -1; at = tail.indexOf(wrap, at + 1)) {
    // Before the first wrap that is seen there is no telling where its row began.
    const full = isFullRow(tail.slice(start, at));
    if (known && !full) continue;
    known = full;
    start = at + wrap.length;
  }
  if (!known) return null;
  const { text, at } = renderLine(tail.slice(start));
  return { text, at: at.map((offset) => offset + start) };
}

/** What `less` leaves where a row is full: a vt100 wraps only once one more character comes. */
const wrap = ' \b';

function isFullRow(row: string): boolean {
  if (row.length > 4 * terminalColumns) return false;
  // A character of several bytes fills one column.
  return row.length === terminalColumns || row.replace(/[\x80-\xbf]/g, '').length === terminalColumns;
}

/** The last line that shows anything, for a person: what a failed login ended with. */
export function lastVisibleLine(tail: string): string {
  const lines = tail.split('\n');
  for (let index = lines.length - 1; index >= 0; index--) {
    const { text } = renderLine(lines[index] ?? '');
    if (text.trim() !== '') return text;
  }
  return '';
}

const invisible = /\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x20\x7f]/g;

/**
 * Where the answer to `command` begins: after the line that echoes it. Null where no echo is found
 * among the first lines. Blank lines and redrawn prompts before the echo belong to it.
 *
 * An echo is the command, behind nothing or behind a prompt; or a longer one that the device scrolled
 * (`$` marks what is out of sight: an ASA at 80 columns, netmiko issues 281 and 2039) or wrapped.
 */
export function findEcho(
  head: string,
  command: string,
  prompt: string,
  isPrompt: (text: string) => boolean,
): number | null {
  let start = 0;
  for (let line = 0; line < 8; line++) {
    const feed = head.indexOf('\n', start);
    if (feed === -1 || feed - start > windowBytes + 4 * command.length) return null;
    const raw = head.slice(start, feed);
    // Our first line continues the line on which the prompt stands.
    let shown = renderLine(raw, line === 0 ? prompt : '').text.trimEnd();
    while (shown.startsWith(prompt) && prompt !== '') shown = shown.slice(prompt.length);
    if (isEcho(shown, raw, command, isPrompt)) return feed + 1;
    if (shown.trim() !== '' && !isPrompt(shown) && shown.trimEnd() !== prompt.trimEnd()) return null;
    start = feed + 1;
  }
  return null;
}

function isEcho(shown: string, raw: string, command: string, isPrompt: (text: string) => boolean): boolean {
  if (shown === command) return true;
  if (shown.endsWith(command) && isPrompt(shown.slice(0, -command.length))) return true;
  if (raw.replace(invisible, '') === command.replace(invisible, '')) return true;
  const scrolled = /\$(.{8,})$/.exec(shown)?.[1] ?? /^(.{8,})\$$/.exec(shown)?.[1];
  return scrolled !== undefined && command.includes(scrolled);
}

const colour = '(?:\\x1b\\[[0-9;]*m)*';
const blanksAndColours = /^(?: |\x1b\[[0-9;]*m)*$/;
/**
 * How devices take a pager off the screen: over-blanking between CRs, BS runs, or an ANSI erase. A blank
 * at the end of the marker may come after the key was pressed, or be the echo of the key.
 */
const erasure = new RegExp(
  `(?: |\\x1b\\[[0-9;]*m)*(?:\\r +\\r|\\x08+ +\\r(?!\\n)|\\x08+(?: +\\x08+)+|\\r?\\x1b\\[[0-2]?K\\r?|\\r\\x1b\\[[0-2]?J)${colour}`,
  'y',
);
const lineEnd = /\r*\n\r?|\r/y;

/** Where the colour codes begin that stand right before `offset`. */
function startOfColour(raw: string, offset: number): number {
  const run = /(?:\x1b\[[0-9;]*m)+$/.exec(raw.slice(Math.max(0, offset - 40), offset));
  return offset - (run?.[0].length ?? 0);
}

/** The mark that `pager` left, given the tail it was found in and where that tail begins in the answer. */
export function markPager(
  found: { readonly tail: string; readonly tailStart: number; readonly row: Line },
  match: RegExpExecArray,
  pager: number,
  press: string,
): PagerMark {
  const { tail, tailStart, row } = found;
  const first = row.at[match.index] ?? tail.length;
  const last = row.at[match.index + match[0].length - 1] ?? tail.length;
  return {
    start: tailStart + startOfColour(tail, first),
    // The rest of a sequence that has just begun is still on its way, and is no character of the text.
    end: tailStart + tail.length - (tail.endsWith('\x1b') ? 1 : 0),
    wholeLine: row.text.slice(0, match.index).trim() === '',
    still: blanksAndColours.test(tail.slice(last + 1)),
    press,
    pager,
  };
}

/** Where a pager ends that was erased right after `offset`; null where nothing erased it. */
function erasedUntil(raw: string, offset: number, press: string): number | null {
  for (const from of raw.startsWith(press, offset) ? [offset, offset + press.length] : [offset]) {
    erasure.lastIndex = from;
    const found = erasure.exec(raw);
    if (found !== null) return from + found[0].length;
  }
  return null;
}

/** Whether the device took the pager of this mark off the screen; `after` is what came since. */
export function isErased(after: string, mark: PagerMark): boolean {
  return erasedUntil(after, 0, mark.press) !== null;
}

/** Where a pager ends that was left on the screen: after the echo of the key and the line end behind it. */
function leftUntil(raw: string, mark: PagerMark): number {
  const from = raw.startsWith(mark.press, mark.end) ? mark.end + mark.press.length : mark.end;
  lineEnd.lastIndex = from;
  return from + (lineEnd.exec(raw)?.[0].length ?? 0);
}

interface Cut {
  readonly start: number;
  readonly until: number;
}

/**
 * A key that was pressed at words that were text waits in the device, which answers its next pager with
 * it at once: one of those after `mark` came and went without a key of its own. Null where there is none.
 */
function answeredAhead(raw: string, mark: PagerMark, known: readonly Cut[]): Cut | null {
  const words = raw.slice(mark.start, mark.end).trimEnd();
  for (let found = raw.indexOf(words, mark.end); found !== -1; found = raw.indexOf(words, found + 1)) {
    const until = erasedUntil(raw, found + words.length, mark.press);
    const start = startOfColour(raw, found);
    if (until !== null && !known.some((cut) => cut.start === start)) return { start, until };
  }
  return null;
}

/** Takes the answered pagers out. The same words elsewhere, as in a comment, are text and stay. */
function withoutPagers(raw: string, marks: readonly PagerMark[]): string {
  const cuts: Cut[] = [];
  const unerased: PagerMark[] = [];
  const erasing = new Set<number>();
  for (const mark of marks) {
    const until = erasedUntil(raw, mark.end, mark.press);
    if (until === null) unerased.push(mark);
    else {
      cuts.push({ start: mark.start, until });
      erasing.add(mark.pager);
    }
  }
  for (const mark of unerased) {
    const ahead = answeredAhead(raw, mark, cuts);
    if (ahead !== null) cuts.push(ahead);
    // A device that erases its pager does so every time: what stayed on the screen was text.
    else if (mark.wholeLine && !erasing.has(mark.pager))
      cuts.push({ start: mark.start, until: leftUntil(raw, mark) });
  }
  const kept: string[] = [];
  let from = 0;
  for (const { start, until } of cuts.sort((a, b) => a.start - b.start)) {
    if (start < from) continue;
    kept.push(raw.slice(from, start));
    from = until;
  }
  kept.push(raw.slice(from));
  return kept.join('');
}

/** One line without the CRs before its LF and without one CR right after the LF before it. */
function withoutReturns(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === '\r') end--;
  return line.slice(line[0] === '\r' && end > 0 ? 1 : 0, end);
}

/** What `less` sends to a vt100 before the first line: keypad on. What it sends at the end stands before the prompt. */
const keypadOn = /^\x1b\[\?1h\x1b=\r?/;

/** One line without the marks of its wraps. Anywhere but at the end of a full row the same bytes are text. */
function withoutWraps(line: string): string {
  if (line.length <= terminalColumns || !line.includes(wrap)) return line;
  const rows: string[] = [];
  let from = 0;
  for (let at = line.indexOf(wrap); at !== -1; at = line.indexOf(wrap, at + 1)) {
    // No row holds more bytes: this line was not wrapped, or not from here on.
    if (at - from > 4 * terminalColumns) break;
    const row = line.slice(from, at);
    if (!isFullRow(row)) continue;
    rows.push(row);
    from = at + wrap.length;
  }
  return rows.join('') + line.slice(from);
}

/**
 * The exact text of an answer: `raw` runs from the first character after our command to the prompt.
 * Goes out: the echo (everything before `from`), answered pagers and how `less` wraps, CR before LF, one CR right after LF,
 * the final prompt, and one blank line before it (FortiOS prints one; where a device prints none, none
 * is there to go). All else stays as it was sent. The text ends with a line feed or is empty.
 */
export function exactText(raw: string, from: number, marks: readonly PagerMark[]): string {
  const shifted = marks
    .filter((mark) => mark.start >= from)
    .map((mark) => ({ ...mark, start: mark.start - from, end: mark.end - from }));
  // Split rather than a regular expression: a run of ten million CRs must not cost their square.
  const lines = withoutPagers(raw.slice(from), shifted).replace(keypadOn, '').split('\n');
  lines.pop();
  const text = lines.map((line) => withoutWraps(withoutReturns(line)));
  if (text.at(-1) === '') text.pop();
  return text.length === 0 ? '' : `${text.join('\n')}\n`;
}

/** Whether two prompts name the same host. FortiOS cuts a long name and ends it with `~` (Oxidized issue 490). */
export function sameHost(pinned: string, seen: string): boolean {
  if (pinned === seen) return true;
  const stem = (name: string) => (name.endsWith('~') && name.length > 8 ? name.slice(0, -1) : null);
  const [a, b] = [stem(pinned), stem(seen)];
  return (a !== null && seen.startsWith(a)) || (b !== null && pinned.startsWith(b));
}
