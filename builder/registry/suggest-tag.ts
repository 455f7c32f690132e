import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { Repository } from './client.ts';
import { familiarReference, type Reference } from './config/reference.ts';

const PATIENCE = 3000;
const MAX_DISTANCE = 2;

/**
 * Adds a similar existing tag to the hint of the "tag does not exist" error. Returns any other error, or one without a
 * similar tag, unchanged.
 */
export const suggestTag = async (error: unknown, repository: Repository, reference: Reference, signal: AbortSignal): Promise<unknown> => {
  const { tag } = reference;
  if (!(error instanceof HyprError) || error.code !== 'IMAGE_NOT_FOUND' || error.hint !== 'check the tag' || tag === undefined) {
    return error;
  }
  try {
    const tags = await withDeadline({ ms: PATIENCE, what: 'the list of tags', signal }, () => repository.tags());
    const near = nearestTag(tag, tags);
    const hint = near === undefined ? 'check the tag' : `there is ${familiarReference({ ...reference, tag: near, digest: undefined })}`;
    return new HyprError(error.code, error.message, { hint, details: error.details, cause: error });
  } catch {
    // The suggestion is optional: the error itself is already known.
    return error;
  }
};

/** The tag with the smallest edit distance, or else the longest one that begins alike. */
export const nearestTag = (wanted: string, tags: readonly string[]): string | undefined => {
  const ranked = tags
    .slice(0, 1000)
    .map((tag) => ({ tag, score: tag.startsWith(wanted) || wanted.startsWith(tag) ? 1 : distance(wanted, tag) }))
    .filter(({ score }) => score <= MAX_DISTANCE)
    .sort((a, b) => a.score - b.score || b.tag.length - a.tag.length);
  return ranked[0]?.tag;
};

/** Levenshtein distance. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
};
