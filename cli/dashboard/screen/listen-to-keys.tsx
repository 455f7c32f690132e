import { Writable } from 'node:stream';
import { Box, render } from 'ink';
import { useKeys } from './use-keys.ts';

export interface Listener {
  readonly press: (key: string) => void;
  readonly paste: (text: string) => void;
}

/** Reads keys as a screen does, and draws nothing. Gives what ends it. */
export const listenToKeys = (stdin: NodeJS.ReadStream, listener: Listener): (() => void) => {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const app = render(<Keys {...listener} />, {
    stdin,
    stdout: nowhere as NodeJS.WriteStream,
    stderr: nowhere as NodeJS.WriteStream,
    exitOnCtrlC: false,
    interactive: true,
    patchConsole: false,
    isScreenReaderEnabled: false,
  });
  return () => app.unmount();
};

const Keys = ({ press, paste }: Listener) => {
  useKeys(press, paste);
  return <Box />;
};
