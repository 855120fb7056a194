import { describe } from '../core/catalogue.ts';
import { harmless, harmlessLines } from '../core/display.ts';
import {
  BackupError,
  failureOf,
  InvalidConfiguration,
  OperationError,
  type Problem,
  UsageError,
} from '../core/errors.ts';
import { counted } from '../core/units.ts';
import { exitCodes } from './context.ts';
import { jsonFailure, stringify } from './json.ts';

/** Why a command failed, in the words for standard error, and its exit code. */
export interface Verdict {
  readonly exitCode: number;
  /** Lines for a person; harmless. */
  readonly lines: readonly string[];
  /** The value of `error` under `--json`. */
  readonly json: object;
}

/** What to say of anything that a command may throw. */
export function verdictOf(thrown: unknown): Verdict {
  if (thrown instanceof InvalidConfiguration) return invalid(thrown.problems);
  if (thrown instanceof UsageError) return plain(exitCodes.usage, 'usage', thrown);
  if (thrown instanceof OperationError) return plain(exitCodes.failed, 'operation', thrown);
  if (thrown instanceof BackupError) {
    const failure = failureOf(thrown);
    const { message, todo } = describe(failure);
    return {
      exitCode: exitCodes.failed,
      lines: said(message, todo),
      json: jsonFailure(failure, { device: 'NAME', runId: null }) ?? {},
    };
  }
  return unexpected(thrown);
}

/** `file:line: path: message (did you mean "x"?)` */
export function problemLine(problem: Problem): string {
  const { file, line, path, message, nearest } = problem;
  const place = line === null ? file : `${file}:${line}`;
  const meant = nearest === null ? '' : ` (did you mean "${nearest}"?)`;
  return harmless(`${place}: ${path === '' ? '' : `${path}: `}${message}${meant}`);
}

/** `{file, line, path, message, nearest}` */
export function problemJson({ file, line, path, message, nearest }: Problem): object {
  return { file, line, path, message, nearest };
}

function invalid(problems: readonly Problem[]): Verdict {
  const message = `the configuration cannot be used: ${counted(problems.length, 'problem')}`;
  const todo = 'correct every line above, then run `roundsman check`';
  return {
    exitCode: exitCodes.usage,
    lines: [...problems.map(problemLine), ...said(message, todo)],
    json: { code: 'configuration', message, todo, problems: problems.map(problemJson) },
  };
}

function plain(exitCode: number, code: string, { message, todo }: UsageError | OperationError): Verdict {
  return { exitCode, lines: said(message, todo), json: { code, message, todo } };
}

/** A defect of ours: with its stack, because there is no log that would hold it. */
function unexpected(thrown: unknown): Verdict {
  const failure = failureOf(thrown);
  const { code, message } = describe(failure);
  const todo = 'report it as a defect of roundsman, with the lines below';
  const stack =
    thrown instanceof Error && thrown.stack !== undefined ? thrown.stack.split('\n').slice(1) : [];
  return {
    exitCode: exitCodes.failed,
    lines: [...said(message, todo), ...stack.map(harmless)],
    json: { code, message, todo },
  };
}

function said(message: string, todo: string): string[] {
  const [first = '', ...more] = harmlessLines(message).split('\n');
  return [`roundsman: ${first}`, ...more.map((line) => `  ${line}`), `  → ${harmless(todo)}`];
}

/** The whole text for standard error. */
export function errorText(verdict: Verdict, json: boolean): string {
  if (json) return `${stringify({ error: verdict.json })}\n`;
  return verdict.lines.map((line) => `${line}\n`).join('');
}
