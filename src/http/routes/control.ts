import type { FastifyInstance, FastifyReply, RouteShorthandOptions } from 'fastify';
import type { HttpSources } from '../sources.ts';
import { errorToSend, isExpected, statusOf } from '../wire-errors.ts';

/** What changes the daemon. The file rights of the socket decide who may. */
export function addControl(app: FastifyInstance, sources: HttpSources): void {
  app.post<{ Body: { confirm?: boolean } }>(
    '/-/reload',
    body({ confirm: { type: 'boolean' } }),
    (request, reply) => done(reply, () => sources.reload(request.body.confirm === true)),
  );
  app.post('/-/pause', body({}), (_request, reply) =>
    done(reply, async () => {
      await sources.pause();
      return { paused: true };
    }),
  );
  app.post('/-/resume', body({}), (_request, reply) =>
    done(reply, async () => {
      await sources.resume();
      return { paused: false };
    }),
  );

  async function done(reply: FastifyReply, action: () => Promise<object>): Promise<FastifyReply> {
    try {
      return reply.send(await action());
    } catch (error) {
      if (!isExpected(error)) sources.unexpected(error);
      return reply.code(statusOf(error)).send({ error: errorToSend(error) });
    }
  }
}

/** A closed object whose keys are all optional; no body at all is an empty one. */
function body(properties: Readonly<Record<string, object>>): RouteShorthandOptions {
  return {
    preValidation(request, _reply, next) {
      request.body ??= {};
      next();
    },
    schema: { body: { type: 'object', properties, additionalProperties: false } },
  };
}
