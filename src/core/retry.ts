import { catalogue } from './catalogue.ts';
import type { ErrorCode, Retry } from './errors.ts';

/** When trying again can help. `atJumpHost`: the code of `connect.jump`'s detail, which decides there; else null. */
export function retryOf(code: ErrorCode, atJumpHost: string | null): Retry {
  if (code !== 'connect.jump' || atJumpHost === null) return catalogue[code].retry;
  return Object.hasOwn(catalogue, atJumpHost) ? catalogue[atJumpHost as ErrorCode].retry : 'next-run';
}
