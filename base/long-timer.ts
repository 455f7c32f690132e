/** A timer that is set to more than this fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `work` once, after any time; the returned function ends the wait. setTimeout alone takes 24.8 days at most. */
export const afterLong = (ms: number, work: () => void): (() => void) => {
  let timer: NodeJS.Timeout | undefined;
  const wait = (left: number): void => {
    timer = setTimeout(() => (left > LONGEST_MS ? wait(left - LONGEST_MS) : work()), Math.min(left, LONGEST_MS));
  };
  wait(ms);
  return () => clearTimeout(timer);
};
