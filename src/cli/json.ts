import { describe } from '../core/catalogue.ts';
import { decodeBytes } from '../core/display.ts';
import type { Failure } from '../core/errors.ts';

/** What JSON.stringify leaves raw and a terminal may act on. */
const harmful = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** JSON in which every character that could harm a terminal is an escape; it parses to the same value. */
export function stringify(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(
    harmful,
    // The line feeds of an indented document are our own: JSON.stringify escapes those of values.
    (character) => (character === '\n' ? character : escaped(character)),
  );
}

/** As JSON has it: a character beyond the first 65 536 is two escapes. */
function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
  ).join('');
}

/** RFC 3339, UTC, always with milliseconds. */
export function jsonInstant(ms: number): string;
export function jsonInstant(ms: number | null): string | null;
export function jsonInstant(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** `{code, stage, message, todo, detail}`, or null. */
export function jsonFailure(
  failure: Failure | null,
  where: { device: string; runId: string | null },
): object | null {
  if (failure === null) return null;
  const { device, runId } = where;
  const { code, stage, message, todo, detail } = describe(failure, {
    device,
    ...(runId === null ? {} : { runId }),
  });
  return { code, stage, message, todo, detail: decoded(detail) };
}

/** Every string of a device, decoded; all else as it is. */
function decoded(value: unknown): unknown {
  if (typeof value === 'string') return decodedText(value);
  if (Array.isArray(value)) return value.map(decoded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, decoded(member)]));
}

/** Bytes are decoded; text that holds more than bytes is text already. */
export function decodedText(text: string): string {
  return /[^\u0000-\u00ff]/.test(text) ? text : decodeBytes(text);
}
