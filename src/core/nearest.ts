/**
 * The member of `candidates` that `word` most likely meant: the fewest insertions, deletions, changes
 * and swaps of neighbours, at most one for every three characters (and one for short words); else the
 * only one that begins with `word`, where that has three characters. Null where nothing is that near.
 * Case counts for nothing.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const known = [...candidates];
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: string | null = null;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = edits(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? onlyOneBeginning(word, known);
}

function onlyOneBeginning(word: string, candidates: readonly string[]): string | null {
  if (word.length < 3) return null;
  const found = candidates.filter((candidate) => candidate.toLowerCase().startsWith(word.toLowerCase()));
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** Optimal string alignment distance. */
function edits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
