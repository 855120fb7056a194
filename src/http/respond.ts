import type { FastifyReply } from 'fastify';
import type { HttpSources } from './sources.ts';
import { errorJson, isExpected, statusOf } from './wire-errors.ts';

/** Does `work`, which sends the answer; what it throws is answered as `{error: …}`, and logged where it is ours. */
export async function answer(
  reply: FastifyReply,
  sources: Pick<HttpSources, 'unexpected'>,
  work: () => Promise<FastifyReply>,
): Promise<FastifyReply> {
  try {
    return await work();
  } catch (error) {
    const status = statusOf(error);
    if (!isExpected(error) || status >= 500) sources.unexpected(error);
    return reply
      .code(status)
      .type('application/json; charset=utf-8')
      .send({ error: errorJson(error) });
  }
}
