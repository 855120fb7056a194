import { randomBytes } from 'node:crypto';
import type { FleetDevice } from './options.ts';
import { configuration, rotating } from './texts.ts';

/** So many bytes of configurations are kept ready. */
const keepBytes = 384 * 1024 * 1024;

/** Configurations as they go over the wire, made when they are first asked for. */
export class Wire {
  readonly #sizeBytes: number;
  readonly #kept = new Map<
    number,
    { readonly version: number; readonly bytes: Buffer; readonly places: number[] }
  >();
  #keptBytes = 0;
  readonly #noise = Buffer.from(randomBytes(24_576).toString('base64'), 'latin1');
  #noiseAt = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  /** What the device displays now: with CR before LF on a terminal, with LF alone over exec. */
  display(device: FleetDevice, version: number): Buffer {
    let kept = this.#kept.get(device.number);
    if (kept === undefined || kept.version !== version) {
      this.#forget(device.number);
      const text = configuration(device, version, this.#sizeBytes);
      const bytes = Buffer.from(
        device.platform === 'f5_bigip' ? text : text.replaceAll('\n', '\r\n'),
        'latin1',
      );
      kept = { version, bytes, places: device.platform === 'fortinet_fortigate' ? placesOf(bytes) : [] };
      this.#kept.set(device.number, kept);
      this.#keptBytes += bytes.length;
      for (const [oldest] of this.#kept) {
        if (this.#keptBytes <= keepBytes || oldest === device.number) break;
        this.#forget(oldest);
      }
    }
    if (kept.places.length === 0) return kept.bytes;
    const shown = Buffer.from(kept.bytes);
    for (const place of kept.places) this.#fill(shown, place);
    return shown;
  }

  #forget(number: number): void {
    this.#keptBytes -= this.#kept.get(number)?.bytes.length ?? 0;
    this.#kept.delete(number);
  }

  /** Another value at each display. */
  #fill(bytes: Buffer, place: number): void {
    const length = rotating.length - 'ENC '.length;
    this.#noiseAt = (this.#noiseAt + 61) % (this.#noise.length - length);
    this.#noise.copy(bytes, place, this.#noiseAt, this.#noiseAt + length);
  }
}

function placesOf(bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(rotating); at !== -1; at = bytes.indexOf(rotating, at + 1))
    places.push(at + 'ENC '.length);
  return places;
}
