import type { BackupError } from '../core/errors.ts';

/** How a channel ended. Told exactly once, after the last piece of data. */
export interface ChannelEnd {
  /** What the command said; null where the channel ended without a status, which proves nothing about the output. */
  readonly exitStatus: number | null;
  /** Without the leading `SIG`, such as `TERM`; null where no signal ended the command. */
  readonly signal: string | null;
  /** True: the connection is gone too, so no further channel can be opened. */
  readonly connectionLost: boolean;
  /**
   * Not null: throw this. `run.interrupted` after an abort, `connect.protocol` where the device broke the
   * SSH protocol. Null even where the connection was lost: only the dialogue knows what had been asked, and
   * makes `collect.connection-lost` of it.
   */
  readonly error: BackupError | null;
}

/** From which of its two outputs a command sent something. A shell has `stdout` alone: a terminal joins them. */
export type ChannelSource = 'stdout' | 'stderr';

/**
 * One shell or one command on a device. Text holds one character per byte (latin1).
 *
 * Pieces arrive in the order in which the network brought them; what came before `onData` was called
 * is kept and told then. Between stdout and stderr that order is the device's own sending order.
 */
export interface Channel {
  /** Types `latin1` as it is; nothing is appended. Does nothing once the channel has ended. */
  write(latin1: string): void;
  /** Sets the one listener for what arrives. */
  onData(listener: (latin1: string, source: ChannelSource) => void): void;
  /** Sets the one listener for the end. Called at once (asynchronously) where the channel ended before. */
  onEnd(listener: (end: ChannelEnd) => void): void;
  /** Stops reading, so that the device has to wait. Data that was under way is kept until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends this channel; what still arrives is thrown away, and `onEnd` is told without awaiting the far side. */
  close(): void;
}
