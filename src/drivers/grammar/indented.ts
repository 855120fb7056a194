import type { Block } from '../driver.ts';

/** What differs between texts that show their structure by indentation. */
export interface Indentation {
  /** Matches the beginning of a title that takes more than one word to name its section. */
  readonly kind: RegExp;
  /** First characters of lines in the first column that belong to no block. */
  readonly separators: string;
}

const deepest = 8;
const longestTitle = 160;

/**
 * The blocks of a text: a line is one where the next line is indented deeper. Blank lines belong to none. Never
 * throws, takes one pass.
 */
export function indentedBlocks(text: string, { kind, separators }: Indentation): Block[] {
  const blocks: { firstLine: number; lastLine: number; section: string; title: string }[] = [];
  const open: { indent: number; block: (typeof blocks)[number] | null }[] = [];
  let head: { indent: number; index: number; words: string } | null = null;
  let lastFilled = -1;

  const close = (indent: number): void => {
    for (let top = open.at(-1); top !== undefined && top.indent >= indent; top = open.at(-1)) {
      if (top.block !== null) top.block.lastLine = lastFilled;
      open.pop();
    }
  };
  const begin = (line: { indent: number; index: number; words: string }): void => {
    const around = open.at(-1)?.block;
    let block: (typeof blocks)[number] | null = null;
    if (around !== null && open.length < deepest) {
      const name = line.words.slice(0, longestTitle).trimEnd();
      block = {
        firstLine: line.index,
        lastLine: line.index,
        section: around?.section ?? kind.exec(name)?.[0] ?? /^\S{1,40}/.exec(name)?.[0] ?? name,
        title: around === undefined ? name : `${around.title} > ${name}`,
      };
      blocks.push(block);
    }
    open.push({ indent: line.indent, block });
  };

  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    let from = at;
    while (from < end && text[from] === ' ') from++;
    const indent = from - at;
    at = end + 1;
    if (from === end || text[from] === '\r') continue;
    const separates = indent === 0 && separators.includes(text[from] ?? '');
    if (head !== null && !separates && indent > head.indent) begin(head);
    else close(indent);
    head = separates ? null : { indent, index, words: text.slice(from, Math.min(end, from + longestTitle)) };
    if (!separates) lastFilled = index;
  }
  close(0);
  return blocks;
}
