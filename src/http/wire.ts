/**
 * Values as they cross the control socket: JSON, in which an object with the single key `$map`, `$bytes`
 * or `$object` stands for what JSON has no word for.
 *
 * - `{"$map": [[key, value], …]}`: a Map.
 * - `{"$bytes": "…"}`: a Buffer, in base64.
 * - `{"$object": {…}}`: a plain object, one of whose own keys begins with `$`.
 *
 * Keys whose value is `undefined` are left out, as in JSON; `undefined` alone becomes null.
 */

/** Deeper than anything that is sent, and far from where the stack ends. */
const deepest = 64;

/** The value as JSON. Throws TypeError for what would arrive as something else, such as a Date or NaN. */
export function encode(value: unknown): string {
  return JSON.stringify(value === undefined || !isJson(value, 0) ? tagged(value, 0) : value);
}

/** The value of parsed JSON. Throws TypeError where a tag is misused or the nesting is too deep. */
export function decode(parsed: unknown): unknown {
  return isJson(parsed, 0) ? parsed : untagged(parsed, 0);
}

/** Whether nothing in it has a tag, or needs one: true of nearly all that is sent, and then it need not be built anew. */
function isJson(value: unknown, depth: number): boolean {
  if (value === null || value === undefined) return true;
  if (typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (depth > deepest) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  if (!isPlain(value) || Buffer.isBuffer(value)) return false;
  for (const [key, item] of Object.entries(value))
    if (key.startsWith('$') || !isJson(item, depth + 1)) return false;
  return true;
}

function tagged(value: unknown, depth: number): unknown {
  if (depth > deepest) throw new TypeError('nested too deeply to be sent');
  const deeper = (inner: unknown): unknown => tagged(inner, depth + 1);
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map(deeper);
  if (Buffer.isBuffer(value)) return { $bytes: value.toString('base64') };
  if (value instanceof Map) return { $map: [...value].map(([key, item]) => [deeper(key), deeper(item)]) };
  if (!isPlain(value)) throw new TypeError(`a value of type ${typeof value} cannot be sent`);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  const plain = Object.fromEntries(entries.map(([key, item]) => [key, deeper(item)]));
  return entries.some(([key]) => key.startsWith('$')) ? { $object: plain } : plain;
}

/** Rows of SQLite have no prototype and are plain all the same. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function untagged(value: unknown, depth: number): unknown {
  if (depth > deepest) throw new TypeError('nested too deeply');
  if (typeof value !== 'object' || value === null) return value;
  const deeper = (inner: unknown): unknown => untagged(inner, depth + 1);
  if (Array.isArray(value)) return value.map(deeper);
  const entries = Object.entries(value);
  const [tag, content] = entries.find(([key]) => key.startsWith('$')) ?? [];
  if (tag === undefined) return Object.fromEntries(entries.map(([key, item]) => [key, deeper(item)]));
  if (entries.length > 1) throw new TypeError(`${tag} stands alone`);
  if (tag === '$bytes' && typeof content === 'string' && isBase64(content))
    return Buffer.from(content, 'base64');
  if (tag === '$map' && Array.isArray(content) && content.every(isPair))
    return new Map(content.map(([key, item]) => [deeper(key), deeper(item)]));
  if (tag === '$object' && isObject(content))
    return Object.fromEntries(Object.entries(content).map(([key, item]) => [key, deeper(item)]));
  throw new TypeError(`${tag} is misused`);
}

/** Node's decoder skips what is not base64, and bytes would be lost silently. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

function isPair(value: unknown): value is [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
