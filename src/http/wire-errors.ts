import { describe } from '../core/catalogue.ts';
import {
  BackupError,
  type ErrorCode,
  type Failure,
  failureOf,
  InvalidConfiguration,
  OperationError,
  type Problem,
  UsageError,
} from '../core/errors.ts';

/** An error as data; absent fields do not apply to its class. Never a stack. */
export interface SentError {
  readonly name: 'OperationError' | 'UsageError' | 'InvalidConfiguration' | 'BackupError';
  readonly message: string;
  readonly todo?: string;
  readonly problems?: readonly Problem[];
  readonly failure?: Failure;
}

/** False for a defect of ours, which is sent as `bug.unexpected` and wants a line in the log. */
export function isExpected(thrown: unknown): boolean {
  return (
    thrown instanceof OperationError ||
    thrown instanceof UsageError ||
    thrown instanceof InvalidConfiguration ||
    thrown instanceof BackupError
  );
}

export function errorToSend(thrown: unknown): SentError {
  if (thrown instanceof OperationError || thrown instanceof UsageError)
    return { name: thrown.name, message: thrown.message, todo: thrown.todo };
  if (thrown instanceof InvalidConfiguration)
    return { name: thrown.name, message: thrown.message, problems: thrown.problems };
  const failure = failureOf(thrown);
  return { name: 'BackupError', message: failure.code, failure };
}

/** The error that was sent, in its own class. Throws TypeError where `received` is none. */
export function errorReceived(received: unknown): Error {
  const { name, message, todo, problems, failure } = (received ?? {}) as Partial<SentError>;
  if (typeof message === 'string') {
    if (name === 'OperationError' && typeof todo === 'string') return new OperationError(message, todo);
    if (name === 'UsageError' && typeof todo === 'string') return new UsageError(message, todo);
    if (name === 'InvalidConfiguration' && Array.isArray(problems)) return new InvalidConfiguration(problems);
    if (name === 'BackupError' && typeof failure?.code === 'string')
      return new BackupError<ErrorCode>(failure.code, failure.detail);
  }
  throw new TypeError('what was received is no error');
}

/** An error as the command line prints it with `--json`: `{code, message, todo}`, and `problems` of a configuration. */
export function errorJson(thrown: unknown): object {
  if (thrown instanceof OperationError)
    return { code: 'operation', message: thrown.message, todo: thrown.todo };
  if (thrown instanceof UsageError) return { code: 'usage', message: thrown.message, todo: thrown.todo };
  if (thrown instanceof InvalidConfiguration)
    return { code: 'configuration', message: thrown.message, problems: thrown.problems };
  const { code, message, todo } = describe(failureOf(thrown));
  return { code, message, todo };
}

/** The HTTP status that goes with it. */
export function statusOf(thrown: unknown): number {
  if (thrown instanceof OperationError) return 409;
  if (thrown instanceof UsageError) return 400;
  if (thrown instanceof InvalidConfiguration) return 422;
  return 500;
}
