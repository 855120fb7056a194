import type { Device } from '../core/device.ts';
import { BackupError, OperationError } from '../core/errors.ts';
import { Authentication } from './authentication.ts';
import { type HostKeyCheck, hostKeyCheck } from './host-key-check.ts';
import { blobType, type HostKeys } from './host-keys.ts';
import type { Target } from './tcp.ts';

/** A server to log in to: the device, or a jump host on the way to it. */
export type Server = Target & Pick<Device, 'credentials' | 'hostKeys' | 'firstUse'>;

/** The secrets of one login; `Key` and `Agent` are what ssh2 makes of them. Null: not configured. */
export interface Means<Key, Agent> {
  readonly password: string | null;
  readonly key: Key | null;
  readonly agent: Agent | null;
}

/** An authentication request in the form that ssh2's `authHandler` wants. */
type Request<Key, Agent> =
  | { type: 'none'; username: string }
  | { type: 'password'; username: string; password: string }
  | { type: 'publickey'; username: string; key: Key }
  | { type: 'agent'; username: string; agent: Agent }
  | {
      type: 'keyboard-interactive';
      username: string;
      prompt: (
        name: string,
        instructions: string,
        language: string,
        prompts: { prompt: string; echo?: boolean }[],
        finish: (answers: string[]) => void,
      ) => void;
    };

/** One login as ssh2 asks for it: adds the secrets to what `Authentication` decides. */
export class Login<Key, Agent> {
  readonly username: string;
  readonly authentication: Authentication;
  readonly #means: Means<Key, Agent>;
  readonly #check: HostKeyCheck;
  readonly #hostKeys: HostKeys;
  readonly #server: Server;
  #pinned = false;

  constructor(server: Server, means: Means<Key, Agent>, check: HostKeyCheck, hostKeys: HostKeys) {
    this.username = server.credentials.username;
    this.authentication = new Authentication({
      username: this.username,
      privateKey: means.key !== null,
      agent: means.agent !== null,
      password: means.password,
    });
    this.#means = means;
    this.#check = check;
    this.#hostKeys = hostKeys;
    this.#server = server;
  }

  /** Pins a key of first contact, after the server proved that it holds it and before any credential. */
  async pinFirst(blob: Buffer): Promise<void> {
    if (!this.#check.pinsFirst || this.#pinned) return;
    this.#pinned = true;
    const { host, port } = this.#server;
    try {
      await this.#hostKeys.pin([{ host, port, type: blobType(blob), blob }]);
    } catch (error) {
      // A revoked key is not to be trusted; the command line tells the rest at `roundsman trust`.
      if (!(error instanceof OperationError)) throw error;
      const check = hostKeyCheck({ ...this.#server, firstUse: false }, this.#hostKeys);
      throw check.verify(blob) ?? error;
    }
  }

  /** `answered` is told when a question of the server ends the login. */
  next(
    offered: readonly string[] | null,
    partial: boolean,
    answered: (error: BackupError) => void,
  ): Request<Key, Agent> | BackupError {
    const { username } = this;
    const { key, agent, password } = this.#means;
    const attempt = this.authentication.next(offered, partial);
    if (attempt instanceof BackupError) return attempt;
    switch (attempt) {
      case 'publickey':
        if (key !== null) return { type: 'publickey', username, key };
        break;
      case 'agent':
        if (agent !== null) return { type: 'agent', username, agent };
        break;
      case 'password':
        if (password !== null) return { type: 'password', username, password };
        break;
      case 'keyboard-interactive':
        return {
          type: 'keyboard-interactive',
          username,
          prompt: (_name, instructions, _language, prompts, finish) => {
            const questions = prompts.map(({ prompt, echo }) => ({ prompt, echo: echo !== false }));
            const answer = this.authentication.answer(instructions, questions);
            if (answer instanceof BackupError) answered(answer);
            else finish([...answer]);
          },
        };
      case 'none':
        break;
    }
    return { type: 'none', username };
  }
}
