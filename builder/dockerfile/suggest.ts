/** ` (did you mean X?)` for the closest option at an edit distance of at most two, else the empty string. */
export const didYouMean = (value: string, options: Iterable<string>): string => {
  let best: string | undefined;
  let distance = 3;
  for (const option of options) {
    const current = editDistance(value.toLowerCase(), option.toLowerCase());
    if (current < distance && current < Math.max(option.length, value.length)) {
      distance = current;
      best = option;
    }
  }
  return best === undefined ? '' : ` (did you mean ${best}?)`;
};

const editDistance = (a: string, b: string): number => {
  if (Math.abs(a.length - b.length) > 2) {
    return 3;
  }
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 3;
};
