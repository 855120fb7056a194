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

/** False: the text is not yet what `command` asks for, so a prompt under it may be text as well. */
export function looksWhole(command: TextCommand, text: string): boolean {
  if (command.keep === 'facts') return true;
  const { atLeastLines, lastLine, structure } = command.wholeWhen;
  if (countLines(text, atLeastLines) < atLeastLines) return false;
  if (lastLine !== undefined && match(lastLine, lastFilledLine(text)) === null) return false;
  return structure === undefined || structure(text).whole;
}

/** True: a configuration or a long list, which may hold the words of an error message as its own. */
export function cannotBeRefusal(command: TextCommand, text: string): boolean {
  return command.keep === 'facts' ? countLines(text, shortLines + 1) > shortLines : looksWhole(command, text);
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
