import type { FastifyInstance, RouteShorthandOptions } from 'fastify';
import { answer } from '../respond.ts';
import type { HttpSources } from '../sources.ts';
import { callerName } from './api.ts';

/** What changes the daemon. On the socket its file rights decide who may, on TCP the scope `operate`. */
export function addControl(app: FastifyInstance, sources: HttpSources): void {
  app.post<{ Body: { confirm?: boolean } }>(
    '/-/reload',
    body({ confirm: { type: 'boolean' } }),
    (request, reply) =>
      answer(reply, sources, async () => {
        const { confirm = false } = request.body;
        return reply.send(await sources.reload(confirm, callerName(request)));
      }),
  );
  app.post('/-/pause', body({}), (request, reply) =>
    answer(reply, sources, async () => {
      await sources.pause(callerName(request));
      return reply.send({ paused: true });
    }),
  );
  app.post('/-/resume', body({}), (request, reply) =>
    answer(reply, sources, async () => {
      await sources.resume(callerName(request));
      return reply.send({ paused: false });
    }),
  );
}

/** A closed object whose keys are all optional; no body at all is an empty one. */
function body(properties: Readonly<Record<string, object>>): RouteShorthandOptions {
  return {
    preValidation(request, _reply, next) {
      if (request.body === undefined) request.body = {};
      next();
    },
    config: { need: 'operate' },
    schema: { body: { type: 'object', properties, additionalProperties: false } },
  };
}
