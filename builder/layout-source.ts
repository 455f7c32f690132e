import { resolve } from 'node:path';
import { HyprError } from '../base/errors.ts';

/** An image of an OCI layout folder, as `docker buildx build --build-context` names it. */
export interface LayoutSource {
  readonly folder: string;
  /** undefined: `latest`, or the only one there is. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const SCHEME = 'oci-layout://';

/** `oci-layout://FOLDER[:TAG][@sha256:…]`; undefined for anything else. Throws HYPR_USAGE. */
export const parseLayoutSource = (text: string): LayoutSource | undefined => {
  if (!text.startsWith(SCHEME)) {
    return undefined;
  }
  const [, folder = '', tag, digest] = /^(.*?)(?::([^/:@]*))?(?:@([^/@]*))?$/s.exec(text.slice(SCHEME.length)) ?? [];
  if (folder === '' || /[\0\n]/.test(folder)) {
    throw new HyprError('HYPR_USAGE', `${text} names no folder`, { hint: 'write it as oci-layout://FOLDER[:TAG][@sha256:…]' });
  }
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new HyprError('HYPR_USAGE', `${text}: ${JSON.stringify(digest)} is not a digest`, {
      hint: 'a digest is sha256: and 64 hexadecimal digits',
    });
  }
  return { folder, tag: tag || undefined, digest };
};

/** The same with an absolute folder; what is no such address comes back as it is. Throws HYPR_USAGE. */
export const absoluteLayoutSource = (text: string, base: string): string => {
  const source = parseLayoutSource(text);
  return source === undefined ? text : formatLayoutSource({ ...source, folder: resolve(base, source.folder) });
};

export const formatLayoutSource = ({ folder, tag, digest }: LayoutSource): string =>
  `${SCHEME}${folder}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
