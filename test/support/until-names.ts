import type { NameDirectory } from '../../net/names/directory.ts';

/** Waits until something holds, which is looked at once and then at each change of the directory: for its events, not for a time. */
export const untilNames = (directory: NameDirectory, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (holds()) {
        leave();
        resolve();
      }
    };
    const leave = directory.onChange(check);
    check();
  });
