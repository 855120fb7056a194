/**
 * One writer at a time: what arrives while a batch is being written becomes the next batch, so that
 * many requests share the cost of making one batch durable.
 *
 * `write` answers each request of its batch, in their order; where it throws, every request of the
 * batch rejects with what it threw. `limit` is the largest batch.
 */
export function groupCommit<Request, Answer>(
  write: (batch: readonly Request[]) => Promise<readonly PromiseSettledResult<Answer>[]>,
  limit: number,
): (request: Request) => Promise<Answer> {
  interface Waiting {
    readonly request: Request;
    readonly resolve: (answer: Answer) => void;
    readonly reject: (reason: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let writing = false;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, limit);
      waiting = waiting.slice(limit);
      try {
        const answers = await write(batch.map((one) => one.request));
        for (const [index, one] of batch.entries()) {
          const answer = answers[index];
          if (answer?.status === 'fulfilled') one.resolve(answer.value);
          else one.reject(answer === undefined ? new Error('a request was not answered') : answer.reason);
        }
      } catch (error) {
        for (const one of batch) one.reject(error);
      }
    }
    writing = false;
  }

  return (request) =>
    new Promise<Answer>((resolve, reject) => {
      waiting.push({ request, resolve, reject });
      if (writing) return;
      writing = true;
      // Not at once: requests of the same moment belong to one batch.
      queueMicrotask(() => void drain());
    });
}
