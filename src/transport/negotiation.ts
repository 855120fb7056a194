import type { SshPolicy } from '../core/device.ts';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import { type AlgorithmKind, allowable } from './algorithms.ts';

/** By what ssh2 calls them in its debug lines and errors. */
const kindOf: ReadonlyMap<string, AlgorithmKind> = new Map([
  ['KEX method', 'kex'],
  ['Host key format', 'host-key'],
  ['C->S cipher', 'cipher'],
  ['S->C cipher', 'cipher'],
  ['C->S MAC', 'mac'],
  ['S->C MAC', 'mac'],
]);

const failures: ReadonlyMap<string, string> = new Map([
  ['key exchange algorithm', 'KEX method'],
  ['host key format', 'Host key format'],
]);

/**
 * What the server offers, as far as the negotiation went. ssh2 tells it in debug lines alone
 * (`Handshake: (remote) KEX method: …`), one list after the other, and stops at the first that fails.
 */
export class Negotiation {
  readonly #offered = new Map<string, readonly string[]>();

  /** To be called with every debug line; what is no list of the server's is let pass. */
  debugLine(line: string): void {
    const match = /^Handshake: \(remote\) ([^:]{1,40}): /.exec(line.slice(0, 80));
    const label = match?.[1];
    if (match === null || label === undefined || !kindOf.has(label)) return;
    const names = line.slice(match[0].length, 16_384).split(',').slice(0, 200);
    this.#offered.set(
      label,
      names.filter((name) => name !== '').map((name) => clip(harmless(name), 100)),
    );
  }

  get hostKeys(): readonly string[] {
    return this.#offered.get('Host key format') ?? [];
  }

  /** `connect.no-common-algorithm` where this message of ssh2 means that; else null. */
  failure(message: string, policy: SshPolicy, ident: string): BackupError | null {
    const what = /no matching (.+)$/.exec(message)?.[1];
    if (what === undefined) return null;
    const label = failures.get(what) ?? what;
    const kind = kindOf.get(label);
    if (kind === undefined) return null;
    const offered = this.#offered.get(label) ?? [];
    return new BackupError('connect.no-common-algorithm', {
      kind,
      offered,
      allowable: allowable(kind, offered, policy, ident),
    });
  }
}
