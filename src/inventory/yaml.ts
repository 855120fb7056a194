import { readFileSync, statSync } from 'node:fs';
import {
  boolCoreTag,
  EVENT_ID,
  type Event,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { InvalidConfiguration, type Problem } from '../core/errors.ts';

/** Keys and 0-based indexes from the root of a document to a place in it. */
export type Path = readonly (string | number)[];

/** One document, with the line of everything in it. */
export interface YamlDocument {
  /**
   * Mappings are objects without a prototype, so that no key of the file can meet one of ours.
   * Null for an empty document.
   */
  readonly value: unknown;
  /** The 1-based line of the key or list item at `path`; of the nearest place above it where it is absent. */
  lineOf(path: Path): number;
}

/** Deeper than any valid file, and small enough that the parser's second attempts stay cheap. */
const maxDepth = 16;
/** Ten thousand devices with every key stay below 3 million. */
const maxEvents = 4_000_000;
/** A file that is wrong all over needs no longer list. */
const maxProblems = 100;

/**
 * Reads a YAML 1.2 file that a person wrote. Anchors, aliases, tags, merge keys, duplicate keys and
 * second documents are refused, all at once; nothing in the file can make the result larger than the file.
 * Throws InvalidConfiguration; its messages quote keys, never values, because values can be secrets.
 */
export function readYaml(file: string, maxBytes: number): YamlDocument {
  return parseYaml(readText(file, maxBytes), file);
}

/** The same for text that was read already; `file` is for messages. */
export function parseYaml(text: string, file: string): YamlDocument {
  const lineAt = lineIndex(text);
  let events: Event[];
  try {
    events = parseEvents(text, { maxDepth });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const line = error.mark === undefined ? null : error.mark.line + 1;
    throw invalid(file, line, `not valid YAML: ${withoutValues(error.reason)}`);
  }
  if (events.length > maxEvents) throw invalid(file, null, 'holds more values than any inventory can need');
  return compose(text, events, file, lineAt);
}

/** `devices[2].platform`, `groups["a b"]`; empty for the document itself. */
export function showPath(path: Path): string {
  let shown = '';
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) shown += shown === '' ? step : `.${step}`;
    else shown += `[${JSON.stringify(step)}]`;
  }
  return shown;
}

/** In the order of the file; what has no line comes last. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const line = (problem: Problem): number => problem.line ?? Number.MAX_SAFE_INTEGER;
  return problems.toSorted((a, b) => line(a) - line(b));
}

function readText(file: string, maxBytes: number): string {
  let bytes: Buffer;
  try {
    const { size } = statSync(file);
    if (size > maxBytes) throw invalid(file, null, `is ${size} bytes long; at most ${maxBytes} are read`);
    bytes = readFileSync(file);
  } catch (error) {
    if (error instanceof InvalidConfiguration) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw invalid(file, null, `cannot be read: ${unreadable[code] ?? code}`);
  }
  // The size of a pipe is not known before it is read.
  if (bytes.length > maxBytes) throw invalid(file, null, `is longer than ${maxBytes} bytes`);
  try {
    // Takes a byte-order mark away.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(file, null, 'is not UTF-8; save it as UTF-8');
  }
}

const unreadable: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
};

function invalid(file: string, line: number | null, message: string): InvalidConfiguration {
  return new InvalidConfiguration([{ file, path: '', line, message, nearest: null }]);
}

/** The parser quotes tags, and a password that begins with `!` is one. */
function withoutValues(reason: string): string {
  return reason.replace(/^(tag name cannot contain such characters|undeclared tag handle).*/s, '$1');
}

