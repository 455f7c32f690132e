/** The first `a.b` or `a.b.c` in a text, e.g. of `--version`; undefined when there is none. */
export const parseVersion = (text: string): readonly [number, number, number] | undefined => {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
};

export const isAtLeast = (version: readonly number[], minimum: readonly number[]): boolean => {
  for (const [index, wanted] of minimum.entries()) {
    const got = version[index] ?? 0;
    if (got !== wanted) {
      return got > wanted;
    }
  }
  return true;
};
