/** The candidate most like `word`, if one is close enough to be meant. */
export const closest = (word: string, candidates: Iterable<string>): string | undefined => {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(1, Math.ceil(word.length / 3))) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) < bestDistance) {
      const distance = editDistance(word.toLowerCase().replaceAll('-', '_'), candidate.toLowerCase().replaceAll('-', '_'));
      if (distance < bestDistance) {
        best = candidate;
        bestDistance = distance;
      }
    }
  }
  return best;
};

/** As a hint: `did you mean "image"?`, or undefined. */
export const didYouMean = (word: string, candidates: Iterable<string>): string | undefined => {
  const candidate = word.length > 100 ? undefined : closest(word, candidates);
  return candidate === undefined ? undefined : `did you mean "${candidate}"?`;
};

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
const editDistance = (a: string, b: string): number => {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (beforePrevious[j - 2] ?? 0) + 1);
      }
      row.push(value);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
};