/** Offset to 1-based line. YAML ends lines with LF, CR LF and CR. Most files have nothing that a line is asked for. */
function lineIndex(text: string): (offset: number) => number {
  let starts: number[] | null = null;
  return (offset) => {
    if (starts === null) {
      starts = [0];
      for (const match of text.matchAll(/\r\n?|\n/g)) starts.push(match.index + match[0].length);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

/** Where a value stands, and where what is in it stands. */
interface Place {
  /** Offset in the text. */
  readonly at: number;
  readonly items: Map<string | number, Place> | null;
}

interface Node {
  readonly value: unknown;
  readonly place: Place;
}

/** Values and places from the parser's events, in one pass. The depth is bounded by the parser. */
function compose(
  text: string,
  events: readonly Event[],
  file: string,
  lineAt: (offset: number) => number,
): YamlDocument {
  const problems: Problem[] = [];
  const path: (string | number)[] = [];
  let next = 0;

  const report = (at: number, message: string): void => {
    if (problems.length > maxProblems) return;
    const more = problems.length === maxProblems;
    problems.push(
      more
        ? { file, path: '', line: null, message: 'has more mistakes than are listed here', nearest: null }
        : { file, path: showPath(path), line: lineAt(at), message, nearest: null },
    );
  };

  /** `at` is where the reader looks first: the key, or the item. */
  function node(at: number): Node {
    const event = events[next++];
    switch (event?.type) {
      case EVENT_ID.SCALAR:
        properties(event, at);
        return { value: scalar(text, event), place: { at, items: null } };
      case EVENT_ID.SEQUENCE:
        properties(event, at);
        return sequence(at);
      case EVENT_ID.MAPPING:
        properties(event, at);
        return mapping(at);
      case EVENT_ID.ALIAS:
        report(at, 'aliases (*name) are not supported; put a text that begins with * in quotes');
        return { value: null, place: { at, items: null } };
      default:
        throw new Error('js-yaml: an event is missing');
    }
  }

  function properties(event: Exclude<Event, { type: 1 | 5 | 6 }>, at: number): void {
    if (event.tagStart !== -1)
      report(at, 'tags (!name) are not supported; put a text that begins with ! in quotes');
    if (event.anchorStart !== -1)
      report(at, 'anchors (&name) are not supported; put a text that begins with & in quotes');
  }

  function sequence(at: number): Node {
    const value: unknown[] = [];
    const items = new Map<string | number, Place>();
    while (events[next]?.type !== EVENT_ID.POP) {
      path.push(value.length);
      const item = node(offsetOf(events[next], items.get(value.length - 1)?.at ?? at));
      path.pop();
      items.set(value.length, item.place);
      value.push(item.value);
    }
    next++;
    return { value, place: { at, items } };
  }

  function mapping(at: number): Node {
    const value: Record<string, unknown> = Object.create(null);
    const items = new Map<string | number, Place>();
    while (events[next]?.type !== EVENT_ID.POP) {
      const keyEvent = events[next];
      const keyAt = offsetOf(keyEvent, at);
      const parsedKey = node(keyAt);
      // As it is written: a key such as 007 is a name, not a number.
      const key = keyEvent?.type === EVENT_ID.SCALAR ? getScalarValue(text, keyEvent) : null;
      path.push(key ?? '?');
      const item = node(keyAt);
      if (key === null) {
        if (parsedKey.value !== null) report(keyAt, 'a key must be a text, not a list or a mapping');
      } else if (key === '<<') report(keyAt, 'merge keys (<<) are not supported; write the keys out');
      else if (items.has(key))
        report(keyAt, `the key is written twice, first in line ${lineAt(items.get(key)?.at ?? at)}`);
      else {
        items.set(key, item.place);
        value[key] = item.value;
      }
      path.pop();
    }
    next++;
    return { value, place: { at, items } };
  }

  /** Where the first character of a node stands; `otherwise` for an empty one, which has none. */
  function offsetOf(event: Event | undefined, otherwise: number): number {
    if (event === undefined || event.type === EVENT_ID.DOCUMENT || event.type === EVENT_ID.POP)
      return otherwise;
    let first = event.anchorStart;
    const begins = (start: number): void => {
      if (start !== -1 && (first === -1 || start < first)) first = start;
    };
    if (event.type !== EVENT_ID.ALIAS) {
      begins(event.tagStart);
      begins(event.type === EVENT_ID.SCALAR ? event.valueStart : event.start);
    }
    return first === -1 ? otherwise : first;
  }

  let root: Node | null = null;
  while (next < events.length) {
    const type = events[next]?.type;
    if (type === EVENT_ID.DOCUMENT || type === EVENT_ID.POP) {
      next++;
      continue;
    }
    const at = offsetOf(events[next], 0);
    const document = node(at);
    if (root !== null) report(at, 'holds a second document (after ---); only one is read');
    root ??= document;
  }
  if (problems.length > 0) throw new InvalidConfiguration(inOrder(problems));

  return {
    value: root?.value ?? null,
    lineOf(wanted) {
      let place = root?.place;
      let at = 0;
      for (const step of wanted) {
        place = place?.items?.get(step);
        if (place === undefined) break;
        at = place.at;
      }
      return lineAt(at);
    },
  };
}

const implicit = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag] as const;

/** How everything begins that is no text to the core schema; an empty value is null. */
const mayMean = /^(?:$|[-+.0-9~nNtTfF])/;

/** YAML 1.2's core schema: `yes` and `2026-01-31` are texts, `on` is no boolean. */
function scalar(text: string, event: ScalarEvent): unknown {
  const source = getScalarValue(text, event);
  if (event.style !== SCALAR_STYLE.PLAIN || !mayMean.test(source)) return source;
  for (const tag of implicit) {
    const value: unknown = tag.resolve(source, false, tag.tagName);
    if (value !== NOT_RESOLVED) return value;
  }
  return source;
}
