import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationError } from '../../core/errors.ts';
import { flush } from '../../gitstore/durable.ts';
import { entriesOf, exists, flushTree, onDisk } from './files.ts';

/**
 * An import is built here, inside state_dir: it may be a mount, and what is above it belongs to root. As long
 * as this directory is there, nothing opens the state.
 */
const draftName = '.importing';

/** What an empty state directory may hold: the lock that the import itself has, and what mkfs leaves. */
const harmless = new Set(['lock.db', 'lock.db-journal', 'lock.json', 'lost+found', draftName]);

/** Moved in this order: a ledger is there only with all that it names. */
const parts = ['configs.git', 'artefacts', 'spool', 'known_hosts', 'ledger.db'];

/** Throws OperationError where an import into this state directory is under way, or was cut short. */
export async function refuseDraft(stateDir: string): Promise<void> {
  if (!(await exists(join(stateDir, draftName)))) return;
  throw new OperationError(
    `an import into ${stateDir} is under way, or was cut short`,
    `wait for it, or run \`roundsman import DIR\` again; to start without it, delete ${join(stateDir, draftName)}`,
  );
}

/**
 * Lets `build` fill an empty directory and makes it the state, flushed. Whatever fails before that, or ends
 * the process, leaves no state. The state lock is held. Throws OperationError where there is a state already.
 */
export async function buildState(stateDir: string, build: (draft: string) => Promise<void>): Promise<void> {
  const draft = join(stateDir, draftName);
  await refuseUsed(stateDir);
  try {
    await onDisk(stateDir, async () => {
      // Of an import that was killed.
      await rm(draft, { recursive: true, force: true });
      await mkdir(draft, { mode: 0o700 });
    });
    await build(draft);
    await onDisk(draft, () => flushTree(draft));
  } catch (error) {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  await onDisk(stateDir, async () => {
    for (const part of parts) {
      if (await exists(join(draft, part))) await rename(join(draft, part), join(stateDir, part));
    }
    await flush(stateDir);
    await rm(draft, { recursive: true });
    await flush(stateDir);
  });
}

async function refuseUsed(stateDir: string): Promise<void> {
  const entries = await entriesOf(stateDir);
  const used = entries.filter((name) => !harmless.has(name));
  if (used.length === 0) return;
  if (entries.includes(draftName))
    throw new OperationError(
      `${stateDir} holds the beginning of an import that was cut short`,
      `delete everything in ${stateDir}, then import again`,
    );
  throw new OperationError(
    `${stateDir} is not empty: it holds ${used.toSorted().slice(0, 5).join(', ')}`,
    'an import joins nothing: move what is there away, or set another `state_dir`',
  );
}
