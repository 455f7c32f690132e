import { handlePaste } from './control.ts';
import type { DashboardProps } from './dashboard.tsx';
import { pressKey } from './dashboard.tsx';
import { listenToKeys } from './screen/listen-to-keys.tsx';
import { Speaker } from './speaker.ts';

/** The dashboard for a screen reader: its keys, and lines of what changes. Gives what ends it. */
export const speak = (props: DashboardProps, stdin: NodeJS.ReadStream, write: (text: string) => void): (() => void) => {
  const { model } = props;
  const speaker = new Speaker(model, write);
  const unsubscribe = model.subscribe(() => speaker.tell());
  const unlisten = listenToKeys(stdin, { press: (key) => pressKey(props, key), paste: (text) => handlePaste({ model }, text) });
  speaker.begin();
  return () => {
    unsubscribe();
    unlisten();
  };
};
