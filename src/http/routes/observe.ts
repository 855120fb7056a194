import type { FastifyInstance } from 'fastify';
import type { HttpSources } from '../sources.ts';

const config = { need: 'observe' } as const;

/** What anyone may see who comes as far as here: metrics, whether the process answers, whether it does its work. */
export function addObservation(app: FastifyInstance, sources: HttpSources): void {
  let rendering: Promise<string> | null = null;

  app.get('/metrics', { config }, async (_request, reply) => {
    // However many ask at once, there is one rendering at a time.
    rendering ??= sources.metrics.render().finally(() => {
      rendering = null;
    });
    return reply.type(sources.metrics.contentType).send(await rendering);
  });

  app.get('/-/healthy', { config }, (_request, reply) => reply.send({ healthy: true }));

  app.get('/-/ready', { config }, (_request, reply) => {
    const { ready, reasons } = sources.readiness();
    return reply.code(ready ? 200 : 503).send({ ready, reasons });
  });
}
