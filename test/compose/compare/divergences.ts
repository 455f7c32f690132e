import type { Answer } from './reference.ts';

/** What the allow-list judges: a case and both answers. */
export interface Difference {
  readonly args: readonly string[];
  readonly input: string;
  readonly ours: Answer;
  readonly theirs: Answer;
}

/** The reference refuses with words like these, and we do not. */
const refuses =
  (pattern: RegExp) =>
  ({ ours, theirs }: Difference): boolean =>
    ours.code === 0 && theirs.code !== 0 && pattern.test(theirs.stderr);

/** We refuse with words like these, and the reference does not. */
const weRefuse =
  (pattern: RegExp) =>
  ({ ours, theirs }: Difference): boolean =>
    ours.code !== 0 && theirs.code === 0 && pattern.test(ours.stderr);

/**
 * The rows of docs/compose-divergences.md by their name there. Each speaks of one known difference and
 * of nothing else, as narrowly as the texts allow.
 */
export const DIVERGENCES: Readonly<Record<string, (difference: Difference) => boolean>> = {
  'newer-schema': refuses(
    /required must be a boolean|restart must be a boolean|pre_start|no_cache_filter|ipam additional properties 'options'|models\.\S+ must be/,
  ),
  'negative-size': refuses(/invalid size: '-/),
  'ulimit-text': refuses(/ulimits\.\S+: invalid type string for external/),
  'blkio-text': refuses(/blkio_config\.\S+' expected type 'u?int\d+', got unconvertible type 'string'/),
  'empty-variable': ({ args, ours, theirs }) =>
    args.includes('--variables') && withoutLines(theirs.stdout, /^\s+(true|false)/) === withoutLines(ours.stdout, /^\s+(true|false)/),
  'ipam-merge': ({ input, ours, theirs }) =>
    input.split('ipam').length > 2 && POOLS.test(theirs.stdout) && withoutLines(ours.stdout, POOLS) === withoutLines(theirs.stdout, POOLS),
  crash: refuses(/cmd\/main\.go:\d+ \+0x|panic: /),
  'unselected-files': (difference) => /^[a-c]$/.test(difference.args.at(-1) ?? '') && refuses(UNREAD)(difference),
  'unread-files': (difference) => difference.args.some((arg) => LISTING.test(arg)) && refuses(UNREAD)(difference),
  'variables-build': (difference) =>
    difference.args.includes('--variables') && refuses(/\.build: invalid type \S+( \S+)? for build/)(difference),
  'build-list': weRefuse(/build is a mapping in \S+ and must be a mapping here/),
  'empty-device': weRefuse(/devices\[\d+\] has no target/),
  'include-types': weRefuse(/project_directory must be text/),
};

/** Without a name there are two blanks. */
const UNREAD = /(env|label)[ _]file|failed to read .* is a directory/;
const LISTING = /^--(services|volumes|networks|images|profiles|models|environment|no-env-resolution)$/;

const POOLS = /subnet|ip_range|gateway"?:|aux_addresses|"?h"?: "?172|^\s*[{}],?$/;

const withoutLines = (text: string, pattern: RegExp): string =>
  text
    .split('\n')
    .filter((line) => !pattern.test(line))
    .sort()
    .join('\n');

/** The row that explains a difference, if any. */
export const explainDifference = (difference: Difference): string | undefined =>
  Object.entries(DIVERGENCES).find(([, matches]) => matches(difference))?.[0];
