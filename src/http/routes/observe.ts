import type { FastifyInstance } from 'fastify';
import type { HttpSources } from '../sources.ts';

/** What anyone on this machine may see: metrics, whether the process answers, whether it does its work. */
export function addObservation(app: FastifyInstance, sources: HttpSources): void {
  let rendering: Promise<string> | null = null;

  app.get('/metrics', async (_request, reply) => {
    // However many ask at once, there is one rendering at a time.
    rendering ??= sources.metrics.render().finally(() => {
      rendering = null;
    });
    return reply.type(sources.metrics.contentType).send(await rendering);
  });

  app.get('/-/healthy', (_request, reply) => reply.send({ healthy: true }));

  app.get('/-/ready', (_request, reply) => {
    const { ready, reasons } = sources.readiness();
    return reply.code(ready ? 200 : 503).send({ ready, reasons });
  });
}
