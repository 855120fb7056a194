import { nearest } from '../core/nearest.ts';

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Words for the values, the first for `from`. */
  readonly words: readonly string[];
}

const fields: readonly Field[] = [
  { name: 'minute', from: 0, to: 59, words: [] },
  { name: 'hour', from: 0, to: 23, words: [] },
  { name: 'day of month', from: 1, to: 31, words: [] },
  {
    name: 'month',
    from: 1,
    to: 12,
    words: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  { name: 'day of week', from: 0, to: 7, words: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
];

const longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/**
 * Whether `text` is a cron expression of five fields (minute, hour, day of month, month, day of week)
 * that can ever come due: null where it is, else what is wrong with it and a near word (or null).
 */
export function cronProblem(
  text: string,
): { readonly message: string; readonly nearest: string | null } | null {
  const written = text.trim().split(/\s+/);
  if (written.length !== 5 || text.trim() === '')
    return {
      message: `expected five fields (minute hour day-of-month month day-of-week), not ${text.trim() === '' ? 0 : written.length}`,
      nearest: null,
    };
  const values: Set<number>[] = [];
  for (const [index, field] of fields.entries()) {
    const read = readField(written[index] ?? '', field);
    if ('message' in read) return read;
    values.push(read.values);
  }
  const [, , days, months, weekdays] = values;
  const anyWeekday = written[4]?.startsWith('*') === true && weekdays !== undefined && weekdays.size >= 7;
  const comesDue = [...(months ?? [])].some((month) =>
    [...(days ?? [])].some((day) => day <= (longest[month - 1] ?? 31)),
  );
  if (anyWeekday && !comesDue)
    return { message: 'never comes due: no such day exists in these months', nearest: null };
  return null;
}

function readField(
  text: string,
  field: Field,
): { values: Set<number> } | { message: string; nearest: string | null } {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d{1,2}))?$/.exec(part);
    const wrong = (because: string, near: string | null = null) => ({
      message: `${field.name}: ${because}; expected *, a number from ${field.from} to ${field.to}, a range, a list or a step such as */5`,
      nearest: near,
    });
    if (match === null) return wrong('not understood');
    const [, star, first, last, step] = match;
    if (step !== undefined && star === undefined && last === undefined)
      return wrong('a step needs * or a range before it');
    if (step !== undefined && Number(step) === 0) return wrong('a step of 0');
    const from = star === undefined ? numberOf(first ?? '', field) : field.from;
    const to = star !== undefined ? field.to : last === undefined ? from : numberOf(last, field, true);
    if (from === null) return wrong('out of range', nearest(first ?? '', field.words));
    if (to === null) return wrong('out of range', nearest(last ?? '', field.words));
    if (to < from) return wrong('a range that runs backwards');
    for (let value = from; value <= to; value += Number(step ?? 1)) values.add(value);
  }
  return { values };
}

function numberOf(text: string, field: Field, endOfRange = false): number | null {
  const word = field.words.indexOf(text.toLowerCase());
  // fri-sun ends on the other Sunday.
  if (word === 0 && endOfRange && field.to === 7) return 7;
  if (word !== -1) return field.from + word;
  if (!/^\d{1,2}$/.test(text)) return null;
  const value = Number(text);
  return value >= field.from && value <= field.to ? value : null;
}
