import type { Services } from '../cli/services.ts';

/** Whether the daemon does its work. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not, one line each; empty where it is ready. */
  readonly reasons: readonly string[];
}

/** What the listeners show and hand on to. Asked at each request, never before. */
export interface HttpSources {
  readonly metrics: {
    readonly contentType: string;
    render(): Promise<string>;
  };
  readiness(): Readiness;
  /**
   * Reads the configuration anew; resolves, once it is in use, to what is answered as JSON. Throws
   * InvalidConfiguration, or OperationError where it would drop too many devices and `confirmed` is false.
   */
  reload(confirmed: boolean): Promise<object>;
  /** Starts no slot until `resume`. Doing either twice is no error. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** The daemon's own, for the control calls. */
  readonly services: Services;
  /** Told of each error that is none of the expected ones, for the log. */
  unexpected(error: unknown): void;
}
