import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Fleet, Services } from '../../cli/services.ts';
import type { Clock } from '../../core/clock.ts';
import { refuse } from '../app.ts';
import { bodySchema, type Call, type CallName, calls, namesIn, usualBodyBytes } from '../calls.ts';
import type { HttpSources } from '../sources.ts';
import { decode, encode } from '../wire.ts';
import { errorToSend, isExpected, statusOf } from '../wire-errors.ts';

/** An empty line this often tells the caller of a long call that the daemon lives. */
const heartbeatMs = 15_000;

/** Calls that are under way and can be ended. */
export interface CallsUnderWay {
  /** Ends each as its caller could have: what was begun is closed truthfully and answered. */
  abort(): void;
}

/**
 * `POST /api/v1/call/<method>`, a JSON array of arguments. An ordinary call answers with its result. A long
 * one answers with lines of JSON: `{"call": id}`, any number of `{"event": …}`, and last `{"result": …}` or
 * `{"error": …}`. It is aborted by `POST /api/v1/abort/<id>`, and when its caller goes away.
 */
export function addCalls(app: FastifyInstance, sources: HttpSources, clock: Clock): CallsUnderWay {
  const underWay = new Map<string, AbortController>();

  for (const [name, call] of Object.entries(calls) as [CallName, Call][]) {
    const options = { schema: { body: bodySchema(call) }, bodyLimit: call.bodyBytes ?? usualBodyBytes };
    app.post(`/api/v1/call/${name}`, options, (request, reply) => {
      const args = decoded(request.body);
      if (args === null) return refuse(reply, 400, 'the arguments hold a misused tag');
      return call.follows === undefined ? ordinary(name, args, reply) : long(name, args, reply);
    });
  }

  app.post<{ Params: { id: string } }>('/api/v1/abort/:id', (request, reply) => {
    const controller = underWay.get(request.params.id);
    if (controller === undefined) return refuse(reply, 404, 'no such call is under way');
    controller.abort();
    return reply.send({ aborted: true });
  });

  async function ordinary(
    name: CallName,
    args: readonly unknown[],
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    try {
      const method = sources.services[name] as (...given: readonly unknown[]) => Promise<unknown>;
      const result = await method.apply(sources.services, [...args]);
      const shown = name === 'fleet' ? namesIn(result as Fleet) : result;
      return reply.type('application/json').send(encode(shown));
    } catch (error) {
      return reply.code(statusOf(error)).send({ error: told(error) });
    }
  }

  async function long(name: CallName, args: readonly unknown[], reply: FastifyReply): Promise<FastifyReply> {
    const id = randomUUID();
    const controller = new AbortController();
    underWay.set(id, controller);
    reply.hijack();
    const lines = openLines(reply, clock, () => controller.abort());
    lines.write({ call: id });
    try {
      const result = await follow(sources.services, name, args, controller.signal, (event) =>
        lines.event(event),
      );
      lines.end({ result });
    } catch (error) {
      lines.end({ error: told(error) });
    } finally {
      underWay.delete(id);
    }
    return reply;
  }

  function told(error: unknown): object {
    if (!isExpected(error)) sources.unexpected(error);
    return errorToSend(error);
  }

  return {
    abort() {
      for (const controller of underWay.values()) controller.abort();
    },
  };
}

/** Null where a value is not written as `wire.ts` says. */
function decoded(body: unknown): readonly unknown[] | null {
  try {
    return decode(body) as readonly unknown[];
  } catch {
    return null;
  }
}

/** Calls a method whose last argument follows the caller. */
function follow(
  services: Services,
  name: CallName,
  args: readonly unknown[],
  signal: AbortSignal,
  onEvent: (event: unknown) => void,
): Promise<unknown> {
  const last = calls[name].follows === 'events' ? { onEvent, signal } : signal;
  const method = services[name] as (...given: readonly unknown[]) => Promise<unknown>;
  return method.apply(services, [...args, last]);
}

interface Lines {
  write(value: object): void;
  event(event: unknown): void;
  end(value: object): void;
}

/** An answer in lines. `gone` is called when the caller went away before the end. */
function openLines(reply: FastifyReply, clock: Clock, gone: () => void): Lines {
  const raw: ServerResponse = reply.raw;
  const write = (text: string): void => {
    if (!raw.destroyed) raw.write(text);
  };
  let ended = false;
  let beat = clock.after(heartbeatMs, beatOnce);
  function beatOnce(): void {
    write('\n');
    beat = clock.after(heartbeatMs, beatOnce);
  }
  // Writing to a connection that was just lost is no error: `close` says what is to be done.
  raw.on('error', () => {});
  raw.on('close', () => {
    beat.cancel();
    if (!ended) gone();
  });
  if (raw.destroyed) gone();
  raw.writeHead(200, { ...reply.getHeaders(), 'content-type': 'application/x-ndjson' } as Record<
    string,
    string
  >);
  return {
    write: (value) => write(`${encode(value)}\n`),
    event(event) {
      // A caller that does not read must not fill the memory: how far a reading is can be left out.
      if (raw.writableNeedDrain && isProgress(event)) return;
      write(`${encode({ event })}\n`);
    },
    end(value) {
      ended = true;
      if (!raw.destroyed) raw.end(`${encode(value)}\n`);
    },
  };
}

function isProgress(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'type' in event && event.type === 'progress';
}
