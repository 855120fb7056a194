import type { Definition } from './definitions.ts';

/** The ids of the drivers, with the names of the archives that each of them knows. */
export type Platforms = ReadonlyMap<string, readonly string[]>;

/**
 * Every combination of label values that is known beforehand. Empty where a label is open: such series
 * begin when there is something to say.
 */
export function knownLabels(
  { labels }: Definition,
  platforms: Platforms,
): readonly Readonly<Record<string, string>>[] {
  let combinations: Readonly<Record<string, string>>[] = [{}];
  for (const [label, said] of Object.entries(labels)) {
    if (said === 'open') return [];
    combinations = combinations.flatMap((known) => {
      const archives = platforms.get(known.platform ?? '') ?? [];
      const values = said === 'platforms' ? [...platforms.keys()] : said === 'archives' ? archives : said;
      return values.map((value) => ({ ...known, [label]: value }));
    });
  }
  return combinations;
}
