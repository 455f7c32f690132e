import { createHash } from 'node:crypto';
import { HyprError } from '../../../base/errors.ts';

/** `sha256:` and 64 hexadecimal digits. */
export const ociDigest = (data: string | Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

export const isDigest = (text: string): boolean => /^sha256:[0-9a-f]{64}$/.test(text);

/** The hexadecimal part, safe as a file name. Throws IMAGE_CORRUPT for anything but a sha256 digest. */
export const digestHex = (digest: string): string => {
  if (!isDigest(digest)) {
    throw new HyprError('IMAGE_CORRUPT', `${JSON.stringify(digest)} is not a sha256 digest`);
  }
  return digest.slice(7);
};

/** ChainID of a stack of layers, bottom first (image-spec config.md, "Layer ChainID"); without layers, the digest of the empty string. */
export const chainId = (diffIds: readonly string[]): string =>
  diffIds.length === 0 ? ociDigest('') : diffIds.reduce((chain, diffId) => ociDigest(`${chain} ${diffId}`));
