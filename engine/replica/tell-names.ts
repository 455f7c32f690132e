import type { NameTable } from '../../guest/types.ts';
import type { Run } from './run.ts';

/** Tells a guest the names it answers, unless it has them already: each word wakes an emulated processor. */
export const tellNames = async (run: Run, names: NameTable): Promise<void> => {
  const text = textOf(names);
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

/** Of a table that many are told. */
const texts = new WeakMap<NameTable, string>();

const textOf = (names: NameTable): string => {
  const text = texts.get(names) ?? JSON.stringify(names);
  texts.set(names, text);
  return text;
};

/** Of runs that are being told something: what they are to hear next. */
const next = new WeakMap<Run, { names: NameTable | undefined }>();

/**
 * The same once the guest has taken in what it was told last; of what changes meanwhile it hears only the last. While
 * thirty machines start, each would otherwise hear of every other, one by one, and answer later and later.
 */
export const tellNamesInTurn = async (run: Run, names: NameTable): Promise<void> => {
  const waiting = next.get(run);
  if (waiting !== undefined) {
    waiting.names = names;
    return;
  }
  const turn: { names: NameTable | undefined } = { names };
  next.set(run, turn);
  try {
    while (turn.names !== undefined) {
      const latest = turn.names;
      turn.names = undefined;
      await tellNames(run, latest);
    }
  } finally {
    next.delete(run);
  }
};
