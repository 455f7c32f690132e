import type { NameTable } from '../guest/types.ts';
import type { Run } from './replica-run.ts';

/** Tells a guest the names it answers, unless it has them already: each word wakes an emulated processor. */
export const tellNames = async (run: Run, names: NameTable): Promise<void> => {
  const text = JSON.stringify(names);
  if (run.names === text) {
    return;
  }
  run.names = text;
  try {
    await run.guest.setNames(names);
  } catch (error) {
    run.names = undefined;
    throw error;
  }
};
