import type { NameTable } from '../../guest/types.ts';
import type { Run } from './boot-machine.ts';

/** Sends a guest its name table unless it has it already: each message wakes an emulated processor. */
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

/** Caches the JSON of a table that many guests get. */
const texts = new WeakMap<NameTable, string>();

const textOf = (names: NameTable): string => {
  const text = texts.get(names) ?? JSON.stringify(names);
  texts.set(names, text);
  return text;
};

/** For runs that are taking in a table: the table to send next. */
const next = new WeakMap<Run, { names: NameTable | undefined }>();

/**
 * The same, but waits until the guest has taken in the previous table, and sends only the newest of those that come meanwhile.
 * While thirty machines start, each would otherwise get an update for every other one, and answer later and later.
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
