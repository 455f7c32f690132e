import { posix } from 'node:path';
import { HyprError } from '../../base/errors.ts';

/** A git repository, and which part of it to use. */
export interface GitSource {
  /** The URL passed to git, without credentials, query and fragment. */
  readonly remote: string;
  /** `user:password` of the URL; never shown. */
  readonly credentials: string | undefined;
  /** Branch, tag, `refs/…` or commit; undefined for HEAD. */
  readonly ref: string | undefined;
  /** Clean, relative; empty for the whole tree. */
  readonly subdir: string;
  /** The commit id, or its first digits, that the ref must resolve to. */
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean;
}

const SCP = /^[\w.-]+@[\w.-]+:(?!\/\/)/;
const HTTP = /^https?:\/\//i;
const QUERY_KEYS = ['ref', 'tag', 'branch', 'subdir', 'checksum', 'commit', 'keep-git-dir', 'submodules'];

/** Git sources as BuildKit tells them apart from files and plain URLs. */
export const isGitSource = (source: string): boolean =>
  /^(git|ssh):\/\//i.test(source) || SCP.test(source) || (HTTP.test(source) && /^[^?#]*\.git\/?($|[?#])/.test(source));

/** As for a build context, which may also be `github.com/user/repository`. */
export const isGitContext = (source: string): boolean => isGitSource(source) || source.startsWith('github.com/');

/**
 * `URL[#ref[:subdir]]` or `URL?ref=&tag=&branch=&subdir=&checksum=&commit=&keep-git-dir=&submodules=`, of git://, ssh://,
 * http(s)://….git, user@host:path and github.com/… . Throws HYPR_USAGE for queries that mean nothing or contradict.
 */
export const parseGitSource = (text: string): GitSource => {
  const [beforeHash = '', ...rest] = text.split('#');
  const fragment = rest.join('#');
  const mark = SCP.test(text) ? -1 : beforeHash.indexOf('?');
  const address = mark < 0 ? beforeHash : beforeHash.slice(0, mark);
  const { remote, credentials } = splitAddress(address.startsWith('github.com/') ? `https://${address}` : address);
  const query = readQuery(mark < 0 ? '' : beforeHash.slice(mark + 1), remote);
  const colon = fragment.indexOf(':');
  const inFragment = colon < 0 ? { ref: fragment, subdir: '' } : { ref: fragment.slice(0, colon), subdir: fragment.slice(colon + 1) };
  const ref = agree('ref', [
    inFragment.ref,
    query.get('ref'),
    withPrefix('refs/tags/', query.get('tag')),
    withPrefix('refs/heads/', query.get('branch')),
  ]);
  const checksum = agree('commit', [query.get('checksum'), query.get('commit')]);
  if (checksum !== undefined && !/^[0-9a-f]{7,64}$/.test(checksum)) {
    throw new HyprError(
      'HYPR_USAGE',
      `invalid checksum ${JSON.stringify(checksum)}: a commit, or at least its first 7 digits, is expected`,
    );
  }
  if (ref !== undefined && (ref.startsWith('-') || hasControl(ref))) {
    throw new HyprError('HYPR_USAGE', `${JSON.stringify(ref)} cannot be a git ref`);
  }
  return {
    remote,
    credentials,
    ref,
    subdir: posix.join('/', agree('subdir', [inFragment.subdir, query.get('subdir')]) ?? '').replace(/^\/+|\/+$/g, ''),
    checksum,
    keepGitDir: readFlag('keep-git-dir', query),
    submodules: readFlag('submodules', query) ?? true,
  };
};

/** The URL of a submodule, which may be relative to its parent repository (gitmodules(5)). Throws HYPR_USAGE. */
export const resolveSubmodule = (parent: string, url: string): string => {
  if (!/^\.\.?\//.test(url)) {
    return url;
  }
  const [, root = '', path = ''] = /^([a-z]+:\/\/[^/]+\/|[^:]+:)(.*)$/i.exec(parent) ?? [];
  return root + posix.join('/', path, url).slice(1);
};

/** A remote that may be passed to git, with http(s) credentials taken out. Throws HYPR_USAGE. */
export const splitAddress = (address: string): Pick<GitSource, 'remote' | 'credentials'> => {
  if (address.startsWith('-') || hasControl(address) || !(isKnownScheme(address) || SCP.test(address))) {
    throw new HyprError('HYPR_USAGE', `${JSON.stringify(address)} is not the URL of a git repository`, {
      hint: 'one looks like https://host/repository.git, ssh://git@host/path, git@host:path or git://host/path',
    });
  }
  if (!HTTP.test(address)) {
    const host = /^(?:[a-z]+:\/\/)?(?:[^@/]*@)?([^/:]*)/i.exec(address)?.[1] ?? '';
    if (host === '' || host.startsWith('-')) {
      throw new HyprError('HYPR_USAGE', `${JSON.stringify(address)} names no host`);
    }
    return { remote: address, credentials: undefined };
  }
  const url = parseUrl(address);
  const credentials = url.username === '' ? undefined : `${decode(url.username)}:${decode(url.password)}`;
  url.username = '';
  url.password = '';
  return { remote: url.href, credentials };
};

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

const isKnownScheme = (address: string): boolean => /^(https?|git|ssh):\/\//i.test(address);

const hasControl = (text: string): boolean => [...text].some((char) => char.charCodeAt(0) < 0x20 || char.charCodeAt(0) === 0x7f);

const parseUrl = (address: string): URL => {
  try {
    return new URL(address);
  } catch (error) {
    throw new HyprError('HYPR_USAGE', 'the URL of the git repository is not valid', { cause: error });
  }
};

const readQuery = (text: string, remote: string): URLSearchParams => {
  const query = new URLSearchParams(text);
  const unknown = [...query.keys()].find((key) => !QUERY_KEYS.includes(key));
  if (unknown !== undefined) {
    throw new HyprError('HYPR_USAGE', `unexpected query ${JSON.stringify(unknown)} in the git URL ${remote}`, {
      hint: `known are: ${QUERY_KEYS.join(', ')}`,
    });
  }
  return query;
};

const withPrefix = (prefix: string, name: string | null): string | null => (name ? prefix + name.replace(prefix, '') : null);

/** The value of a setting that may be given in several forms, which must agree. */
const agree = (what: string, values: ReadonlyArray<string | null>): string | undefined => {
  const [first, ...others] = new Set(values.filter((value): value is string => value !== null && value !== ''));
  if (others[0] !== undefined) {
    throw new HyprError('HYPR_USAGE', `${what} conflicts in the git URL: ${JSON.stringify(first)} vs ${JSON.stringify(others[0])}`);
  }
  return first;
};

const readFlag = (name: string, query: URLSearchParams): boolean | undefined => {
  const text = query.get(name);
  if (text === null) {
    return undefined;
  }
  if (!/^(|1|0|t|f|true|false)$/i.test(text)) {
    throw new HyprError('HYPR_USAGE', `invalid ${name} value in the git URL: ${JSON.stringify(text)}`);
  }
  return !/^(0|f|false)$/i.test(text);
};
