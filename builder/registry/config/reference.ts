import { HyprError } from '../../../base/errors.ts';

/** A fully qualified image reference (distribution's reference grammar, docker's defaults). */
export interface Reference {
  /** docker.io, ghcr.io, 127.0.0.1:5000 … */
  readonly domain: string;
  /** library/nginx */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const DOMAIN =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const MAX_NAME = 255;
const HUB = 'docker.io';

/**
 * Parses a reference as docker does: `nginx` is docker.io/library/nginx; the part before the first slash is the registry
 * if it looks like a host (a dot, a colon, `localhost`). Adds the tag `latest` if there is neither tag nor digest.
 * Throws IMAGE_REFERENCE.
 */
export const parseReference = (text: string): Reference => {
  const reference = parseParts(text);
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: 'latest' } : reference;
};

const parseParts = (text: string): Reference => {
  const [head, digest] = splitAt(text, text.indexOf('@'));
  const colon = head.lastIndexOf(':');
  const [name, tag] = colon > head.lastIndexOf('/') ? splitAt(head, colon) : [head, undefined];
  if (tag !== undefined && !TAG.test(tag)) {
    throw invalid(text, `${JSON.stringify(tag)} is not a tag`);
  }
  if (digest !== undefined && !(DIGEST.test(digest) && (!digest.startsWith('sha256:') || /^sha256:[0-9a-f]{64}$/.test(digest)))) {
    throw invalid(text, `${JSON.stringify(digest)} is not a digest`);
  }
  if (/^[0-9a-f]{64}$/.test(name)) {
    throw invalid(text, 'it could be an image id');
  }
  return { ...parseName(text, name), tag, digest };
};

const parseName = (text: string, name: string): { domain: string; path: string } => {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const hasDomain = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const domain = !hasDomain || first === 'index.docker.io' ? HUB : first;
  const rest = hasDomain ? name.slice(slash + 1) : name;
  const path = domain === HUB && !rest.includes('/') ? `library/${rest}` : rest;
  if (name === '' || !DOMAIN.test(domain) || !PATH.test(path)) {
    throw invalid(text, name === name.toLowerCase() ? undefined : 'repository name must be lowercase');
  }
  if (domain.length + 1 + path.length > MAX_NAME) {
    throw invalid(text.slice(0, 64), `it has more than ${MAX_NAME} characters`);
  }
  return { domain, path };
};

/** docker.io/library/nginx:1.26, docker.io/library/nginx@sha256:… */
export const formatReference = (reference: Reference): string => `${reference.domain}/${reference.path}${suffix(reference)}`;

/** The familiar form: nginx:1.26, ghcr.io/a/b:1. */
export const familiarReference = (reference: Reference): string => familiarName(reference) + suffix(reference);

export const familiarName = ({ domain, path }: Reference): string => {
  if (domain !== HUB) {
    return `${domain}/${path}`;
  }
  const short = path.replace(/^library\//, '');
  return short.includes('/') ? path : short;
};

/** The repository, without tag and digest: docker.io/library/nginx. */
export const repositoryName = ({ domain, path }: Reference): string => `${domain}/${path}`;

const suffix = ({ tag, digest }: Reference): string => `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;

const splitAt = (text: string, index: number): [string, string | undefined] =>
  index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];

const invalid = (text: string, why: string | undefined): HyprError =>
  new HyprError('IMAGE_REFERENCE', `invalid reference format: ${JSON.stringify(text)}${why === undefined ? '' : ` (${why})`}`, {
    hint: 'write it as [registry/]name[:tag] or [registry/]name@sha256:…',
  });
