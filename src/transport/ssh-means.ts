import type { BaseAgent, ParsedKey } from 'ssh2';
import type { Clock } from '../core/clock.ts';
import type { Credentials, SecretRef } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import { parsePrivateKey } from './private-key.ts';
import { ssh2 } from './ssh-library.ts';
import type { Means } from './ssh-login.ts';

/** What one server is logged in to with. */
export type Ssh2Means = Means<ParsedKey, BaseAgent>;

/**
 * Reads the secrets of one login. Throws BackupError `inventory.secret-unavailable`, also for a key that
 * cannot be used and for an agent that does not answer within `agentMs` or holds no key.
 */
export async function readMeans(
  { password, privateKey, passphrase, agent }: Credentials,
  readSecret: (ref: SecretRef) => Promise<string>,
  clock: Clock,
  agentMs: number,
): Promise<Ssh2Means> {
  return {
    password: password === null ? null : await readSecret(password),
    key:
      privateKey === null
        ? null
        : await parsePrivateKey(
            await readSecret(privateKey),
            passphrase === null ? undefined : await readSecret(passphrase),
            privateKey,
          ),
    agent: agent ? await openAgent(clock, agentMs) : null,
  };
}

/** The agent at $SSH_AUTH_SOCK, once it has shown that it holds a key. */
async function openAgent(clock: Clock, withinMs: number): Promise<BaseAgent> {
  const unusable = (problem: string) =>
    new BackupError('inventory.secret-unavailable', { reference: 'the SSH agent', problem });
  const path = process.env.SSH_AUTH_SOCK;
  if (path === undefined || path === '') throw unusable('SSH_AUTH_SOCK is not set');
  const agent = new ssh2.OpenSSHAgent(path);
  const keys = await new Promise<number>((resolve, reject) => {
    const timer = clock.after(withinMs, () => reject(unusable('the agent does not answer')));
    agent.getIdentities((error, found) => {
      timer.cancel();
      if (error) reject(unusable('the agent at SSH_AUTH_SOCK cannot be reached'));
      else resolve(found?.length ?? 0);
    });
  });
  if (keys === 0) throw unusable('the agent holds no key (`ssh-add -l`)');
  return agent;
}
