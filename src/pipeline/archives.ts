import type { Artefacts, Sealing } from '../artefacts/artefacts.ts';
import type { Clock } from '../core/clock.ts';
import type { ArchivePlan } from '../core/device.ts';
import { type Failure, failureOf } from '../core/errors.ts';
import type { EndedArchive } from '../core/run.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ArchiveOrder, Collected } from '../transport/collect.ts';

/** What archives are kept with. */
export interface ArchiveHands {
  readonly ledger: Pick<Ledger, 'archives'>;
  /** Null: nothing can be sealed, so no archive is asked for. */
  readonly artefacts: Artefacts | null;
  readonly clock: Clock;
}

/** The archives of one run. No method throws for what becomes of an archive. */
export interface RunArchives {
  /** What one attempt to read the device asks for. What an earlier attempt of this run began is not asked for again. */
  readonly orders: () => readonly ArchiveOrder[];
  /**
   * Keeps what came whole and writes each attempt down. `failure`: why nothing of this session is kept; null where it
   * was of the device that it should be. `results` null: the session never came to its end.
   */
  readonly end: (
    results: Collected['archives'] | null,
    failure: Failure | null,
  ) => Promise<readonly EndedArchive[]>;
}

/** `due`: the archives of `planned` that are to be asked for in this run. */
export function archivesOfRun(
  run: { readonly runId: string; readonly deviceId: string },
  planned: readonly ArchivePlan[],
  due: readonly ArchivePlan[],
  hands: ArchiveHands,
): RunArchives {
  const { artefacts } = hands;
  const drafts = new Map(
    artefacts === null ? [] : due.map(({ name }) => [name, new Draft(artefacts)] as const),
  );

  /** Their last session may have been cut off before it removed the file, which holds keys. */
  const left = planned
    .filter((plan) => !due.includes(plan))
    .filter(({ name }) => hands.ledger.archives.last(run.deviceId, name)?.stored === false);

  /** What is written down; null where the device was never asked. */
  async function outcome(
    name: string,
    results: Collected['archives'] | null,
    failure: Failure | null,
  ): Promise<EndedArchive | (Stored & { readonly name: string }) | null> {
    const draft = drafts.get(name);
    const because = (why: Failure) => ({ name, bytes: null, failure: why });
    if (draft === undefined) return because({ code: 'store.seal-failed', detail: { recipient: 'none' } });
    const result = results?.get(name);
    if (result === undefined) return failure !== null && draft.begun ? because(failure) : null;
    if ('code' in result) return because(result);
    if (failure !== null) return because(failure);
    try {
      return { name, ...(await draft.finish()) };
    } catch (thrown) {
      return because(failureOf(thrown));
    }
  }

  return {
    orders: () => [
      ...due.flatMap(({ name, passphrase }) => {
        const draft = drafts.get(name);
        return draft === undefined || draft.begun
          ? []
          : [{ name, passphrase, sink: draft, onBegun: draft.begin }];
      }),
      ...left.map(({ name }) => ({ name, passphrase: null, sink: null })),
    ],
    async end(results, failure) {
      const ended: EndedArchive[] = [];
      for (const { name } of due) {
        const became = await outcome(name, results, failure);
        if (became !== null) ended.push(await record(became));
        await drafts.get(name)?.discard();
      }
      return ended;
    },
  };

  /** A file that no row names is of no use to anybody. */
  async function record(became: EndedArchive | (Stored & { readonly name: string })): Promise<EndedArchive> {
    const sealed = 'digest' in became ? { digest: became.digest, bytes: became.bytes } : null;
    const failure = 'digest' in became ? null : became.failure;
    const { name } = became;
    try {
      hands.ledger.archives.ended({ ...run, name, attemptedAtMs: hands.clock.nowMs(), sealed, failure });
      return sealed === null || failure !== null
        ? { name, bytes: null, failure: failure as Failure }
        : { name, bytes: sealed.bytes, failure: null };
    } catch (thrown) {
      if (sealed !== null) await artefacts?.remove(sealed.digest).catch(() => {});
      return { name, bytes: null, failure: failureOf(thrown) };
    }
  }
}

interface Stored {
  readonly digest: string;
  readonly bytes: number;
}

/**
 * A sealed file that is begun with the first octet. A store that fails in the middle fails the archive and not the
 * session, whose text is as good as before: what still comes is then let go.
 */
class Draft {
  readonly #artefacts: Artefacts;
  #sealing: Sealing | null = null;
  #failed: { readonly thrown: unknown } | null = null;
  /** The device was asked for it. */
  begun = false;

  constructor(artefacts: Artefacts) {
    this.#artefacts = artefacts;
  }

  readonly begin = (): void => {
    this.begun = true;
  };

  async write(chunk: Buffer): Promise<void> {
    this.begun = true;
    if (this.#failed !== null) return;
    try {
      this.#sealing ??= await this.#artefacts.sealStream();
      await this.#sealing.write(chunk);
    } catch (thrown) {
      this.#failed = { thrown };
      await this.discard();
    }
  }

  /** Throws what the store threw. */
  async finish(): Promise<Stored> {
    if (this.#failed !== null) throw this.#failed.thrown;
    const sealing = this.#sealing ?? (await this.#artefacts.sealStream());
    this.#sealing = null;
    return sealing.finish();
  }

  /** Does nothing after `finish`. */
  async discard(): Promise<void> {
    const sealing = this.#sealing;
    this.#sealing = null;
    await sealing?.discard();
  }
}
