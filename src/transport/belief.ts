import type { ArtefactCommand, FactsCommand } from '../drivers/driver.ts';
import { match } from './conversation.ts';

/*
 * Whether an answer may be believed at a prompt. Not the judgement of a backup, which comes later and
 * looks at everything: this decides how long to wait, and whether an error message is one.
 */

/** An answer to a facts command with more lines is no refusal, whatever its first lines say. */
const shortLines = 20;

/** A command whose answer is read. */
export type TextCommand = FactsCommand | ArtefactCommand;

/** What is thought of the answers to one command; each text is looked through once, however often it is asked about. */
export function believing(command: TextCommand): {
  /** False: the text is not yet what `command` asks for, so a prompt under it may be text as well. */
  readonly looksWhole: (text: string) => boolean;
  /** True: a configuration or a long list, which may hold the words of an error message as its own. */
  readonly cannotBeRefusal: (text: string) => boolean;
} {
  let last: { readonly text: string; readonly whole: boolean } | null = null;
  const whole = (text: string): boolean => {
    if (last?.text !== text) last = { text, whole: looksWhole(command, text) };
    return last.whole;
  };
  return {
    looksWhole: whole,
    cannotBeRefusal: (text) =>
      command.keep === 'facts' ? countLines(text, shortLines + 1) > shortLines : whole(text),
  };
}

function looksWhole(command: TextCommand, text: string): boolean {
  if (command.keep === 'facts') return true;
  const { atLeastLines, lastLine, structure } = command.wholeWhen;
  if (countLines(text, atLeastLines) < atLeastLines) return false;
  if (lastLine !== undefined && match(lastLine, lastFilledLine(text)) === null) return false;
  return structure === undefined || structure(text).whole;
}

/** The number of lines, counted no further than `enough`. */
function countLines(text: string, enough: number): number {
  let lines = 0;
  for (let from = 0; from < text.length && lines < enough; lines++) {
    const feed = text.indexOf('\n', from);
    from = feed === -1 ? text.length : feed + 1;
  }
  return lines;
}

function lastFilledLine(text: string): string {
  let end = text.length;
  while (end > 0) {
    const from = text.lastIndexOf('\n', end - 1) + 1;
    const line = text.slice(from, end);
    if (line.trim() !== '') return line;
    end = from - 1;
  }
  return '';
}
