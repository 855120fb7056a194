import { z } from 'zod';
import type { Problem } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { isMapping } from './mapping.ts';
import { type Path, showPath, type YamlDocument } from './yaml.ts';

/** What is wrong with one value. */
class Fault {
  readonly message: string;
  readonly nearest: string | null;
  readonly below: Path;

  constructor(message: string, near: string | null, below: Path) {
    this.message = message;
    this.nearest = near;
    this.below = below;
  }
}

/**
 * Ends the judgement of a value with what is wrong with it. `near` is the word that was probably meant;
 * `below` leads from the value to the place of the mistake.
 */
export type Blame = (message: string, near?: string | null, below?: Path) => never;

const blame: Blame = (message, near = null, below = []) => {
  throw new Fault(message, near, below);
};

/**
 * A value that `judge` turns into what the program uses. An absent one is said to be missing, unless
 * `.optional()` or `.default()` is put on top. `expected` completes the sentence "expected …".
 */
export function judged<T>(expected: string, judge: (value: unknown, blame: Blame) => T) {
  return z.unknown().transform((value, context): T => {
    try {
      return value === undefined ? blame(`is missing; expected ${expected}`) : judge(value, blame);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      const { message, below } = fault;
      context.addIssue({ code: 'custom', message, path: [...below], params: { nearest: fault.nearest } });
      return z.NEVER;
    }
  });
}

/** A mapping with exactly these keys. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => {
      // One issue names several keys: `Reader` takes this text apart again, a word for each key.
      if (issue.code === 'unrecognized_keys')
        return issue.keys.map((key) => nearest(key, Object.keys(shape)) ?? '').join('\n');
      return issue.input === undefined
        ? 'is missing; expected a mapping (key: value)'
        : 'expected a mapping (key: value)';
    },
  });
}

/** A list of what `item` accepts. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item, {
    error: (issue) => (issue.input === undefined ? 'is missing; expected a list' : 'expected a list'),
  });
}

/** Reads one file piece by piece and collects what is wrong, so that one mistake hides no other. */
export class Reader {
  readonly problems: Problem[] = [];
  readonly file: string;
  readonly #document: YamlDocument;

  constructor(file: string, document: YamlDocument) {
    this.file = file;
    this.#document = document;
  }

  /** The value as `schema` makes it, or null after its mistakes were noted. `at` is where it stands. */
  read<T>(schema: z.ZodType<T>, value: unknown, at: Path): T | null {
    return this.#parse(schema, value, at)?.data ?? null;
  }

  /** The same for each key of a mapping on its own; absent where a key has mistakes. */
  readEach<Shape extends z.ZodRawShape>(
    shape: Shape,
    value: unknown,
  ): { [Key in keyof Shape]?: z.output<Shape[Key]> } {
    const result: { [Key in keyof Shape]?: z.output<Shape[Key]> } = {};
    if (!isMapping(value)) {
      this.blame(
        [],
        value === null ? 'is empty; expected a mapping (key: value)' : 'expected a mapping (key: value)',
      );
      return result;
    }
    for (const key of Object.keys(value))
      if (!Object.hasOwn(shape, key)) this.blame([key], 'unknown key', nearest(key, Object.keys(shape)));
    for (const key of Object.keys(shape) as (keyof Shape & string)[]) {
      const schema = shape[key] as unknown as z.ZodType<z.output<Shape[typeof key]>>;
      const read = this.#parse(schema, value[key], [key]);
      if (read !== null) result[key] = read.data;
    }
    return result;
  }

  /** Notes one mistake. */
  blame(path: Path, message: string, near: string | null = null): void {
    this.problems.push(this.problem(path, message, near));
  }

  /** A mistake, or a warning, without noting it. */
  problem(path: Path, message: string, near: string | null = null): Problem {
    return {
      file: this.file,
      path: showPath(path),
      line: this.#document.lineOf(path),
      message,
      nearest: near,
    };
  }

  #parse<T>(schema: z.ZodType<T>, value: unknown, at: Path): { readonly data: T } | null {
    const result = schema.safeParse(value);
    if (result.success) return result;
    for (const issue of result.error.issues) {
      const path = [...at, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
      if (issue.code === 'unrecognized_keys') {
        const words = issue.message.split('\n');
        for (const [index, key] of issue.keys.entries())
          this.blame([...path, key], 'unknown key', words[index] === '' ? null : (words[index] ?? null));
      } else {
        const near: unknown = issue.code === 'custom' ? issue.params?.nearest : null;
        this.blame(path, issue.message, typeof near === 'string' ? near : null);
      }
    }
    return null;
  }
}
