import { type BinaryLike, createSecretKey, type KeyObject } from 'node:crypto';

/** The functions that a protocol calls once or twice for each packet, with the same key in its second place every time. */
const keyed = ['createCipheriv', 'createDecipheriv', 'createHmac'] as const;

/** Of `node:crypto`. */
export type Keyed = Record<
  (typeof keyed)[number],
  (name: string, key: BinaryLike | KeyObject, ...rest: never[]) => unknown
>;

/**
 * What `load` returns, which finds in `functions` such that make a `KeyObject` of each key once. Afterwards `functions` is
 * as it was, even where `load` throws.
 */
export function withKeyObjects<Library>(functions: Keyed, load: () => Library): Library {
  const originals = keyed.map((name) => [name, functions[name]] as const);
  for (const [name, original] of originals) functions[name] = rememberingKeys(original);
  try {
    return load();
  } finally {
    for (const [name, original] of originals) functions[name] = original;
  }
}

/** By the buffer that whoever calls keeps; a key leaves with it. */
const keys = new WeakMap<Uint8Array, KeyObject>();

function rememberingKeys(original: Keyed[keyof Keyed]): Keyed[keyof Keyed] {
  return (name, key, ...rest) => original(name, key instanceof Uint8Array ? keyOf(key) : key, ...rest);
}

function keyOf(octets: Uint8Array): KeyObject {
  const known = keys.get(octets);
  if (known !== undefined) return known;
  const made = createSecretKey(octets);
  keys.set(octets, made);
  return made;
}
