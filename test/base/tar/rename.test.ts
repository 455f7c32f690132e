import { describe, expect, test } from 'vitest';
import { type EntryType, encodeHeader, PLAIN_FILE } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { absoluteNames, exportNames } from '../../../base/tar/rename.ts';

const entry = (name: string, type: EntryType, content = '', link = ''): Buffer => {
  const data = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  data.write(content);
  return Buffer.concat([
    encodeHeader({ ...PLAIN_FILE, name, type, link, size: content.length, xattrs: new Map([['user.a', Buffer.from('b')]]) }),
    data,
  ]);
};

const ROOT = Buffer.concat([
  entry('./', 'dir'),
  entry('./etc/', 'dir'),
  entry('./etc/hosts', 'file', 'here'),
  entry('./etc/same', 'hardlink', '', './etc/hosts'),
  entry('./etc/far', 'symlink', '', './hosts'),
  entry('./.hidden', 'file', 'x'.repeat(600)),
  entry(`./${'long/'.repeat(60)}name`, 'file', 'y'),
  Buffer.alloc(1024),
]);

async function* pieces(data: Buffer, size = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) {
    yield data.subarray(at, at + size);
  }
}

const read = async (tar: AsyncIterable<Uint8Array>): Promise<unknown[]> => {
  const source = new StreamSource(tar);
  const found: unknown[] = [];
  for await (const { header } of readTar(source)) {
    const content = (await source.read(header.size)).toString();
    found.push([header.name, header.link, content.slice(0, 4), header.xattrs.get('user.a')?.toString()]);
  }
  return found;
};

describe('the tar of a whole root', () => {
  test('has no root and bare names in an export', async () => {
    expect(await read(exportNames(pieces(ROOT)))).toEqual([
      ['etc/', '', '', 'b'],
      ['etc/hosts', '', 'here', 'b'],
      ['etc/same', 'etc/hosts', '', 'b'],
      ['etc/far', './hosts', '', 'b'],
      ['.hidden', '', 'xxxx', 'b'],
      [`${'long/'.repeat(60)}name`, '', 'y', 'b'],
    ]);
  });

  test('has names from / on in an archive of /', async () => {
    const names = (await read(absoluteNames(pieces(ROOT)))).map((found) => (found as string[])[0]);
    expect(names.slice(0, 3)).toEqual(['/', '/etc/', '/etc/hosts']);
  });

  test('is an error when it is cut within a file', async () => {
    const cut = ROOT.subarray(0, ROOT.length - 1024 - 300);
    await expect(read(exportNames(pieces(cut)))).rejects.toMatchObject({ code: 'IMAGE_LAYER' });
  });
});
