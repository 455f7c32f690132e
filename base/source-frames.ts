import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Maps the frames of a stack to the source, if there is a source map beside the bundle. Done only when a
 * stack is printed: with --enable-source-maps Node reads every map at each start, which takes 60 ms.
 */
export const mapFrames = (stack: string): string => {
  const maps = new Map<string, SourceMap | undefined>();
  return stack.replace(/(file:\/\/\/[^\s():]+\.c?js):(\d+):(\d+)/g, (whole, url: string, line: string, column: string) => {
    if (!maps.has(url)) {
      maps.set(url, readMap(url));
    }
    // Lines and columns of a map begin at 0, those of a stack at 1.
    const entry = maps.get(url)?.findEntry(Number(line) - 1, Number(column) - 1);
    return entry !== undefined && 'originalSource' in entry && entry.originalSource
      ? `${entry.originalSource.replace(/^(\.\.\/)+/, '')}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
      : whole;
  });
};

const readMap = (url: string): SourceMap | undefined => {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')) as SourceMapPayload);
  } catch {
    // Without a map the position in the bundle stays.
    return undefined;
  }
};
