import { parentPort } from 'node:worker_threads';
import { digestOf } from './bcrypt.ts';

/** One question of `passwords.ts`. */
export interface Question {
  readonly id: number;
  readonly password: Uint8Array;
  readonly cost: number;
  readonly salt: Uint8Array;
}

export interface Answer {
  readonly id: number;
  readonly digest: string;
}

parentPort?.on('message', ({ id, password, cost, salt }: Question) => {
  const answer: Answer = { id, digest: digestOf(Buffer.from(password), { cost, salt: Buffer.from(salt) }) };
  parentPort?.postMessage(answer);
});
