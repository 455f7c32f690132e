/**
 * Names of files as text. Linux's names are bytes: those that are not UTF-8 stand for themselves as single surrogates,
 * U+DC80 to U+DCFF (as Python's surrogateescape does), so that nothing of a name is lost on the way through.
 */
export const decodeName = (bytes: Buffer): string => {
  const text = bytes.toString('utf8');
  return text.includes('\ufffd') && !Buffer.from(text).equals(bytes) ? decodeOdd(bytes) : text;
};

export const encodeName = (name: string): Buffer => (isOddName(name) ? encodeOdd(name) : Buffer.from(name));

/** Whether a name is not UTF-8; then it is no text for anything but these functions. */
export const isOddName = (name: string): boolean => !name.isWellFormed();

const LONGEST = 4;

const decodeOdd = (bytes: Buffer): string => {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const char = decodeOne(bytes, at);
    text += char?.text ?? String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
    at += char?.length ?? 1;
  }
  return text;
};

const decodeOne = (bytes: Buffer, at: number): { readonly text: string; readonly length: number } | undefined => {
  for (let length = 1; length <= LONGEST && at + length <= bytes.length; length++) {
    const part = bytes.subarray(at, at + length);
    const text = part.toString('utf8');
    if (Buffer.from(text).equals(part)) {
      return { text, length };
    }
  }
  return undefined;
};

const encodeOdd = (name: string): Buffer =>
  Buffer.concat(
    Array.from(name, (char) => {
      const code = char.codePointAt(0) ?? 0;
      return code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(char);
    }),
  );
