import { HyprError } from '../../base/errors.ts';

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
  const [, place = '', digest] = /^(.*?)(?:@([^/@]*))?$/s.exec(text.slice(SCHEME.length)) ?? [];
  // Tags of layouts may be whole names with colons in them: the first one ends the folder.
  const [, folder = '', tag] = /^([^:]*)(?::(.*))?$/s.exec(place) ?? [];
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

export const formatLayoutSource = ({ folder, tag, digest }: LayoutSource): string =>
  `${SCHEME}${folder}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
