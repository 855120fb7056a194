import { createHash } from 'node:crypto';
import { describe } from '../core/catalogue.ts';
import { BackupError, type Failure, failureOf } from '../core/errors.ts';
import type { ArchiveCommand, Driver, Seen } from '../drivers/driver.ts';
import type { ArchiveOrder, ArchiveResult, ArchiveSink } from './collect.ts';
import { match, quoteReply, type Reply } from './conversation.ts';
import type { Talk } from './reading.ts';
import { fetchFile } from './transfer.ts';

/** A BIG-IP is silent while it writes a UCS, and while it reads it again for the digest. */
const silenceMs = 10 * 60 * 1000;
/** Larger, an archive is not fetched. */
const limitBytes = 2 * 1024 * 1024 * 1024;
/**
 * What may stand on a command line without quotes, for every shell that it passes through; long enough to be taken
 * out of what is recorded.
 */
const plainPassphrase = /^[A-Za-z0-9._:/@+,=%][A-Za-z0-9._:/@+,=%-]{3,127}$/;
const sha256 = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/i;

type Step = 'make' | 'digest' | 'fetch' | 'compare' | 'remove';

/**
 * Lets the device make each archive that was ordered, fetches it and removes it from the device. Called when
 * everything else was read; the failure of one is its result. Throws only the reason of an abort by a signal.
 */
export async function makeArchives(
  talk: Talk,
  orders: readonly ArchiveOrder[],
  driver: Driver,
  seen: Seen,
): Promise<ReadonlyMap<string, ArchiveResult>> {
  const results = new Map<string, ArchiveResult>();
  for (const order of orders) {
    const command = driver.commands
      .filter((one) => one.keep === 'archive')
      .find(({ name }) => name === order.name);
    const possible = command !== undefined && command.when?.(seen) !== false;
    const { sink } = order;
    if (sink === null) {
      if (possible) await new Archive(talk, command, order).tidy();
      continue;
    }
    results.set(
      order.name,
      possible
        ? await new Archive(talk, command, order).get(sink)
        : failed(order.name, 'make', command?.needs ?? 'this device has no such archive to give'),
    );
  }
  return results;
}

function failed(archive: string, step: Step, reply: string): Failure {
  return { code: 'collect.archive-failed', detail: { archive, step, reply } };
}

/** What ends one archive early; its step is known to whoever catches it. */
class Stopped extends Error {}

class Archive {
  readonly #talk: Talk;
  readonly #command: ArchiveCommand;
  readonly #order: ArchiveOrder;
  #step: Step = 'make';
  /** The device was told to make the file: it may lie there. */
  #asked = false;
  #sinkFailure: Failure | null = null;

  constructor(talk: Talk, command: ArchiveCommand, order: ArchiveOrder) {
    this.#talk = talk;
    this.#command = command;
    this.#order = order;
  }

  /** Removes what an earlier session may have left; where that fails, it is tried again by the next one. */
  async tidy(): Promise<void> {
    this.#asked = true;
    const left = await this.#removed();
    if (left !== null)
      this.#talk.surroundings.transcript.note(`the file may still lie on the device: ${left}`);
  }

