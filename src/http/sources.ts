import type { Services } from '../cli/services.ts';
import type { Need } from './access.ts';

/** Whether the daemon does its work. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not, one line each; empty where it is ready. */
  readonly reasons: readonly string[];
}

/**
 * What scripts ask for. Each resolves to a JSON document, in which no secret is, and throws UsageError (an unknown
 * name), OperationError or BackupError. `artefact` null: the configuration. `by` is who asks, for the record.
 */
export interface Api {
  /** Of these devices; empty: of all. */
  status(devices: readonly string[]): Promise<string>;
  /** Newest first; null: no limit of this kind. Times are instants, or how long ago. */
  runs(filter: {
    readonly devices: readonly string[] | null;
    readonly states: readonly string[] | null;
    readonly since: string | null;
    readonly until: string | null;
  }): Promise<string>;
  versions(device: string, artefact: string | null): Promise<string>;
  /** Null: the newest. */
  text(device: string, artefact: string | null, revision: string | null): Promise<string>;
  diff(
    device: string,
    artefact: string | null,
    revisions: readonly [a: string | null, b: string | null],
  ): Promise<string>;
  /** Resolves when the runs are in the queue. A device that waits in it already is not put there twice. */
  backup(devices: readonly string[], by: string): Promise<string>;
  accept(device: string, runId: string, by: string): Promise<string>;
  release(credential: string, by: string): Promise<string>;
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
  reload(confirmed: boolean, by: string): Promise<object>;
  /** Starts no slot until `resume`. Doing either twice is no error. */
  pause(by: string): Promise<void>;
  resume(by: string): Promise<void>;
  /** The daemon's own, for the control calls. */
  readonly services: Services;
  readonly api: Api;
  /** Credentials were wrong or not enough for what was asked, on TCP. */
  refused(need: Need, address: string): void;
  /** Told of each error that is none of the expected ones, for the log. */
  unexpected(error: unknown): void;
}
