import sliceAnsi from 'slice-ansi';
import stringWidth from 'string-width';

const ASCII = /^[\u0020-\u007e]*$/;

/** Frames are full of these, each one column wide; what else there is, is measured, and that is fifty times slower. */
const NARROW = /^[\u0020-\u007e\u00b7\u00d7\u2026\u203a\u2190-\u2193\u2500-\u25fc]*$/;
const COLOURS = /\u001b\[[\d;]*m/g;

/** Columns that text takes on a terminal; escape sequences take none. */
export const widthOf = (text: string): number => {
  if (ASCII.test(text)) {
    return text.length;
  }
  const plain = text.replace(COLOURS, '');
  return NARROW.test(plain) ? plain.length : stringWidth(text);
};

/** At most `width` columns of text. */
export const cut = (text: string, width: number): string => {
  if (ASCII.test(text)) {
    return text.length <= width ? text : text.slice(0, Math.max(0, width));
  }
  if (widthOf(text) <= width) {
    return text;
  }
  const slice = sliceAnsi(text, 0, Math.max(0, width));
  // The slice keeps a wide character that crosses the edge, so it is removed.
  return widthOf(slice) <= width ? slice : sliceAnsi(text, 0, Math.max(0, width - 1));
};

/** At most `width` columns of text, and a sign at the end of what is cut. */
export const shorten = (text: string, width: number, unicode: boolean): string => {
  if (width <= 0 || widthOf(text) <= width) {
    return cut(text, width);
  }
  return `${cut(text, width - 1)}${unicode ? '…' : '~'}`;
};

/** `left` and `right` at the two ends of a line; `left` is cut if they do not fit, with a sign where `unicode` is given. */
export const spread = (left: string, right: string, width: number, unicode?: boolean): string => {
  const room = Math.max(0, width - widthOf(right) - 1);
  const shown = unicode === undefined ? cut(left, room) : shorten(left, room, unicode);
  return `${shown}${' '.repeat(Math.max(right === '' ? 0 : 1, width - widthOf(shown) - widthOf(right)))}${right}`;
};
