import { readFile } from 'node:fs/promises';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';

const log = logger('vmm');

/** File systems of this host, whose close(2) tells nothing: what could not be written is fsync's to say. */
const OF_THIS_HOST = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'bcachefs', 'zfs', 'tmpfs', 'ramfs', 'overlay']);

/**
 * Whether `path` and all that is mounted below it are file systems of this host. NFS and the like write at close, and a close
 * that failed has to be told; an unknown kind counts as one of these.
 */
export const isOfThisHost = async (path: string): Promise<boolean> => {
  try {
    return fileSystemsAt(path, await readFile('/proc/self/mountinfo', 'utf8')).every((kind) => OF_THIS_HOST.has(kind));
  } catch (error) {
    log.debug('mounts cannot be read', { reason: messageOf(error) });
    return false;
  }
};

/** Pure: the kinds of the file system that has `path` (absolute, without links) and of those mounted below it, from proc(5)'s mountinfo. */
export const fileSystemsAt = (path: string, mountinfo: string): string[] => {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ');
    const place = left?.split(' ')[4];
    const kind = right?.split(' ')[0];
    return place === undefined || kind === undefined ? [] : [{ place: plain(place), kind }];
  });
  // What is mounted later at the same place hides what was there.
  const own = mounts.filter(({ place }) => isBelow(path, place)).reduce((best, each) => (longer(each, best) ? each : best), NONE);
  return [own, ...mounts.filter(({ place }) => place !== path && isBelow(place, path))].map(({ kind }) => kind);
};

const NONE = { place: '', kind: 'unknown' };

const longer = (each: { place: string }, best: { place: string }): boolean => each.place.length >= best.place.length;

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);

/** A space, tab, newline or backslash is written as an octal number. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
