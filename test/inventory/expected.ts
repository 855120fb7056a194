import { InvalidConfiguration, type Problem } from '../../src/core/errors.ts';

/** What a comment `#! path | part of the message | nearest` demands of the line that it stands in. */
export interface Expected {
  readonly line: number;
  readonly path: string;
  readonly part: string;
  readonly nearest: string | null;
}

/** The demands that are written into a file with mistakes; a line can hold several. */
export function expectedProblems(text: string): Expected[] {
  return text.split('\n').flatMap((content, index) =>
    content
      .split('#! ')
      .slice(1)
      .map((demand) => {
        const [path = '', part = '', near] = demand.split('|').map((piece) => piece.trim());
        return { line: index + 1, path, part, nearest: near ?? null };
      }),
  );
}

/** Problems in the form of demands, so that a difference is easy to read. */
export function compared(problems: readonly Problem[], expected: readonly Expected[]): Expected[] {
  const left = [...expected];
  return problems.map(({ line, path, message, nearest }) => {
    const index = left.findIndex(
      (demand) => demand.line === line && demand.path === path && message.includes(demand.part),
    );
    const [match] = index === -1 ? [] : left.splice(index, 1);
    return { line: line ?? 0, path, part: match?.part ?? message, nearest };
  });
}

/** The problems with which `load` fails. */
export function problemsOf(load: () => unknown): readonly Problem[] {
  try {
    load();
  } catch (error) {
    if (error instanceof InvalidConfiguration) return error.problems;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** In the order of lines, then of paths: the order within one line means nothing. */
export function sorted(list: readonly Expected[]): Expected[] {
  return list.toSorted((a, b) => a.line - b.line || (a.path + a.part < b.path + b.part ? -1 : 1));
}