  async get(sink: ArchiveSink): Promise<ArchiveResult> {
    this.#order.onBegun?.();
    const result = await this.#make(sink).catch(async (thrown: unknown) => {
      try {
        return this.#resultOf(thrown);
      } catch (fatal) {
        // Even then nothing may stay on the device, as long as it listens.
        await this.#removed().catch(() => {});
        this.#talk.surroundings.holdOpen(false);
        throw fatal;
      }
    });
    const left = await this.#removed().finally(() => this.#talk.surroundings.holdOpen(false));
    if (left === null) return result;
    if ('digest' in result) return failed(this.#order.name, 'remove', left);
    this.#talk.surroundings.transcript.note(`the file may still lie on the device: ${left}`);
    return result;
  }

  async #make(sink: ArchiveSink): Promise<ArchiveResult> {
    const { make, makeOpen, madeWhen } = this.#command;
    const passphrase = await this.#passphrase();
    // What an interrupted run left there would be taken for ours.
    for (const line of this.#command.remove) await this.#ask(line);

    const line = passphrase === null ? makeOpen : make.replaceAll('{passphrase}', () => passphrase);
    this.#asked = true;
    this.#talk.surroundings.holdOpen(true);
    const made = await this.#ask(line, madeWhen);
    if (made.refused !== null) throw new Stopped(made.refused.reply);
    if (match(madeWhen, said(made)) === null) throw new Stopped(this.#lastWords(made));

    this.#step = 'digest';
    const told = await this.#ask(this.#command.digest, sha256);
    const digest = match(sha256, told.capture.text)?.[0].toLowerCase();
    if (told.refused !== null) throw new Stopped(told.refused.reply);
    if (digest === undefined) throw new Stopped(this.#lastWords(told));

    this.#step = 'fetch';
    const fetched = await this.#fetch(sink);
    this.#step = 'compare';
    if (fetched.digest !== digest)
      // Neither digest is said: what is told here is stored, and a digest of clear text lets guesses be tried.
      throw new Stopped('what arrived has another SHA-256 than the file on the device');
    return fetched;
  }

  async #fetch(sink: ArchiveSink): Promise<{ readonly digest: string; readonly bytes: number }> {
    const { connection, surroundings } = this.#talk;
    const { clock, signal, device, transcript, onOctets } = surroundings;
    const { file, by, name } = this.#command;
    const hash = createHash('sha256');
    transcript.note(`fetching ${file} by ${by}`);
    const bytes = await fetchFile(by, {
      connection,
      path: file,
      name,
      limitBytes,
      clock,
      signal,
      idleMs: device.timeouts.idleMs,
      mask: transcript.mask,
      take: async (octets) => {
        hash.update(octets);
        onOctets(octets.length);
        await sink.write(octets).catch((thrown: unknown) => {
          this.#sinkFailure = failureOf(thrown);
          throw thrown;
        });
      },
    });
    const digest = hash.digest('hex');
    transcript.note(`${bytes} octets`);
    return { digest, bytes };
  }

  /** Null where nothing of ours is on the device any more; else why that is not known. */
  async #removed(): Promise<string | null> {
    if (!this.#asked) return null;
    const { cut } = this.#talk.surroundings;
    try {
      for (const line of this.#command.remove) await this.#ask(line, undefined, cut);
      // A refusal may mean that there was nothing to remove; a digest means that there still is.
      const { capture } = await this.#ask(this.#command.digest, sha256, cut);
      return match(sha256, capture.text) === null ? null : 'it is still there after it was removed';
    } catch (thrown) {
      return this.#wordsOf(thrown);
    }
  }

  async #passphrase(): Promise<string | null> {
    const { passphrase } = this.#order;
    if (passphrase === null) return null;
    const { secrets, device } = this.#talk.surroundings;
    const value = await secrets.read(passphrase);
    if (plainPassphrase.test(value)) return value;
    const setting = `devices.${device.name}.options.${this.#order.name}.passphrase`;
    throw new BackupError('inventory.secret-unavailable', {
      reference: `the passphrase of ${this.#order.name}`,
      problem: 'it cannot be typed: 4 to 128 letters, digits and ._:/@+,=%- and no - in front',
      setting,
    });
  }

  #ask(send: string, expected?: RegExp, signal = this.#talk.surroundings.signal): Promise<Reply> {
    const { before = [], after = [], execLine = null, idleMs = silenceMs } = this.#command;
    return this.#talk.conversation.ask({
      signal,
      before,
      send,
      after,
      execLine,
      idleMs,
      looksWhole: () => true,
      cannotBeRefusal: (text) => expected !== undefined && match(expected, text) !== null,
    });
  }

  #resultOf(thrown: unknown): Failure {
    if (this.#sinkFailure !== null) return this.#sinkFailure;
    if (thrown instanceof BackupError && thrown.code === 'inventory.secret-unavailable')
      return failureOf(thrown);
    return failed(this.#order.name, this.#step, this.#wordsOf(thrown));
  }

  /** Why, in one sentence. Throws what is no failure of an archive: the end of the whole run, and bugs. */
  #wordsOf(thrown: unknown): string {
    if (thrown instanceof Stopped) return thrown.message;
    const { signal, transcript } = this.#talk.surroundings;
    const reason: unknown = signal.aborted ? signal.reason : thrown;
    if (!(reason instanceof BackupError) || reason.code === 'run.interrupted') throw reason;
    // A failure names what was typed, and what was typed may hold the passphrase.
    return quoteReply(describe(failureOf(reason)).message, transcript.mask);
  }

  #lastWords(reply: Reply): string {
    const last = said(reply).trimEnd().split('\n').at(-1) ?? '';
    return quoteReply(last, this.#talk.surroundings.transcript.mask) || 'no answer';
  }
}

/** Both outputs: where a device says that it is done differs from version to version. */
function said({ stderr, capture }: Reply): string {
  return `${stderr}\n${capture.text}`;
}
