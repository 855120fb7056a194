/**
 * What was typed and what came back in one session, for the reader of a failed run. Bounded: the
 * beginning and the end are kept. Credentials are never recorded; `masked` removes what the device
 * itself showed.
 */
export interface Transcript {
  /** `text` is what was typed; pass `«password»` or `«enable»` in place of a secret. */
  sent(text: string): void;
  /** Bytes of the device, one character per byte. */
  received(text: string): void;
  /** A remark of ours, such as `prompt seen` or `closed by the device`. */
  note(text: string): void;
}
