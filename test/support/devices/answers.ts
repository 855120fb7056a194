import type { Faults } from './spec.ts';

/** Fills in one answer and remembers what it became. */
export type Display = (command: string, template: string, more: { readonly [key: string]: string }) => string;

/** `template` with the placeholders that the machine knows; others stay. */
export function fill(template: string, values: { readonly [key: string]: string }): string {
  return template.replace(
    /\{\{(host|status|folder|line|word|caret|model|count)\}\}/g,
    (whole, name: string) => values[name] ?? whole,
  );
}

/** What the faults make of an answer. */
export function spoiled(command: string, text: string, faults: Faults): string {
  if (names(faults.nothingTo, command)) return '';
  if (faults.replace !== undefined && names(faults.replace.command, command)) return faults.replace.with;
  const all = text.split('\n');
  if (faults.stopAfter !== undefined && names(faults.stopAfter.command, command))
    return `${all.slice(0, faults.stopAfter.lines).join('\n')}\n`;
  if (faults.dropLast !== undefined && names(faults.dropLast.command, command)) {
    while (all.at(-1) === '') all.pop();
    return `${all.slice(0, -faults.dropLast.lines).join('\n')}\n`;
  }
  return text;
}

/** Whether `command` begins as a fault says. */
export function names(start: string | undefined, command: string): boolean {
  return start !== undefined && command !== '' && command.startsWith(start);
}
