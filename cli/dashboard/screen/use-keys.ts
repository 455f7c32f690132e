import { useInput, usePaste } from 'ink';
import { keysOf } from '../state/keys.ts';

/** Calls `press` with the name of each key, one by one, and `paste` with what the terminal pastes. */
export const useKeys = (press: (key: string) => void, paste: (text: string) => void): void => {
  useInput((input, key) => {
    for (const name of keysOf(input, key)) {
      press(name);
    }
  });
  usePaste(paste);
};
