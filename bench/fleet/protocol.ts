/** What fleet.ts and server.ts say to each other. */

export interface Line {
  readonly roundTripMs: number;
  readonly bytesPerSecond: number | null;
}

/**
 * What is wrong with a device: it hangs up, rejects the password, ends in the middle of its configuration, or answers
 * slowly.
 */
export type Trouble = 'down' | 'rejects' | 'cut' | 'slow';

export type Order =
  | { readonly does: 'trouble'; readonly by: readonly (readonly [number: number, trouble: Trouble])[] }
  | { readonly does: 'change'; readonly share: number }
  | { readonly does: 'line'; readonly line: Line }
  | { readonly does: 'report' }
  | { readonly does: 'stop' };

/** What the fleet did since the report before. */
export interface Report {
  readonly cpuMs: number;
  readonly wallMs: number;
  /** The share of the time in which its event loop worked: near 1 it is the bottleneck of what was measured. */
  readonly busy: number;
  readonly logins: number;
  readonly sentBytes: number;
}

export interface Started {
  readonly port: number;
  /** As in a known_hosts line: type, blank, base64. */
  readonly hostKey: string;
  readonly fingerprint: string;
}

export type Message =
  | { readonly is: 'started'; readonly started: Started }
  | { readonly is: 'report'; readonly report: Report };

export function started(told: Started): Message {
  return { is: 'started', started: told };
}
