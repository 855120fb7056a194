import type { Services, ServicesOptions } from '../cli/services.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { daemonAnswers, remoteServices } from './remote.ts';
import { findSocket } from './socket.ts';
import { personAsking } from './user.ts';

/** Never asked of a daemon. */
const here: ReadonlySet<string | symbol> = new Set<keyof Services>([
  'init',
  'daemon',
  'exportState',
  'importState',
  'verify',
  'acceptBreak',
  Symbol.asyncDispose,
]);

/**
 * Everything that the commands ask for. A daemon that is up does it for them, through its socket; else it is done
 * here, and only then is loaded what that takes: most of the time of a short command would go by with it.
 */
export function answeringServices(
  options: ServicesOptions,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock = systemClock,
): Services {
  let loaded: Promise<Services> | null = null;
  const load = (): Promise<Services> => {
    loaded ??= import('./compose.ts').then(({ compose }) => compose(options, env, clock));
    return loaded;
  };
  const local = calling((name) => (name === Symbol.asyncDispose && loaded === null ? nothing : load()));
  let chosen: Promise<Services> | null = null;
  const choose = async (): Promise<Services> => {
    const socket = findSocket(options.configFile, env);
    return (await daemonAnswers(socket)) ? remoteServices(socket, local, clock, personAsking(env)) : load();
  };
  return calling((name) => {
    if (here.has(name)) return local;
    chosen ??= choose();
    return chosen;
  });
}

/** Where nothing was opened, there is nothing to close. */
const nothing: Pick<Services, typeof Symbol.asyncDispose> = { async [Symbol.asyncDispose]() {} };

/** Services whose every call first finds out who answers it; the types of the calls stay as they are. */
function calling(
  answerer: (name: keyof Services) => Partial<Services> | Promise<Partial<Services>>,
): Services {
  return new Proxy({} as Services, {
    get(_target, name: keyof Services | 'then') {
      // Whoever awaits something asks it first whether it is a promise.
      if (name === 'then') return undefined;
      return async (...args: unknown[]) => {
        const services = await answerer(name);
        return (services[name] as (...given: unknown[]) => unknown)(...args);
      };
    },
  });
}
