/**
 * Why a push did not reach a remote. The value of the `reason` metric label.
 * - `diverged`: main of the remote has commits that ours has not.
 * - `rejected`: the remote understood and refused (a hook, a protected branch).
 * - `identity`: it showed another host key or certificate than was expected; no credential was sent.
 * - `login`: it refused our key, password or rights.
 * - `credentials`: a secret that the settings refer to cannot be read.
 * - `unreachable`: no connection, or one that broke.
 * - `silent`: it said nothing for too long, or took too long altogether.
 * - `other`: none of these; the words of git say more.
 */
export type PushFailureReason =
  | 'diverged'
  | 'rejected'
  | 'identity'
  | 'login'
  | 'credentials'
  | 'unreachable'
  | 'silent'
  | 'other';

export interface PushFailure {
  readonly reason: PushFailureReason;
  /** One line, harmless, without secrets. */
  readonly problem: string;
}

/** Where one remote of the repository stands. */
export interface RemoteStatus {
  readonly name: string;
  readonly url: string;
  /** Commits on main that the remote does not have; null where that cannot be told. */
  readonly unpushed: number | null;
  /** UTC epoch milliseconds; null: never. */
  readonly lastSuccessMs: number | null;
  /** Of the newest attempt; null where it succeeded, and before the first. */
  readonly failure: PushFailure | null;
}

/** What to do about a failed push: an imperative. */
export const pushRemedies: Readonly<Record<PushFailureReason, string>> = {
  diverged:
    'find out who wrote to the remote; then give it back its old tip, or push to a new, empty repository: nothing is ever forced',
  rejected: 'let the user of the push create and move refs/heads/main, refs/roundsman/* and refs/replace/*',
  identity:
    'compare the key or certificate with what the operator of the remote publishes; where it is right, correct `host_key` or `ca` of the remote',
  login:
    'give the key or the token the right to write there, or correct `private_key`, `username` or `password`',
  credentials:
    'make the secret readable for the user that runs roundsman, or correct the reference in `git.remotes`',
  unreachable: 'check the URL, the name service and the way to the remote',
  silent: 'look at the load and the log of the remote; the push is tried again by itself',
  other: 'try it by hand as the user of the service: git push --dry-run, with the same key',
};
