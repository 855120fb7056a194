import { get } from 'node:http';
import type { Services, Watch } from '../cli/services.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import type { CallName } from '../http/calls.ts';
import { decode, encode } from '../http/wire.ts';
import { errorReceived } from '../http/wire-errors.ts';
import { type Answer, post } from './control-client.ts';
import { userName } from './user.ts';

const probeMs = 2_000;

/** Whether a daemon answers on this socket, within two seconds. Never rejects. */
export function daemonAnswers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(probeMs);
    const sent = get({ socketPath, path: '/-/healthy', agent: false, signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    sent.on('error', () => resolve(false));
  });
}

/**
 * The services of the daemon behind the socket. What concerns files or signals of the caller stays with
 * `fallback`: `init`, `daemon`, `check`, `keysFromFile`, `exportState`, `importState`, `verify`, `acceptBreak`; and an identity is only ever read here.
 * `person` is told as the one who asks. Every call may also throw OperationError where the daemon does not answer, or ends in the middle.
 */
export function remoteServices(
  socketPath: string,
  fallback: Services,
  clock: Clock = systemClock,
  person: string = userName(),
): Services {
  type Result<Name extends CallName> = Awaited<ReturnType<Services[Name]>>;

  function pathOf(name: CallName): string {
    return `/api/v1/call/${name}`;
  }

  async function call<Name extends CallName>(
    name: Name,
    ...args: Parameters<Services[Name]>
  ): Promise<Result<Name>> {
    const exchange = { socketPath, path: pathOf(name), body: encode(args), clock, onLine: null };
    const answer = await post(exchange);
    return received(answer) as Result<Name>;
  }

  async function follow<Name extends CallName>(
    name: Name,
    args: readonly unknown[],
    watch: Watch<never>,
  ): Promise<Result<Name>> {
    let last: Line | null = null;
    let abort: (() => void) | null = null;
    const onAbort = (): void => abort?.();
    watch.signal.addEventListener('abort', onAbort);
    try {
      const answer = await post({
        socketPath,
        path: pathOf(name),
        body: encode(args),
        clock,
        onLine(text) {
          const line = decode(parsed(text)) as Line;
          if ('event' in line) watch.onEvent(line.event as never);
          else if ('call' in line) {
            // What was read by then is answered all the same; a call that just ended is no error.
            abort = () => {
              post({ socketPath, path: `/api/v1/abort/${line.call}`, body: '{}', clock, onLine: null }).catch(
                () => {},
              );
            };
            if (watch.signal.aborted) abort();
          } else last = line;
        },
      });
      if (answer.status !== 200) return received(answer) as Result<Name>;
      return resultOf(last) as Result<Name>;
    } finally {
      watch.signal.removeEventListener('abort', onAbort);
    }
  }

  return {
    init: (dir) => fallback.init(dir),
    daemon: (signals) => fallback.daemon(signals),
    check: () => fallback.check(),
    exportState: (dir, watch) => fallback.exportState(dir, watch),
    importState: (dir, watch) => fallback.importState(dir, watch),
    verify: (anchor, watch) => fallback.verify(anchor, watch),
    acceptBreak: (accept, watch) => fallback.acceptBreak(accept, watch),
    keysFromFile: (devices, file) => fallback.keysFromFile(devices, file),
    fleet: () => call('fleet'),
    reach: (devices, watch) => follow('reach', [devices], watch),
    backup: (devices, watch) => follow('backup', [devices], watch),
    status: (devices) => call('status', devices),
    remotes: () => call('remotes'),
    runs: (filter) => call('runs', filter),
    run: (runId) => call('run', runId),
    versions: (device) => call('versions', device),
    held: (device) => call('held', device),
    archives: (device) => call('archives', device),
    text: (version) => call('text', version),
    messages: (commits) => call('messages', commits),
    compare: (device, before, after) => call('compare', device, before, after),
    transcript: (device, runId) => call('transcript', device, runId),
    accept: (device, runId, by = person) => call('accept', device, runId, by),
    async release(credential, by = person) {
      await call('release', credential, by);
    },
    offeredKeys: (devices, signal) => follow('offeredKeys', [devices], { signal, onEvent: () => {} }),
    async trust(keys, replace) {
      await call('trust', keys, replace);
    },
    sealed: (device, artefact, runId) => call('sealed', device, artefact, runId),
    async restore(device, artefact, runId, identityFile) {
      const copy = await call('sealed', device, artefact, runId);
      // An archive may be larger than an answer can be: its file is opened here.
      if (copy === null) return fallback.restore(device, artefact, runId, identityFile);
      const { opened } = await import('./services/history.ts');
      return opened(copy, identityFile);
    },
    [Symbol.asyncDispose]: () => fallback[Symbol.asyncDispose](),
  };
}

/** A line of the answer to a long call. */
type Line =
  | { readonly call: string }
  | { readonly event: unknown }
  | { readonly result: unknown }
  | { readonly error: unknown };

/** Throws what the daemon threw. */
function received({ status, body }: Answer): unknown {
  const value = decode(parsed(body));
  if (status === 200) return value;
  throw failed((value as { error?: unknown }).error, status);
}

function resultOf(last: Line | null): unknown {
  if (last === null)
    throw new OperationError('the daemon ended its answer too early', 'look at its log, and try again');
  if ('error' in last) throw failed(last.error, 200);
  return 'result' in last ? last.result : null;
}

/** The error in its own class; a refusal of the request itself means that the two programs do not fit. */
function failed(error: unknown, status: number): Error {
  try {
    return errorReceived(error);
  } catch {
    const { message } = (error ?? {}) as { message?: unknown };
    const said = typeof message === 'string' ? message : `status ${status}`;
    return new OperationError(
      `the daemon does not understand the command: ${said}`,
      'restart it: it may be another version than the one that was just called',
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new OperationError(
      'what answers on the control socket is not roundsman',
      'set `socket` to a path that no other program uses',
      { cause },
    );
  }
}
