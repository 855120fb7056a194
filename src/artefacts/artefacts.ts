/**
 * Full texts, compressed (gzip) and encrypted to age recipients, each a file named by the SHA-256 of
 * its own bytes. This machine can write them and needs no identity to do so. By hand:
 * `age -d -i identity.txt FILE | gunzip`.
 */
export interface Artefacts {
  /**
   * Seals one text (one character per byte) durably and returns the digest (hex) of the sealed file.
   * Throws BackupError `store.seal-failed` or another `store.*` code.
   */
  seal(text: string): Promise<string>;
  /** The sealed bytes. Throws OperationError where the file is gone or no longer has this digest. */
  read(digest: string): Promise<Buffer>;
  /** Where the file of this digest lies, for messages. */
  path(digest: string): string;
  /** Removes a sealed copy that nothing refers to any more; does nothing where it is gone. */
  remove(digest: string): Promise<void>;
}

/** Opens sealed bytes with the text of an age identity file; throws OperationError where it does not fit. */
export type Unseal = (sealed: Buffer, identityFile: string) => Promise<Buffer>;
