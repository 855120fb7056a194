/**
 * Full texts, compressed (gzip) and encrypted to age recipients, each a file named by the SHA-256 of
 * its own bytes; and archives, encrypted as they came, because they are compressed or encrypted already.
 * This machine can write them and needs no identity to do so. By hand: `age -d -i identity.txt FILE | gunzip`,
 * of an archive without `gunzip`.
 */
export interface Artefacts {
  /**
   * Seals one text (one character per byte) durably and returns the digest (hex) of the sealed file.
   * Throws BackupError `store.seal-failed` or another `store.*` code.
   */
  seal(text: string): Promise<string>;
  /**
   * Begins to seal octets that come in pieces, however many. Nothing lies under a digest before it is finished.
   * Throws as `seal` does.
   */
  sealStream(): Promise<Sealing>;
  /** The sealed bytes. Throws OperationError where the file is gone or no longer has this digest. */
  read(digest: string): Promise<Buffer>;
  /** Whether the file of this digest is there; what is in it, `read` tells. */
  has(digest: string): Promise<boolean>;
  /** Where the file of this digest lies, for messages. */
  path(digest: string): string;
  /** Removes a sealed copy that nothing refers to any more; does nothing where it is gone. */
  remove(digest: string): Promise<void>;
}

/** Opens sealed bytes with the text of an age identity file; throws OperationError where it does not fit. */
export type Unseal = (sealed: Buffer, identityFile: string) => Promise<Buffer>;

/** A sealed file under way. Ends with `finish` or `discard`. */
export interface Sealing {
  /** The next octets; resolves when more may come. Throws BackupError `store.*`; then only `discard` is left to do. */
  write(chunk: Buffer): Promise<void>;
  /** Makes it durable; digest (hex) and size are those of the sealed file. Throws BackupError `store.*`. */
  finish(): Promise<{ readonly digest: string; readonly bytes: number }>;
  /** Throws away what was written. Never rejects; twice is once. */
  discard(): Promise<void>;
}
