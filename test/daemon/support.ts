import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateIdentity } from '../../src/artefacts/unseal.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createContext, type OwnedContext } from '../../src/daemon/context.ts';
import { writeFirstConfiguration } from '../../src/daemon/init.ts';
import type { Log } from '../../src/daemon/log.ts';

/** A configuration of its own in a new directory, opened as the daemon opens it. */
export interface Installation extends AsyncDisposable {
  readonly dir: string;
  readonly env: Record<string, string>;
  readonly context: OwnedContext;
  /** Writes devices.yaml. */
  inventory(text: string): void;
}

export async function install(inventory: string): Promise<Installation> {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-daemon-'));
  const { configFile, inventoryFile } = await writeFirstConfiguration(dir, generateIdentity);
  const write = (text: string) => writeFileSync(inventoryFile, text);
  write(inventory);
  const env: Record<string, string> = {};
  const context = createContext({ configFile, logLines: false }, env, systemClock);
  return {
    dir,
    env,
    context,
    inventory: write,
    async [Symbol.asyncDispose]() {
      await context[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A log that keeps what it is told, one text for each line. */
export function keptLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (level: string) => (message: string, fields: unknown) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return {
    lines,
    log: {
      runEnded: ({ device, settled }) => keep('run')(device, settled),
      slotMissed: (slot) => keep('missed')(slot.device, slot),
      info: keep('info'),
      warn: keep('warn'),
      unexpected: (message, thrown) =>
        keep('unexpected')(message, { text: String(thrown), stack: (thrown as Error).stack }),
      countedBy: () => {},
    },
  };
}
