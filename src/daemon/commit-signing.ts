import { describe } from '../core/catalogue.ts';
import type { Clock } from '../core/clock.ts';
import { BackupError, failureOf, OperationError } from '../core/errors.ts';
import { publicKeyLine } from '../core/ssh-signature.ts';
import type { CommitSigner, Signing } from '../gitstore/signing.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { parseSigningKey } from '../transport/signing-key.ts';
import type { Context } from './services/context.ts';
import type { Settings } from './settings.ts';

/** The category of records that say with which key the commits after one are signed. */
const category = 'sign-key';

/** What signs the commits; null: nobody does. Throws OperationError where the key cannot be used. */
export async function readSigner(
  { git }: Pick<Settings, 'git'>,
  { readSecret }: Pick<Context, 'readSecret'>,
): Promise<CommitSigner | null> {
  if (git.signKey === null) return null;
  try {
    return await parseSigningKey(await readSecret(git.signKey), git.signKey);
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'inventory.secret-unavailable') throw error;
    const unavailable = error as BackupError<'inventory.secret-unavailable'>;
    const { reference, problem } = unavailable.detail;
    const told = unusableSignKey(unavailable) ?? { problem, todo: describe(failureOf(error)).todo };
    throw new OperationError(`git.sign_key: ${reference}: ${told.problem}`, told.todo);
  }
}

/** Why no commit can be signed with what was read; null: nothing was. */
export function unusableSignKey({ detail }: BackupError<'inventory.secret-unavailable'>): {
  readonly problem: string;
  readonly todo: string;
} | null {
  const { key, problem } = detail;
  if (key === undefined) return null;
  return {
    problem:
      key === 'encrypted'
        ? 'the private key is encrypted, and nobody is there to type its passphrase'
        : problem,
    todo: 'make one for this alone: ssh-keygen -t ed25519 -N "" -C roundsman -f sign.key',
  };
}

/**
 * Signs with what `signer` gives. Before the first commit with another key than the one before it, or with none where
 * there was one, the chain says so: from there on `verify` asks for its signatures.
 */
export function signingBy(signer: () => CommitSigner | null, ledger: Ledger, clock: Clock): Signing {
  let isTold = false;
  return {
    signer,
    onBatch(tip) {
      if (isTold) return;
      const key = signer();
      const line = key === null ? null : publicKeyLine(key.publicKey);
      const before = ledger.lastRecord(category)?.public_key ?? null;
      if (line !== before) ledger.record(category, clock.nowMs(), { public_key: line, after: tip });
      isTold = true;
    },
  };
}
