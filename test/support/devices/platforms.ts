import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FakePlatform } from './machine.ts';

const folder = new URL('./platforms/', import.meta.url);

/** Every simulated platform by its id: the files of platforms/. */
const platforms: ReadonlyMap<string, FakePlatform> = new Map(
  await Promise.all(
    readdirSync(fileURLToPath(folder)).map(async (file) => {
      const { platform }: { readonly platform: FakePlatform } = await import(new URL(file, folder).href);
      return [file.replace(/\.ts$/, ''), platform] as const;
    }),
  ),
);

/** Throws where nobody simulates this platform. */
export function platformOf(id: string): FakePlatform {
  const found = platforms.get(id);
  if (found === undefined) throw new Error(`nobody simulates ${id}: there is no platforms/${id}.ts`);
  return found;
}
