import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Need } from '../access.ts';
import { artefact, device, runId } from '../calls.ts';
import { answer } from '../respond.ts';
import type { HttpSources } from '../sources.ts';

type Schema = Readonly<Record<string, unknown>>;

/** A device name, in the path. */
interface Named {
  readonly name: string;
}

const named = closed({ name: device }, ['name']);
/** Several, with commas in between; as many as a line of a request can have. */
const names = { type: 'string', pattern: '^[a-z0-9][a-z0-9._-]{0,62}(,[a-z0-9][a-z0-9._-]{0,62})*$' };
const states = {
  type: 'string',
  pattern: `^(running|changed|unchanged|failed|quarantined|missed|skipped)(,(running|changed|unchanged|failed|quarantined|missed|skipped))*$`,
};
/** An instant or how long ago; a commit, a run or an instant. */
const time = { type: 'string', pattern: '^[0-9A-Za-z:.+-]{1,40}$' };
const revision = { type: 'string', pattern: '^[0-9A-Za-z:.+_~-]{1,128}$' };
const credential = device;

/** Reading for scripts, and what can be asked of the daemon: JSON as the commands print it. */
export function addApi(app: FastifyInstance, sources: HttpSources): void {
  const { api } = sources;
  const json = (reply: FastifyReply, work: () => Promise<string>): Promise<FastifyReply> =>
    answer(reply, sources, async () => {
      const text = await work();
      return reply.type('application/json; charset=utf-8').send(text);
    });

  app.get<{ Querystring: { devices?: string } }>(
    '/api/v1/status',
    route('read', { querystring: closed({ devices: names }) }),
    ({ query }, reply) => json(reply, () => api.status(list(query.devices) ?? [])),
  );
  app.get<{ Querystring: { devices?: string; states?: string; since?: string; until?: string } }>(
    '/api/v1/runs',
    route('read', { querystring: closed({ devices: names, states, since: time, until: time }) }),
    ({ query }, reply) =>
      json(reply, () =>
        api.runs({
          devices: list(query.devices),
          states: list(query.states),
          since: query.since ?? null,
          until: query.until ?? null,
        }),
      ),
  );
  app.get<{ Params: Named; Querystring: { artefact?: string } }>(
    '/api/v1/devices/:name/versions',
    route('read', { params: named, querystring: closed({ artefact }) }),
    ({ params, query }, reply) => json(reply, () => api.versions(params.name, query.artefact ?? null)),
  );
  app.get<{ Params: Named; Querystring: { artefact?: string; rev?: string } }>(
    '/api/v1/devices/:name/text',
    route('read', { params: named, querystring: closed({ artefact, rev: revision }) }),
    ({ params, query }, reply) =>
      json(reply, () => api.text(params.name, query.artefact ?? null, query.rev ?? null)),
  );
  app.get<{ Params: Named; Querystring: { artefact?: string; a?: string; b?: string } }>(
    '/api/v1/devices/:name/diff',
    route('read', { params: named, querystring: closed({ artefact, a: revision, b: revision }) }),
    ({ params, query }, reply) =>
      json(reply, () => api.diff(params.name, query.artefact ?? null, [query.a ?? null, query.b ?? null])),
  );

  app.post<{ Body: { devices: readonly string[] } }>(
    '/api/v1/backups',
    route('operate', {
      body: closed({ devices: { type: 'array', items: device, minItems: 1, maxItems: 1_000 } }, ['devices']),
    }),
    (request, reply) => json(reply.code(202), () => api.backup(request.body.devices, callerName(request))),
  );
  app.post<{ Params: Named; Body: { run_id: string } }>(
    '/api/v1/devices/:name/accept',
    route('admin', { params: named, body: closed({ run_id: runId }, ['run_id']) }),
    (request, reply) =>
      json(reply, () => api.accept(request.params.name, request.body.run_id, callerName(request))),
  );
  app.post<{ Params: Named }>(
    '/api/v1/credentials/:name/release',
    route('admin', { params: closed({ name: credential }, ['name']) }),
    (request, reply) => json(reply, () => api.release(request.params.name, callerName(request))),
  );
}

/** Who asks, for the record. On the control socket that is not known. */
export function callerName({ caller }: FastifyRequest): string {
  return caller?.kind === 'token' ? `token ${caller.token.name} over HTTP` : 'somebody via socket';
}

function route(need: Need, schema: Schema): { config: { need: Need }; schema: Schema } {
  return { config: { need }, schema };
}

function closed(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', properties, required, additionalProperties: false };
}

function list(written: string | undefined): readonly string[] | null {
  return written?.split(',') ?? null;
}
