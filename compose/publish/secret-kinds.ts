/** A kind of credential that is known by its form: docker compose's word for it, and the form. */
interface SecretKind {
  readonly type: string;
  /** Forms of a whole value, or of a line of it. */
  readonly forms: readonly RegExp[];
  /** Further test of what has the form. */
  readonly isOne?: (value: string) => boolean;
}

/** Shannon entropy in bits per character, from which a token of no known form counts as a secret. */
const MUCH_ENTROPY = 5;

const entropy = (text: string): number => {
  const counts = new Map<string, number>();
  for (const character of text) {
    counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  return [...counts.values()].reduce((sum, count) => sum - (count / text.length) * Math.log2(count / text.length), 0);
};

/** RFC 7519: three parts, of which the first is JSON with an algorithm. */
const isJwt = (value: string): boolean => {
  try {
    const header = JSON.parse(Buffer.from(value.split('.')[0] ?? '', 'base64url').toString()) as { alg?: unknown };
    return typeof header.alg === 'string';
  } catch {
    return false;
  }
};

const PEM = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]{4,}?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----/;

/** The first kind that fits decides. The forms are those that the issuers document. */
export const SECRET_KINDS: readonly SecretKind[] = [
  { type: 'JFrog Artifactory credentials', forms: [/AKC[a-zA-Z0-9]{10,}/] },
  { type: 'AWS Client ID', forms: [/(?:A3T[A-Z0-9]|A(?:KI|GP|ID|RO|IP|NP|NV|SI)A)[A-Z0-9]{16}/] },
  { type: 'AWS Secret Key', forms: [/(?:aws|AWS).{0,20}['"][0-9a-zA-Z/+]{40}['"]/] },
  { type: 'Amazon Marketplace Web Service (MWS) Key', forms: [/amzn\.mws\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/] },
  { type: 'Azure Storage Account access key', forms: [/(?:AccountKey=)?[a-zA-Z0-9+/]{86}==/] },
  { type: 'HTTP Basic Authentication', forms: [/(?:authorization *[:=] *)?basic +[a-zA-Z0-9+/_-]{6,}={0,2}/i] },
  { type: 'HTTP Bearer Authentication', forms: [/(?:authorization *[:=] *)?bearer +[a-zA-Z0-9+/_.=-]{16,}/i] },
  { type: 'Github authentication', forms: [/gh[oprsu]_[A-Za-z0-9_]{36}/, /github_pat_[A-Za-z0-9_]{22,}/] },
  { type: 'JSON Web Token', forms: [/eyJ[\w=-]+\.eyJ[\w=-]+\.?[\w.+/=-]*/], isOne: isJwt },
  { type: 'Mailchimp API Key', forms: [/[0-9a-f]{32}-us[0-9]{1,2}/] },
  { type: 'npm auth token', forms: [/npm_[a-zA-Z0-9]{36}/, /\/\/\S+\/:_authToken=[^${\s]\S+/] },
  { type: 'Private Key', forms: [PEM, /PuTTY-User-Key-File-\S+/] },
  { type: 'Sendgrid API key', forms: [/SG\.[\w-]{22}\.[\w-]{43}/] },
  {
    type: 'Slack token',
    forms: [/(?:(?:xoxe\.)?xox[abeoprs]|xapp)-\d+-[-a-zA-Z0-9]+/, /https:\/\/hooks\.slack\.com\/services\/T\w+\/B\w+\/\w+/],
  },
  { type: 'Square authentication', forms: [/sq0atp-[\w-]{22}/, /sq0csp-[\w-]{43}/] },
  { type: 'Stripe API key', forms: [/[rs]k_(?:live|test)_[0-9a-zA-Z]{24,}/] },
  { type: 'Twilio authentication', forms: [/(?:AC|SK)[0-9a-fA-F]{32}/] },
  { type: 'URL with password', forms: [/[a-z][a-z0-9+.-]+:\/\/[^:\s]+:[^@:\s${]+@[^\s'"\];]+/] },
  {
    type: 'High entropy string',
    forms: [/[a-zA-Z0-9+/_-]{16,}={0,2}/],
    isOne: (value) => entropy(value) > MUCH_ENTROPY,
  },
];

/** Names that people give to secrets, anywhere in a key. */
export const SUSPICIOUS_KEY =
  /api_?key|auth_?key|service_?key|account_?key|db_?key|database_?key|priv_?key|private_?key|client_?key|db_?pass|database_?pass|key_?pass|password|passwd|pwd|secret|contraseña|contrasena|token|credential/i;

/** A value that is written out: three characters or more, and no variable. */
export const isLiteral = (value: string): boolean => /^[^${\s].+[^}\s]$/m.test(value.replaceAll('$$', 'X').trim());
