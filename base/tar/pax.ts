import { type BlockFields, type ByteString, encodeBlock, padding, tarError } from './block.ts';

export type PaxRecord = readonly [key: ByteString, value: Buffer];

/** Key prefix of extended attributes. */
export const XATTR = 'SCHILY.xattr.';

/** PAX records (`length key=value\n`, POSIX pax) in order; GNU's sparse 0.0 repeats keys. Throws the error of `refuse`. */
export const parsePax = (data: Buffer, refuse = tarError): PaxRecord[] => {
  const records: PaxRecord[] = [];
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const digits = space < 0 ? '' : data.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = data.indexOf(0x3d, space);
    if (!/^\d{1,9}$/.test(digits) || end > data.length || equals < 0 || equals >= end || data[end - 1] !== 0x0a) {
      // Some writers fill the rest with NULs.
      if (data.subarray(at).every((byte) => byte === 0)) {
        break;
      }
      throw refuse('a PAX header is malformed');
    }
    records.push([data.toString('latin1', space + 1, equals), Buffer.from(data.subarray(equals + 1, end - 1))]);
    at = end;
  }
  return records;
};

/** The length counts its own digits. */
export const encodePax = ([key, value]: PaxRecord): Buffer => {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
};

const MAX_ID = 0o7777777;
export const MAX_OCTAL_11 = 0o77777777777;

export interface PaxChoice {
  /** Whether a name or a link does not fit into its field of the block. */
  readonly isOutside: (text: ByteString) => boolean;
  /** The time, if its field cannot express it. */
  readonly mtime: string | undefined;
  /** Names without the prefix, in the order of writing. */
  readonly xattrs: Iterable<PaxRecord>;
  /** The name of the PAX header itself. */
  readonly title: string;
}

/** The header blocks of an entry: if needed, a PAX header with the values that do not fit into the block, then the block. */
export const encodeEntry = (fields: BlockFields, choice: PaxChoice): Buffer => {
  const records = paxRecords(fields, choice);
  const main = encodeBlock(fields);
  if (records.length === 0) {
    return main;
  }
  const data = Buffer.concat(records.map(encodePax));
  const title = { ...PLAIN, name: choice.title, flag: 'x', size: data.length };
  return Buffer.concat([encodeBlock(title), data, Buffer.alloc(padding(data.length)), main]);
};

const PLAIN = { mode: 0o644, uid: 0, gid: 0, mtime: 0, link: '', deviceMajor: 0, deviceMinor: 0 };

const paxRecords = ({ name, link, uid, gid, size }: BlockFields, { isOutside, mtime, xattrs }: PaxChoice): PaxRecord[] => {
  const records: PaxRecord[] = [];
  const add = (needed: boolean, key: string, value: string | number) => {
    if (needed) {
      records.push([key, Buffer.from(String(value), 'latin1')]);
    }
  };
  add(isOutside(name), 'path', name);
  add(isOutside(link), 'linkpath', link);
  add(uid > MAX_ID, 'uid', uid);
  add(gid > MAX_ID, 'gid', gid);
  add(size > MAX_OCTAL_11, 'size', size);
  add(mtime !== undefined, 'mtime', mtime ?? '');
  for (const [key, value] of xattrs) {
    records.push([XATTR + key, value]);
  }
  return records;
};
