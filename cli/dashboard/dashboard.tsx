import { Box, Text, useInput } from 'ink';
import { useSyncExternalStore } from 'react';
import { handleKey } from './control.ts';
import { lastPageTop } from './draw-pages.ts';
import type { Effects } from './effects.ts';
import type { Look } from './screen/look.ts';
import { drawScreen, logRows } from './screen.ts';
import { nameOfKey } from './state/keys.ts';
import type { DashboardModel } from './state/model.ts';

export interface DashboardProps {
  readonly model: DashboardModel;
  readonly look: Look;
  readonly effects: Effects;
}

/** Rows of finished text: React and Ink only get what is visible. */
export const Dashboard = ({ model, look, effects }: DashboardProps) => {
  useSyncExternalStore(model.subscribe, model.getVersion);
  useInput((input, key) => {
    const name = nameOfKey(input, key);
    if (name !== '') {
      handleKey({ model, effects, page: logRows(look), lastPageTop: () => lastPageTop(model, look, look.rows - 3) }, name);
    }
  });
  return (
    <Box flexDirection="column" height={look.rows - 1} width={look.columns}>
      {drawScreen(model, look).map((line, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its index
        <Text key={row} wrap="truncate">
          {line === '' ? ' ' : line}
        </Text>
      ))}
    </Box>
  );
};
