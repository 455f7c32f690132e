import { HyprError } from '../../base/errors.ts';
import { type ByteString, numberAt, type Refuse } from '../../base/tar/block.ts';
import { type EntryType, FLAGS } from '../../base/tar/header.ts';
import { encodeEntry, MAX_OCTAL_11 } from '../../base/tar/pax.ts';

export interface Attributes {
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds, as decimal text so that nanoseconds survive. */
  readonly mtime: string;
  readonly link: ByteString;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyArray<readonly [ByteString, Buffer]>;
}

export const layerError: Refuse = (message) =>
  new HyprError('IMAGE_LAYER', `a layer cannot be unpacked safely: ${message}`, {
    hint: 'the image is damaged or was not made by an image builder',
  });

/** A number of a layer's header. Throws IMAGE_LAYER. */
export const layerNumber = (block: Buffer, from: number, length: number): number => numberAt(block, from, length, layerError);

/** The header blocks of an entry with `size` bytes of content: ustar, with a PAX header in front where its fields do not suffice. */
export const encodeHeader = (path: ByteString, attributes: Attributes, size: number): Buffer => {
  const { type, mode, uid, gid, mtime, link, devMajor, devMinor, xattrs } = attributes;
  const seconds = Math.floor(Number(mtime));
  const fields = { mode, uid, gid, size, link, mtime: seconds, deviceMajor: devMajor, deviceMinor: devMinor, flag: FLAGS[type] };
  return encodeEntry(
    { ...fields, name: type === 'dir' ? `${path === '' ? '.' : path}/` : path },
    {
      isOutside: (text) => text.length > 100,
      mtime: !/^\d+$/.test(mtime) || Number(mtime) > MAX_OCTAL_11 ? mtime : undefined,
      xattrs,
      title: 'PaxHeaders/entry',
    },
  );
};
