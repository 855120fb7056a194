import type { Readable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { Services, ServicesOptions } from './services.ts';

/** Where text goes; `process.stdout` is one. */
export interface Sink {
  write(data: string | Uint8Array): unknown;
  readonly isTTY?: boolean | undefined;
  /** Of the terminal; absent where there is none. */
  readonly columns?: number | undefined;
}

/** Everything that a command touches. A test passes its own. */
export interface World {
  readonly services: (options: ServicesOptions) => Services;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Takes over the second one, which else ends the process on the spot. */
  readonly onSecondSignal: (then: () => void) => void;
  /** Takes over SIGHUP, which else ends the process. */
  readonly onHangup: (then: () => void) => void;
  /** Of this program. */
  readonly version: string;
}
