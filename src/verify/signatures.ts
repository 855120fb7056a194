import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { parseArmored, publicKeyIn, signedData, sshStrings } from '../core/ssh-signature.ts';
import type { RawCommit } from '../gitstore/history.ts';
import type { Commit } from './commits.ts';
import type { Findings } from './finding.ts';
import type { Notes } from './notes.ts';

/** A record that says with which key the commits after one are signed. */
export interface SignKey {
  readonly n: number;
  /** As `.pub` files have it; null: from here on with none. */
  readonly publicKey: string | null;
  /** What main was at; null: nothing. */
  readonly after: string | null;
}

/** A commit that has to bear a signature by this key. */
export interface Demand {
  readonly commit: Commit;
  readonly key: SignKey;
}

/**
 * Of the commits (oldest first) those that have to be signed. Where the commit is not on main after which a key came
 * into force, the history was rewritten: then it is asked of every commit for which no later key is.
 */
export function signaturesDemanded(
  commits: readonly Commit[],
  keys: readonly SignKey[],
  notes: Notes,
): readonly Demand[] {
  if (keys.length === 0) return [];
  const places = new Map(commits.map(({ commit }, index) => [commit, index]));
  const starts: { readonly key: SignKey; readonly from: number }[] = [];
  for (const key of keys) {
    const after = key.after === null ? -1 : (places.get(key.after) ?? -1);
    // A key never takes the place of one that came into force after it.
    starts.push({ key, from: Math.max(after + 1, starts.at(-1)?.from ?? 0) });
    if (key.publicKey === null)
      notes.add(
        `commits after ${key.after ?? 'none'} are not signed: record ${key.n} says that the key was taken away`,
      );
  }
  return commits.flatMap((commit, index) => {
    const key = starts.findLast(({ from }) => from <= index)?.key;
    return key === undefined || key.publicKey === null ? [] : [{ commit, key }];
  });
}

/** Whether a commit bears a good signature by `key`. */
export function checkSignature({ commit, bytes }: RawCommit, key: SignKey, findings: Findings): void {
  const text = bytes.toString('latin1');
  const wrong = wrongWith(text, bytes, key);
  if (wrong === null) return;
  const last = (name: string): string =>
    [...text.matchAll(new RegExp(`^${name}: (.*)$`, 'gm'))].at(-1)?.[1] ?? '';
  const [device, run] = [last('Device'), last('Run-Id')];
  const of = device === '' && run === '' ? '' : `(of device ${device || 'none'}, run ${run || 'none'}) `;
  const seconds = Number(/^committer .* (\d+) [+-]\d{4}$/m.exec(text)?.[1] ?? Number.NaN);
  findings.add(
    wrong.kind,
    `commit ${commit}`,
    `${of}${wrong.what}; record ${key.n} asks for one by ${key.publicKey}`,
    Number.isFinite(seconds) ? seconds * 1_000 : null,
    wrong.what,
  );
}

type Wrong = { readonly kind: 'commit.unsigned' | 'commit.badly-signed'; readonly what: string };

function wrongWith(text: string, bytes: Buffer, key: SignKey): Wrong | null {
  const bad = (what: string): Wrong => ({ kind: 'commit.badly-signed', what });
  const head = text.slice(0, text.indexOf('\n\n') + 1);
  const found = [...head.matchAll(/^gpgsig (.*\n(?: .*\n)*)/gm)];
  const [first] = found;
  if (first === undefined) return { kind: 'commit.unsigned', what: 'is not signed' };
  const signature = found.length === 1 ? parseArmored((first[1] ?? '').replaceAll('\n ', '\n')) : null;
  if (signature === null) return bad('has a signature that is none of SSH for git');
  const publicKey = publicKeyIn(key.publicKey ?? '');
  if (publicKey?.equals(signature.publicKey) !== true) return bad('is signed by another key');
  const unsigned = Buffer.concat([
    bytes.subarray(0, first.index),
    bytes.subarray(first.index + first[0].length),
  ]);
  const digest = createHash(signature.hash).update(unsigned).digest();
  return isGood(publicKey, signedData(signature.hash, digest), signature.signature)
    ? null
    : bad('has a signature that does not fit it: it was changed after it was signed');
}

/** Digest by algorithm; null: what the key brings itself. */
const digests: Readonly<Record<string, string | null>> = {
  'ssh-ed25519': null,
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'ecdsa-sha2-nistp521': 'sha512',
  'rsa-sha2-256': 'sha256',
  'rsa-sha2-512': 'sha512',
};

function isGood(publicKey: Buffer, data: Buffer, signature: Buffer): boolean {
  const [algorithm, made] = sshStrings(signature) ?? [];
  const digest = digests[algorithm?.toString('latin1') ?? ''];
  if (digest === undefined || made === undefined) return false;
  try {
    const key = keyFrom(publicKey);
    const isPair = key.asymmetricKeyType === 'ec';
    return verify(digest, data, { key, dsaEncoding: 'ieee-p1363' }, isPair ? pairFrom(made, key) : made);
  } catch {
    // Numbers that are none of such a key.
    return false;
  }
}

const curves: Readonly<Record<string, string>> = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' };

/** Throws where these are no numbers of a key. */
function keyFrom(publicKey: Buffer): KeyObject {
  const [type, first = nothing, second = nothing] = sshStrings(publicKey) ?? [];
  const text = (octets: Buffer): string => octets.toString('base64url');
  switch (type?.toString('latin1')) {
    case 'ssh-ed25519':
      return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: text(first) } });
    case 'ssh-rsa':
      return createPublicKey({ format: 'jwk', key: { kty: 'RSA', e: text(first), n: text(second) } });
    default: {
      // A point: 4, then two numbers of the same length.
      const half = (second.length - 1) / 2;
      const [x, y] = [second.subarray(1, 1 + half), second.subarray(1 + half)].map(text);
      const crv = curves[first.toString('latin1')] ?? '';
      return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv, x: x ?? '', y: y ?? '' } });
    }
  }
}

const nothing = Buffer.alloc(0);

/** Two numbers as SSH writes them, in the length that the curve has. */
function pairFrom(made: Buffer, { asymmetricKeyDetails }: KeyObject): Buffer {
  const length =
    { prime256v1: 32, secp384r1: 48, secp521r1: 66 }[asymmetricKeyDetails?.namedCurve ?? ''] ?? 0;
  const numbers = (sshStrings(made) ?? []).map((octets) => {
    const least = octets[0] === 0 ? octets.subarray(1) : octets;
    return Buffer.concat([Buffer.alloc(length - least.length), least]);
  });
  return Buffer.concat(numbers);
}
