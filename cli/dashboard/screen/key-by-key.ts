const PASTE_START = '\u001b[200~';
const PASTE_END = '\u001b[201~';
/** What one key sends: an Escape with what belongs to it (ECMA-48: CSI … final, SS3, Alt), or a character. */
const ONE_KEY = /^(?:\u001b(?:\[[0-?]*[ -/]*[@-~]|O.|[^[O])?|.)/su;

/** Input for Ink, key by key. */
export interface KeyByKey {
  readonly stdin: NodeJS.ReadStream;
  /** Gives back what was read and belongs to no key that was pressed here: it is for whoever reads next. */
  close(): void;
}

/**
 * A terminal hands over all that was typed since the last read in one piece. Ink would take all of it, also what was typed behind a
 * key that gives the terminal away: `e` and a command for the shell. Here it gets one key at a time, and the rest stays in the stream.
 */
export const keyByKey = (stdin: NodeJS.ReadStream): KeyByKey => {
  let rest = '';
  let isPasting = false;
  let isClosed = false;
  const read = (): string | null => {
    if (isClosed) {
      return null;
    }
    rest ||= String(stdin.read() ?? '');
    isPasting ||= rest.startsWith(PASTE_START);
    const length = isPasting ? pastedLength(rest) : (ONE_KEY.exec(rest)?.[0].length ?? 0);
    isPasting &&= !rest.slice(0, length).endsWith(PASTE_END);
    const key = rest.slice(0, length);
    rest = rest.slice(length);
    return key === '' ? null : key;
  };
  return {
    stdin: new Proxy(stdin, {
      get: (target, name) => {
        const value: unknown = name === 'read' ? read : Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
    close: () => {
      isClosed = true;
      if (rest !== '') {
        stdin.unshift(rest);
        rest = '';
      }
    },
  };
};

/** To the end of what is pasted, or all that is here of it. */
const pastedLength = (text: string): number => {
  const end = text.indexOf(PASTE_END);
  return end < 0 ? text.length : end + PASTE_END.length;
};
