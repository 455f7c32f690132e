let last = 0;

/** A number for LogRecord's `run` that no earlier run of any replica has: the time in milliseconds, or the next. */
export const newRun = (): number => {
  last = Math.max(last + 1, Date.now());
  return last;
};
