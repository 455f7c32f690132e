import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { BLOCK } from '../../base/tar/block.ts';
import { encodeHeader } from '../../base/tar/header.ts';
import { type Run, runOnce, withRss } from './measure.ts';

const IN_FOLDER = 500;
const TYPES = { index: 'application/vnd.oci.image.manifest.v1+json', config: 'application/vnd.oci.image.config.v1+json' };

/**
 * A pull of an image whose only layer has that many empty files, from a registry on loopback into an empty store: time,
 * processor time and most memory of the command.
 */
export const measurePullOfFiles = async (hypr: string, home: string, files: number): Promise<Run> => {
  let pulled: Run | undefined;
  await withRss(async (folder, env) => {
    const path = join(folder, 'layer');
    const layer = await writeLayerOf(files, path);
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [layer.diffId] } }),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: TYPES.index,
        config: { mediaType: TYPES.config, digest: digestOf(config), size: config.length },
        layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: layer.digest, size: (await stat(path)).size }],
      }),
    );
    const server = createServer(({ url = '' }, answer) => {
      const small = url.includes('/manifests/') ? manifest : url.endsWith(digestOf(config)) ? config : undefined;
      answer.setHeader('content-type', url.includes('/manifests/') ? TYPES.index : 'application/octet-stream');
      if (url.endsWith(layer.digest)) {
        createReadStream(path).pipe(answer);
      } else {
        answer.end(small);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const name = `127.0.0.1:${(server.address() as AddressInfo).port}/files:1`;
      pulled = await runOnce(hypr, ['pull', '-q', name], { cwd: folder, env: { ...env, HYPR_HOME: home } });
    } finally {
      server.close();
    }
  });
  if (pulled === undefined || pulled.code !== 0) {
    throw new Error(`the pull ended with ${pulled?.code}: ${pulled?.stderr}`);
  }
  return pulled;
};

const digestOf = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

const writeLayerOf = async (files: number, path: string): Promise<{ diffId: string; digest: string }> => {
  const [plain, compressed] = [createHash('sha256'), createHash('sha256')];
  const tar = Readable.from(tarOf(files), { objectMode: false });
  await pipeline(tar, hashing(plain), createGzip({ level: 1 }), hashing(compressed), createWriteStream(path));
  return { diffId: `sha256:${plain.digest('hex')}`, digest: `sha256:${compressed.digest('hex')}` };
};

const hashing = (hash: Hash): Transform =>
  new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });

function* tarOf(files: number): Generator<Buffer> {
  const attributes = { uid: 0, gid: 0, size: 0, link: '', deviceMajor: 0, deviceMinor: 0, xattrs: new Map<string, Buffer>() };
  const folder = (name: string) => encodeHeader({ ...attributes, name, type: 'dir', mode: 0o755, mtime: 0 });
  yield folder('data/');
  for (let first = 0; first < files; first += IN_FOLDER) {
    const blocks = [folder(`data/${first}/`)];
    for (let index = first; index < Math.min(files, first + IN_FOLDER); index++) {
      // Every file with a time of its own: nothing of one says anything of the next.
      const name = `data/${first}/a-file-with-the-number-${index}.txt`;
      blocks.push(encodeHeader({ ...attributes, name, type: 'file', mode: 0o644, mtime: 1_700_000_000 + index }));
    }
    yield Buffer.concat(blocks);
  }
  yield Buffer.alloc(2 * BLOCK);
}
