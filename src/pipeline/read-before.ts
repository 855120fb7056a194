import { createHmac, randomBytes } from 'node:crypto';
import type { Artefacts } from '../artefacts/artefacts.ts';
import type { Repository } from '../gitstore/repository.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Collected } from '../transport/collect.ts';

/** What an artefact with the very same octets became before. */
export interface MadeBefore {
  readonly masked: string;
  /** Digest of the sealed copy; null where nothing is sealed. */
  readonly sealed: string | null;
  /** Whether the device was in a cluster: there a normalised text is another. */
  readonly inHa: boolean;
}

/** What became of an artefact the last time. */
interface Remembered extends MadeBefore {
  readonly mark: string;
  /** The mark of the masked text: git has the text itself. */
  readonly masked: string;
}

/** Which rules apply, and by which key secrets are masked. */
interface Terms {
  readonly platform: string;
  readonly maskKey: string;
}

/**
 * The last good reading of each device, in memory alone. An artefact that comes with the very same octets again is
 * not judged, masked and sealed again: most nights most devices have nothing new.
 */
export interface ReadBefore {
  /** Stands for the octets of an artefact, and for what else decides what is made of them. */
  markOf(collected: Collected, artefact: string, under: Terms): string;
  /** Stands for a text. */
  markOfText(text: string): string;
  /** Null: this artefact of this device was never read, or had another mark. */
  recall(deviceId: string, artefact: string, mark: string): Remembered | null;
  remember(deviceId: string, artefact: string, made: Remembered): void;
}

/** Marks are keyed and hold for this process: nobody tests a guess at a secret with them. */
export function createReadBefore(): ReadBefore {
  const key = randomBytes(32);
  const devices = new Map<string, Map<string, Remembered>>();
  const hmac = () => createHmac('sha256', key);
  return {
    markOf({ captures, artefacts, seen, secrets = [] }, artefact, under) {
      const { text = '', ...how } = captures.get(artefact) ?? {};
      const command = artefacts.get(artefact)?.name ?? null;
      const { options, dialogue } = seen;
      const about = { command, how, options, dialogue, secrets, under };
      return hmac()
        .update(`${JSON.stringify(about)}\n`)
        .update(text, 'latin1')
        .digest('base64');
    },
    markOfText: (text) => hmac().update(text, 'latin1').digest('base64'),
    recall(deviceId, artefact, mark) {
      const found = devices.get(deviceId)?.get(artefact);
      return found?.mark === mark ? found : null;
    },
    remember(deviceId, artefact, made) {
      const known = devices.get(deviceId) ?? new Map<string, Remembered>();
      devices.set(deviceId, known.set(artefact, made));
    },
  };
}

/**
 * The artefacts, by name, that came with the same octets as in the last good reading, as long as git and the sealed
 * copies have what became of them. `marks` are those of what was read now.
 */
export async function sameAgain(
  deviceId: string,
  marks: ReadonlyMap<string, string>,
  {
    readBefore,
    ledger,
    repository,
    artefacts,
  }: {
    readonly readBefore: ReadBefore;
    readonly ledger: Ledger;
    readonly repository: Repository;
    readonly artefacts: Artefacts | null;
  },
): Promise<ReadonlyMap<string, MadeBefore>> {
  const same = new Map<string, MadeBefore>();
  for (const { artefact, commit, path } of ledger.lastGood(deviceId)?.versions ?? []) {
    const mark = marks.get(artefact);
    const before = mark === undefined ? null : readBefore.recall(deviceId, artefact, mark);
    if (before === null) continue;
    const { sealed, inHa } = before;
    // A repository that cannot be read is told of where the reading is settled.
    const masked = await repository.read(commit, path).catch(() => null);
    if (masked === null || readBefore.markOfText(masked) !== before.masked) continue;
    if (sealed !== null && ledger.sealed(deviceId, artefact, null)?.digest !== sealed) continue;
    if (sealed !== null && (await artefacts?.has(sealed)) !== true) continue;
    same.set(artefact, { masked, inHa, sealed });
  }
  return same;
}
