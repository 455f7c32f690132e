import { Box, render, Text } from 'ink';
import { useSyncExternalStore } from 'react';
import type { Invocation } from '../../core/command-spec.ts';
import { createPaint, isSpoken } from '../../core/style.ts';
import { Screen } from './alternate-screen.ts';
import { listenToKeys } from './listen-to-keys.tsx';
import { type Look, lookOf } from './look.ts';
import { RowTeller } from './tell-rows.ts';
import { useKeys } from './use-keys.ts';

/** A screen that is rows of text: its state, and what a key does to it. */
export abstract class RowsScreen<State extends object> {
  readonly #listeners = new Set<() => void>();
  #state: State;

  constructor(initial: State) {
    this.#state = initial;
  }

  /** At most rows−1 lines. */
  abstract draw(look: Look): string[];
  /** Named as by `keysOf`. */
  abstract press(key: string): void;

  // Both are bound: React calls them without the object.
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly get = (): State => this.#state;

  protected change(part: Partial<State>): void {
    this.#state = { ...this.#state, ...part };
    for (const listener of this.#listeners) {
      listener();
    }
  }
}

/** Shows the rows on the alternate screen until the promise settles; the normal screen is restored by then. */
export const showRows = async <T, State extends object>(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  rows: RowsScreen<State>,
  until: Promise<T>,
): Promise<T> => {
  const screen = new Screen(context, (stdin) => {
    if (isSpoken(context)) {
      return speakRows(rows, stdin, (text) => context.stdout.write(text));
    }
    const look = lookOf(context, flags);
    const app = render(<Rows rows={rows} look={look} />, {
      stdin,
      stdout: context.stdout as NodeJS.WriteStream,
      exitOnCtrlC: false,
      interactive: true,
    });
    return () => app.unmount();
  });
  screen.enter();
  try {
    return await until;
  } finally {
    screen.leave();
    // Whoever reads the terminal next begins in a turn of its own (borrow.ts).
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** Wide and high enough that nothing is cut. */
const SPOKEN: Look = { paint: createPaint(false), color: false, unicode: false, columns: 1000, rows: 1000 };

const speakRows = <State extends object>(
  rows: RowsScreen<State>,
  stdin: NodeJS.ReadStream,
  write: (text: string) => void,
): (() => void) => {
  const teller = new RowTeller(write);
  const tell = (): void => teller.tell(rows.draw(SPOKEN));
  tell();
  const unsubscribe = rows.subscribe(tell);
  const unlisten = listenToKeys(stdin, { press: (key) => rows.press(key), paste: () => {} });
  return () => {
    unsubscribe();
    unlisten();
  };
};

const Rows = <State extends object>({ rows, look }: { readonly rows: RowsScreen<State>; readonly look: Look }) => {
  useSyncExternalStore(rows.subscribe, rows.get);
  useKeys(
    (key) => rows.press(key),
    () => {},
  );
  return (
    <Box flexDirection="column">
      {rows.draw(look).map((line, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its index
        <Text key={row} wrap="truncate">
          {line === '' ? ' ' : line}
        </Text>
      ))}
    </Box>
  );
};
