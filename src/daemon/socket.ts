import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isMapping } from '../inventory/mapping.ts';
import { readYaml } from '../inventory/yaml.ts';
import { findSettings, settingsBytes, usualStateDir } from './settings-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the control socket lies. Under systemd that is the runtime directory. */
export function socketPath(settings: { socket: string | null; stateDir: string }, env: Environment): string {
  if (settings.socket !== null) return settings.socket;
  // Several runtime directories are separated by colons; ours is the first.
  const [runtime = ''] = (env.RUNTIME_DIRECTORY ?? '').split(':');
  return join(runtime === '' ? settings.stateDir : runtime, 'control.sock');
}

/**
 * Where a daemon would answer. Looks at two keys of the settings alone: a mistake elsewhere is in nobody's way, and to
 * load what judges all of them takes longer than most answers. `configFile` null: the usual places decide. Throws
 * InvalidConfiguration where the file is no YAML, UsageError where there is none.
 */
export function findSocket(configFile: string | null, env: Environment): string {
  const file = findSettings(configFile, env, existsSync);
  const { value } = readYaml(file, settingsBytes);
  const written = (key: string): string | null => {
    const told = isMapping(value) ? value[key] : null;
    return typeof told === 'string' ? resolve(dirname(resolve(file)), told) : null;
  };
  return socketPath({ socket: written('socket'), stateDir: written('state_dir') ?? usualStateDir }, env);
}
