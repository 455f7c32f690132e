/**
 * A paragraph of deb822(5): `Name: value`, continued by lines that begin with a space or a tab, which are kept with their line breaks.
 * Pure.
 */
export const parseParagraph = (text: string): Record<string, string> => {
  const fields: Record<string, string> = {};
  let name: string | undefined;
  for (const line of text.split('\n')) {
    const start = /^([!-9;-~]+):[ \t]*(.*?)\s*$/.exec(line);
    if (start?.[1] !== undefined) {
      name = start[1];
      fields[name] = start[2] ?? '';
    } else if (name !== undefined && /^[ \t]/.test(line)) {
      fields[name] += `\n${line}`;
    }
  }
  return fields;
};

/** The paragraphs of a stream of text, which empty lines separate. `most` is how many characters one may have. */
export async function* readParagraphs(source: AsyncIterable<Uint8Array>, most = 1 << 20): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of source) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split(/\n{2,}/);
    rest = parts.pop() ?? '';
    if (rest.length > most) {
      throw new RangeError('a paragraph of the index is too long');
    }
    yield* parts.filter((part) => part.trim() !== '');
  }
  if (rest.trim() !== '') {
    yield rest;
  }
}
