/** What the soak and the daemon's process say to each other. */

export type Order =
  /** Let time pass until then; rounds take what they take. */
  | { readonly does: 'until'; readonly atMs: number }
  /** Collect garbage, then tell what is held. */
  | { readonly does: 'sample' }
  | { readonly does: 'housekeeping' }
  | { readonly does: 'reload' }
  | { readonly does: 'stop' };

/** What the process holds, after everything that could be freed was. */
export interface Held {
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Handles and requests of the event loop by kind, timers among them. */
  readonly resources: { readonly [kind: string]: number };
  /** Calls that the daemon planned on its clock. */
  readonly planned: number;
}

export type Told =
  | { readonly is: 'done'; readonly nowMs: number }
  | { readonly is: 'held'; readonly held: Held };
