let last = 0;

/** A number for LogRecord's `run` that no earlier run has used: the time in milliseconds, or the next free number. */
export const newRun = (): number => {
  last = Math.max(last + 1, Date.now());
  return last;
};

/** Has later runs come after this one, which another process numbered: the clock may have been put back since. */
export const noteRun = (run: number): void => {
  last = Math.max(last, run);
};
