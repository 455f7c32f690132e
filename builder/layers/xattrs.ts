import type { ByteString } from '../../base/tar/block.ts';
import { layerError } from './layer-format.ts';

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';
/** The name prefixes that EROFS supports; the others (system.nfs4_acl, com.apple…) mean nothing in a guest. */
const KEPT = /^(user|trusted|security)\.[^\0]+$|^system\.posix_acl_(access|default)$/;
const MAX_NAME = 255;
const MAX_VALUE = 64 * 1024;

/**
 * The extended attributes among an entry's PAX records. LIBARCHIVE's form (name percent-coded, value
 * base64) becomes the plain one. `plain` says that the records need no change. Throws IMAGE_LAYER.
 */
export const readXattrs = (
  pax: ReadonlyArray<readonly [ByteString, Buffer]>,
): { kept: ReadonlyArray<readonly [ByteString, Buffer]>; plain: boolean } => {
  if (pax.length === 0) {
    return { kept: [], plain: true };
  }
  const found = new Map<ByteString, Buffer>();
  let plain = true;
  for (const [key, value] of pax) {
    if (key.startsWith(LIBARCHIVE)) {
      plain = false;
      const name = decodePercent(key.slice(LIBARCHIVE.length));
      if (!found.has(name)) {
        found.set(name, Buffer.from(value.toString('latin1'), 'base64'));
      }
    } else if (key.startsWith(SCHILY)) {
      found.set(key.slice(SCHILY.length), value);
    }
  }
  const kept = [...found].filter(([name]) => isKept(name));
  for (const [name, value] of kept) {
    if (name.length > MAX_NAME || value.length > MAX_VALUE) {
      throw layerError(`the extended attribute ${name.slice(0, 64)} has ${value.length} bytes`);
    }
  }
  return { kept, plain: plain && kept.length === found.size };
};

/** Of overlayfs's own attributes only the opaque mark is part of a layer; a redirect could name another folder. */
const isKept = (name: ByteString): boolean =>
  KEPT.test(name) && (!name.startsWith('trusted.overlay.') || name === 'trusted.overlay.opaque');

const decodePercent = (name: ByteString): ByteString =>
  name.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
