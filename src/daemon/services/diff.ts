import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { OperationError } from '../../core/errors.ts';
import type { Driver } from '../../drivers/driver.ts';
import { diffText, type TextDiff } from '../../pipeline/diff.ts';
import type { Question } from './diff-worker.ts';

/** Lines of context around a change. */
const context = 3;
/** Texts of this many lines together are compared here at first: mostly that takes less than a thread takes to start. */
const fewLines = 10_000;
/** For as long as nobody waits for the event loop. */
const hereMs = 20;
/** A comparison may take two seconds and hold both texts: whoever comes later is told to come again. */
const mostWaiting = 8;
/** What two seconds of comparing can fill, and no more: it is not the daemon that runs out of memory then. */
const memoryMebibytes = 512;

let waiting = 0;
let last: Promise<unknown> = Promise.resolve();

/**
 * The difference of two texts of a device. What takes long is compared in a thread of its own, one pair at
 * a time: the event loop goes on meanwhile. Throws OperationError where too many wait already, and where the
 * thread ended.
 */
export async function diffAside(driver: Driver, before: string, after: string): Promise<TextDiff> {
  if (hasFewLines(before, after)) {
    const options = { context, timeoutMs: hereMs };
    const diff = diffText(before, after, driver.outline(before), driver.outline(after), options);
    if (diff.kind === 'hunks') return diff;
  }
  if (waiting >= mostWaiting)
    throw new OperationError(
      `${mostWaiting} comparisons of long texts wait already`,
      'ask again in a minute',
    );
  waiting++;
  const turn = last.then(() => ask({ platform: driver.id, before, after, context }));
  last = turn.catch(() => {});
  try {
    return await turn;
  } finally {
    waiting--;
  }
}

function hasFewLines(...texts: readonly string[]): boolean {
  let left = fewLines;
  for (const text of texts) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
      if (--left < 0) return false;
    }
  }
  return true;
}

/** The thread ends with its answer: texts are compared seldom, and what it took is given back. */
async function ask(question: Question): Promise<TextDiff> {
  const worker = new Worker(new URL(`./diff-worker${extname(import.meta.filename)}`, import.meta.url), {
    // Nothing of the environment is of use to it, and secrets may be there.
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: memoryMebibytes },
  });
  // A daemon that stops does not wait for it.
  worker.unref();
  try {
    return await new Promise<TextDiff>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('the thread that compares texts ended')));
      worker.postMessage(question);
    });
  } catch (error) {
    throw new OperationError(
      'the two texts could not be compared',
      'they may be too large: look at each with `roundsman show`',
      { cause: error },
    );
  } finally {
    await worker.terminate();
  }
}
