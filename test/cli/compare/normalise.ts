/** What is never the same twice becomes the same: ids, times, ages, sizes, ports that were free, folders. `cwd`: the folder of the commands. */
export const normalise = (text: string, cwd: string): string =>
  RULES.reduce((now, [pattern, put]) => now.replace(pattern, put), text.replaceAll(cwd, '<cwd>'))
    .split('\n')
    .map((line) => line.trimEnd().replace(/ {2,}/g, '  '))
    .join('\n')
    .trimEnd();

const RULES: ReadonlyArray<readonly [RegExp, string]> = [
  // Of a dockerd that was told to leave its host's settings alone.
  [/^(WARNING: )?IPv4 forwarding is disabled\. Networking will not work\.$\n?/gm, ''],
  [/\b(sha256:)?[0-9a-f]{64}\b/g, '$1<id>'],
  [/\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b/g, '<id>'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d)?( [A-Z]{3,4})?/g, '<time>'],
  [/(\b(a|an|about an?|less than a|\d+) )(second|minute|hour|day|week|month|year)s?\b/gi, '<age>'],
  [/\b\d+(\.\d+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)\b/g, '<size>'],
  [/\b127\.0\.0\.1:\d{4,5}\b/g, '127.0.0.1:<port>'],
];

/** What kind of failure a text of standard error tells; undefined where it tells none that scripts look for. */
export const errorClass = (stderr: string): string | undefined => CLASSES.find(([, pattern]) => pattern.test(stderr))?.[0];

const CLASSES: ReadonlyArray<readonly [string, RegExp]> = [
  ['flag', /unknown (shorthand )?flag|unknown option|flag needs an argument|argument missing/i],
  [
    'arguments',
    /requires (at least|exactly|at most)? ?\d* ?arguments?|accepts no arguments|needs (an|at least \d+) arguments?|does not know what to do with/i,
  ],
  ['template', /template/i],
  ['conflict', /already (in use|exists)|conflict|is in use|is used by|being used|has active endpoints|cannot remove/i],
  ['not running', /is not running|not running|already paused|is not paused/i],
  [
    'not found',
    /no such|not found|ENOTFOUND|is not in the store|unable to find|does not exist|could not (find|be found)|there is no\b|cannot find/i,
  ],
  ['invalid', /invalid|not a valid|is not valid|is not an? \w+ (subnet|address)|must be|wants\b|does not know/i],
];
