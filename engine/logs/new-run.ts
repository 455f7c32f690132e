let last = 0;

/** A number for LogRecord's `run` that no earlier run has used: the time in milliseconds, or the next free number. */
export const newRun = (): number => {
  last = Math.max(last + 1, Date.now());
  return last;
};
