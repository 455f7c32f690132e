export interface Secrets {
  /** The user's home folder, shown as `~`. */
  readonly home: string;
  /** Values that are known to be nobody's business: those of environment variables, of secrets, of the file. */
  readonly values: Iterable<string>;
}

const HIDDEN = '[hidden]';
/** Shorter ones (`1`, `true`, `prod`) would hide half of the text, and are guessed as fast as they are read. */
const LEAST = 6;
const NAMES =
  'pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|auth(?:orization)?|cookie|session';

const PATTERNS: ReadonlyArray<readonly [RegExp, string]> = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
  // user:password@ of a URL.
  [/((?<![\w+.-])[\w+.-]{1,64}:\/\/)[^\s/@:]{0,256}:[^\s/@]{1,1024}@/gi, `$1${HIDDEN}@`],
  [/\b(Bearer|Basic)\s+[\w+/=.~-]{6,}/gi, `$1 ${HIDDEN}`],
  // JWT, and tokens whose first letters say what they are: AWS, GitHub, GitLab, Slack, Stripe, npm.
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, HIDDEN],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, HIDDEN],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk_live_|sk-|npm_)[\w-]{8,}/g, HIDDEN],
  // NAME=value and "name": "value", where the name says that the value is a secret.
  [new RegExp(`((?:${NAMES})[\\w.-]{0,64}["']?\\s{0,16}[:=]\\s{0,16})("(?:[^"\\\\]|\\\\.)*"|'[^']*'|[^\\s,;&"']+)`, 'gi'), `$1${HIDDEN}`],
];

/** Text without secrets: known values, and whatever looks like one. */
export const redactText = (text: string, { home, values }: Secrets): string => {
  const known = [...new Set(values)].filter((value) => value.length >= LEAST).sort((a, b) => b.length - a.length);
  const without = known.reduce((all, value) => {
    const inJson = JSON.stringify(value).slice(1, -1);
    return all.replaceAll(value, HIDDEN).replaceAll(inJson, HIDDEN);
  }, text);
  const plain = PATTERNS.reduce((all, [pattern, hidden]) => all.replace(pattern, hidden), without);
  return home.length > 1 ? plain.replaceAll(home, '~') : plain;
};
