import { type IncomingMessage, request } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import { duration } from '../core/units.ts';

/** A daemon at work says something every quarter of a minute in long calls, and answers the others sooner. */
const longestSilenceMs = 120_000;

/** One request to the control socket. */
export interface Post {
  readonly socketPath: string;
  readonly path: string;
  /** JSON. */
  readonly body: string;
  readonly clock: Clock;
  /** Called for each whole line of a successful answer, as it comes; null: the answer is returned whole. */
  readonly onLine: ((line: string) => void) | null;
}

export interface Answer {
  readonly status: number;
  /** Empty where lines were asked for and given. */
  readonly body: string;
}

/**
 * Rejects with OperationError where nobody answers, where the daemon ends before its answer does, and
 * where it has been silent for two minutes; with whatever `onLine` throws.
 */
export function post({ socketPath, path, body, clock, onLine }: Post): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath,
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        // A connection of its own: when it is closed, the daemon knows that the caller went away.
        agent: false,
      },
      (response) => {
        const lines = response.statusCode === 200 ? onLine : null;
        read(response, lines, watched, (text) => {
          timer.cancel();
          resolve({ status: response.statusCode ?? 0, body: text });
        }).catch(fail);
      },
    );
    let timer = clock.after(longestSilenceMs, silent);
    function watched(): void {
      timer.cancel();
      timer = clock.after(longestSilenceMs, silent);
    }
    function silent(): void {
      fail(
        new OperationError(
          `the daemon has not answered for ${duration(longestSilenceMs)}`,
          'look at its log, and restart it if it hangs',
        ),
      );
    }
    function fail(error: Error): void {
      timer.cancel();
      reject(error);
      sent.destroy();
    }
    sent.on('error', (error: NodeJS.ErrnoException) => fail(connectionFailure(error, socketPath)));
    sent.end(body);
  });
}

async function read(
  response: IncomingMessage,
  onLine: ((line: string) => void) | null,
  heard: () => void,
  done: (text: string) => void,
): Promise<void> {
  response.setEncoding('utf8');
  const pieces: string[] = [];
  try {
    for await (const piece of response as AsyncIterable<string>) {
      heard();
      if (onLine === null) {
        pieces.push(piece);
        continue;
      }
      const [first = '', ...more] = piece.split('\n');
      pieces.push(first);
      for (const next of more) {
        const line = pieces.splice(0).join('');
        pieces.push(next);
        if (line !== '') onLine(line);
      }
    }
  } catch (error) {
    throw response.complete || (error as NodeJS.ErrnoException).code !== 'ECONNRESET' ? error : ended(error);
  }
  done(onLine === null ? pieces.join('') : '');
}

/** What an operator can do about a connection that failed. */
function connectionFailure(error: NodeJS.ErrnoException, socketPath: string): Error {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new OperationError(
        `no daemon answers on ${socketPath}`,
        'start it, or run the command again: without a daemon it does the work itself',
        { cause: error },
      );
    case 'EACCES':
    case 'EPERM':
      return new OperationError(
        `this user may not use the control socket ${socketPath}`,
        'run the command as the user that the daemon runs as, or as root',
        { cause: error },
      );
    case 'ECONNRESET':
    case 'EPIPE':
      return ended(error);
    default:
      return error;
  }
}

function ended(cause: unknown): OperationError {
  return new OperationError(
    'the daemon ended before it had answered',
    'look at its log; what became of runs that were under way is in `roundsman runs`',
    { cause },
  );
}
