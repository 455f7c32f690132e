/**
 * Cleans text from guests, images and registries for a terminal. An escape sequence in it could move
 * the cursor, rename the window, or write to the clipboard (ECMA-48, xterm's ctlseqs), so all are removed
 * except a few that are known to be harmless.
 */

// One alternative per family: CSI, string sequences (OSC, DCS, SOS, PM, APC) to their end or the end of
// the text, other escapes. The C1 forms (0x80-0x9f) are control characters and handled below.
const SEQUENCE = /\u001b\[[0-?]*[ -/]*[@-~]?|\u001b[\]PX^_](?:[^\u0007\u001b]|\u001b(?!\\))*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]?/g;
const SGR = /^\u001b\[[\d;:]*m$/;
const LINK = /^\u001b\]8;[\w=:-]*;((?:https?|file|mailto):[^\s\u0000-\u001f\u007f-\u009f]*)?(?:\u0007|\u001b\\)$/;
const CONTROL = /[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f]/g;
const CONTROL_AND_TAB = /[\u0000-\u001f\u007f-\u009f]/g;
// Bidirectional overrides and isolates can make a name read as another one (Unicode TR 36).
const BIDI = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const PLAIN = /^[\u0020-\u007e]*$/;
const CLOSE_LINK = '\u001b]8;;\u001b\\';

/** For names, references, messages: no escape sequence, no control character, one line. */
export const sanitiseName = (text: string): string =>
  PLAIN.test(text)
    ? text
    : text
        .replace(SEQUENCE, '')
        .replace(/[\r\n\t]+/g, ' ')
        .replace(CONTROL_AND_TAB, '')
        .replace(BIDI, '');

/** For text of several lines (error details): as `sanitiseName`, line breaks and tabs kept. */
export const sanitiseText = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.split('\t').map(sanitiseName).join('\t'))
    .join('\n');

/**
 * For one log line: colours (SGR) and hyperlinks (OSC 8) stay and are closed at the end. Carriage
 * returns are applied as a terminal would. All other control sequences are removed.
 */
export const sanitiseLog = (line: string, options: { readonly color?: boolean } = {}): string => {
  if (PLAIN.test(line)) {
    return line;
  }
  const visible = lastOverwrite(line);
  let styled = false;
  let linked = false;
  const clean = visible.replace(SEQUENCE, (sequence) => {
    if (options.color === false) {
      return '';
    }
    if (SGR.test(sequence)) {
      styled = true;
      return sequence;
    }
    if (LINK.test(sequence)) {
      linked = true;
      // The bell that may end a link is a control character, which the last step removes.
      return sequence.replace('\u0007', '\u001b\\');
    }
    return '';
  });
  // All other sequences are removed, so any remaining ESC starts one of ours.
  return `${clean.replace(CONTROL, '')}${linked ? CLOSE_LINK : ''}${styled ? '\u001b[0m' : ''}`;
};

const lastOverwrite = (line: string): string => {
  const text = line.replace(/\r+$/, '');
  return text.slice(text.lastIndexOf('\r') + 1);
};
