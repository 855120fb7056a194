import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findSettings, loadSettings } from './settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the control socket lies. Under systemd that is the runtime directory. */
export function socketPath(settings: { socket: string | null; stateDir: string }, env: Environment): string {
  if (settings.socket !== null) return settings.socket;
  // Several runtime directories are separated by colons; ours is the first.
  const [runtime = ''] = (env.RUNTIME_DIRECTORY ?? '').split(':');
  return join(runtime === '' ? settings.stateDir : runtime, 'control.sock');
}

/**
 * Where a daemon would answer; needs the settings alone, so that a mistake in the inventory is in nobody's way.
 * `configFile` null: the usual places decide. Throws InvalidConfiguration, UsageError where there are no settings.
 */
export function findSocket(configFile: string | null, env: Environment): string {
  return socketPath(loadSettings(findSettings(configFile, env, existsSync)), env);
}
