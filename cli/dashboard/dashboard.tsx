import { Box, Text } from 'ink';
import { useMemo, useSyncExternalStore } from 'react';
import { handleKey, handlePaste } from './control.ts';
import { lastPageTop } from './draw/draw-pages.ts';
import { drawScreen, logRows } from './draw/draw-screen.ts';
import type { Effects } from './effects.ts';
import type { Look } from './screen/look.ts';
import { useKeys } from './screen/use-keys.ts';
import type { DashboardModel } from './state/model.ts';

export interface DashboardProps {
  readonly model: DashboardModel;
  readonly look: Look;
  readonly effects: Effects;
  /** False once it is left, and while the terminal is lent: keys that came in one piece with the one that did it mean nothing here. */
  readonly takesKeys?: () => boolean;
}

/** Rows of finished text: React and Ink only get what is visible. */
export const Dashboard = (props: DashboardProps) => {
  const { model, look } = props;
  const frame = useMemo(() => frames(model, look), [model, look]);
  const text = useSyncExternalStore(model.subscribe, frame);
  useKeys(
    (key) => pressKey(props, key),
    (text) => handlePaste({ model }, text),
  );
  return (
    <Box flexDirection="column" height={look.rows - 1} width={look.columns}>
      {text.split('\n').map((line, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its index
        <Text key={row} wrap="truncate">
          {line === '' ? ' ' : line}
        </Text>
      ))}
    </Box>
  );
};

/**
 * The text of the screen, drawn once for each version of the model. React compares it: a sample of usage that changes no digit
 * costs no frame, all night long.
 */
const frames = (model: DashboardModel, look: Look): (() => string) => {
  let drawn: { readonly version: number; readonly text: string } | undefined;
  return () => {
    const version = model.getVersion();
    if (drawn?.version !== version) {
      drawn = { version, text: drawScreen(model, look).join('\n') };
    }
    return drawn.text;
  };
};

/** Does what a key does in a dashboard of this size, if it takes any. */
export const pressKey = ({ model, look, effects, takesKeys = () => true }: DashboardProps, key: string): void => {
  if (takesKeys()) {
    handleKey({ model, effects, page: logRows(look), lastPageTop: () => lastPageTop(model, look, look.rows - 3) }, key);
  }
};
