import { gzipSync } from 'node:zlib';
import { END_MARK, padding } from '../../../base/tar/block.ts';
import { encodeHeader, type TarHeader } from '../../../base/tar/header.ts';
import type { Random } from '../../support/random.ts';

const FOLDERS = ['x', 'x/y', 'z'];
const NAMES = ['file', 'other', 'odd name', 'ünï', 'n\udcff', 'long'.repeat(40)];
/** cap_net_bind_service, permitted and effective. */
const CAPABILITY = Buffer.from('0100000200040000000000000000000000000000', 'hex');
const TIME = 1_234_567_890;

/** A random tar, sometimes compressed: owners, modes, links, attributes, entries that are there twice. */
export const randomArchive = (random: Random): Buffer => {
  const files: Array<Pick<TarHeader, 'name' | 'mode' | 'uid' | 'gid'>> = [];
  const parts: Buffer[] = FOLDERS.filter(() => random.chance(0.7)).map((name) =>
    entry({ name: `${name}/`, type: 'dir', mode: random.pick([0o755, 0o700, 0o1777, 0o2750]), ...ownerOf(random) }),
  );
  const count = 1 + random.below(8);
  for (let index = 0; index < count; index++) {
    const name = `${random.pick(['', ...FOLDERS.map((folder) => `${folder}/`)])}${random.pick(NAMES)}`;
    const roll = random.below(10);
    if (roll < 6 || files.length === 0) {
      const file = { name, mode: random.pick([0o644, 0o755, 0o4755, 0o600]), ...ownerOf(random) };
      parts.push(entry({ ...file, type: 'file' }, random));
      files.push(file);
    } else if (roll < 7) {
      parts.push(entry({ name: `${name}-s`, type: 'symlink', link: random.pick(['file', '../x', '/etc/passwd', 'nowhere']) }));
    } else if (roll < 9) {
      // As every program writes it: docker gives the file what its last link says.
      const file = random.pick(files);
      parts.push(entry({ ...file, name: `${name}-h`, type: 'hardlink', link: file.name }));
    } else {
      parts.push(entry({ name: `${name}-p`, type: 'fifo', mode: 0o640 }));
    }
  }
  const tar = Buffer.concat([...parts, END_MARK]);
  return random.chance(0.4) ? gzipSync(tar) : tar;
};

const ownerOf = (random: Random) => ({ uid: random.pick([0, 0, 5, 70_000]), gid: random.pick([0, 6]) });

/** With content, and maybe attributes, when there are choices to make. */
const entry = (header: Partial<TarHeader> & Pick<TarHeader, 'name' | 'type'>, random?: Random): Buffer => {
  const content = Buffer.from(random === undefined ? '' : 'content\n'.repeat(random.below(200)));
  const xattrs = new Map(
    random?.chance(0.15) ? [['security.capability', CAPABILITY]] : random?.chance(0.1) ? [['user.note', Buffer.from('n')]] : [],
  );
  const plain = { mode: 0o777, uid: 0, gid: 0, mtime: TIME, link: '', deviceMajor: 0, deviceMinor: 0 };
  return Buffer.concat([
    encodeHeader({ ...plain, ...header, size: content.length, xattrs }),
    content,
    Buffer.alloc(padding(content.length)),
  ]);
};
