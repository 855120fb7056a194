import type { Limit, Measured } from '../part.ts';

/** One figure as a multiple of another one of the same run. */
export function ratioOf(what: string, value: number, by: number, limit: Limit): Measured {
  return { what, value: value / by, unit: 'x', limit, note: null };
}
