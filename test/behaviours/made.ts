import { expect } from 'vitest';
import type { Made } from './workshop.ts';

/** A build that must have succeeded. */
export const built = (made: Made): Made => {
  expect(made.code, made.stderr).toBe(0);
  return made;
};
/** A build that must have failed, and said so. */
export const refused = (made: Made, ...says: string[]): void => {
  expect(made.code, made.stderr).toBe(1);
  for (const text of says) {
    expect(made.stderr).toContain(text);
  }
};
/** Steps of the plain log that came out of the cache, by their text. */
export const cached = ({ stderr }: Made): string[] =>
  [...stderr.matchAll(/^#(\d+) CACHED$/gm)].map(([, id]) => new RegExp(`^#${id} \\[.*?\\] (.*)$`, 'm').exec(stderr)?.[1] ?? '');
