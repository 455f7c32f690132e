import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';
import { openArchiveFile } from '../../../builder/store/archive/archive-file.ts';
import { show, thrown, Workshop } from '../solver/workshop.ts';

const FILE = 'FROM scratch\nCOPY --chmod=755 a /bin/a\nCOPY sub /sub/\nCMD ["/bin/a"]\n';

describe('outputs', () => {
  let shop: Workshop;
  let out: string;
  beforeEach(() => {
    shop = new Workshop();
    out = join(shop.folder, 'out');
    shop.file('a', 'one');
    shop.file('sub/b', 'two', 0o600);
    shop.link('sub/up', '../../../../etc/passwd');
  });
  afterEach(() => shop.close());

  const build = (output: string | readonly string[], request = {}) =>
    shop.run(FILE, { outputs: [output].flat(), folder: shop.folder, tags: [], ...request });

  it('type=local: files with modes and times, links as links, nothing in the store', async () => {
    const result = await build('type=local,dest=out');
    expect(result).toMatchObject({ imageId: '' });
    expect(Object.keys(result.metadata ?? {})).toEqual(['buildx.build.ref']);
    expect(readdirSync(out).sort()).toEqual(['bin', 'sub']);
    expect(readFileSync(join(out, 'bin/a'), 'utf8')).toBe('one');
    expect(statSync(join(out, 'bin/a')).mode & 0o7777).toBe(0o755);
    expect(statSync(join(out, 'sub/b')).mode & 0o7777).toBe(0o600);
    expect(statSync(join(out, 'sub/b')).mtimeMs).toBe(1_600_000_000_000);
    expect(readlinkSync(join(out, 'sub/up'))).toBe('../../../../etc/passwd');
    expect(shop.store.images.size).toBe(0);
  });

  it('-o dir is type=local; what is there stays, with mode=delete it goes', async () => {
    mkdirSync(join(out, 'bin'), { recursive: true });
    writeFileSync(join(out, 'bin/old'), 'old');
    await build('out');
    expect(readdirSync(join(out, 'bin')).sort()).toEqual(['a', 'old']);
    await build('type=local,dest=out,mode=delete');
    expect(readdirSync(join(out, 'bin'))).toEqual(['a']);
  });

  it('a local output replaces links instead of following them', async () => {
    const outside = join(shop.folder, 'outside');
    mkdirSync(outside);
    mkdirSync(out);
    writeFileSync(join(outside, 'b'), 'untouched');
    symlinkSync(outside, join(out, 'bin'));
    symlinkSync(outside, join(out, 'sub'));
    await build('type=local,dest=out');
    expect(readdirSync(outside)).toEqual(['b']);
    expect(readFileSync(join(outside, 'b'), 'utf8')).toBe('untouched');
    expect(lstatSync(join(out, 'sub')).isDirectory()).toBe(true);

    symlinkSync(join(outside, 'b'), join(out, 'link'));
    const again = 'FROM scratch\nCOPY a /link\n';
    await shop.run(again, { outputs: ['out'], folder: shop.folder, tags: [] });
    expect(readFileSync(join(outside, 'b'), 'utf8')).toBe('untouched');
    expect(readFileSync(join(out, 'link'), 'utf8')).toBe('one');
  });

  it('a build that fails or is cancelled leaves no output', async () => {
    const failing = shop.run('FROM scratch\nCOPY missing /\n', { outputs: ['out'], folder: shop.folder, tags: [] });
    await thrown(failing);
    expect(existsSync(out)).toBe(false);
    await build('out');
    writeFileSync(join(shop.folder, 'file'), '');
    expect(await thrown(build('type=local,dest=file'))).toMatchObject({ code: 'HYPR_USAGE' });
    expect(await thrown(build('type=tar,dest=out'))).toMatchObject({ code: 'HYPR_USAGE' });
    expect(readdirSync(shop.folder).filter((name) => name.includes('.tmp') || name.startsWith('.hypr'))).toEqual([]);
    expect(readdirSync(out).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('type=tar: the file system with owners, to a file or to standard output', async () => {
    const stdout = new PassThrough();
    const chunks: Buffer[] = [];
    stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    await build(['type=tar,dest=out.tar', '-'], { stdout });
    const tar = readFileSync(join(shop.folder, 'out.tar'));
    expect(Buffer.concat(chunks).equals(tar)).toBe(true);
    const tree = LayerTree.empty.withLayer(await indexTar(join(shop.folder, 'out.tar')), { whiteouts: false });
    expect(await show(tree)).toEqual({ 'bin/a': 'one', 'sub/b': 'two', 'sub/up': '@../../../../etc/passwd' });
    expect(tree.get('bin/a')).toMatchObject({ uid: 0, gid: 0, mode: 0o755 });
  });

  it.each(['oci', 'docker'])('type=%s: an archive whose every blob is what its digest says', async (type) => {
    const result = await build([`type=${type},dest=out.tar,name=shop:1`, `type=${type},dest=out,tar=false`], { tags: ['shop:2'] });
    await using archive = await openArchiveFile(join(shop.folder, 'out.tar'));
    const index = JSON.parse((await archive.read('index.json', 1e6)).toString());
    expect(index.manifests.map((each: { annotations: object }) => Object.values(each.annotations))).toEqual([
      ['docker.io/library/shop:2', '2'],
      ['docker.io/library/shop:1', '1'],
    ]);
    const manifest = JSON.parse((await archive.read(blobOf(index.manifests[0].digest), 1e6)).toString());
    expect(manifest.layers.map((layer: { mediaType: string }) => layer.mediaType)).toEqual(
      Array(2).fill('application/vnd.oci.image.layer.v1.tar+gzip'),
    );
    const config = JSON.parse((await archive.read(blobOf(manifest.config.digest), 1e6)).toString());
    const diffs = await Promise.all(
      manifest.layers.map(async ({ digest }: { digest: string }) => sha256(gunzipSync(await archive.read(blobOf(digest), 1e6)))),
    );
    expect(config.rootfs.diff_ids).toEqual(diffs);
    expect(archive.has('manifest.json')).toBe(type === 'docker');
    for (const name of readdirSync(join(out, 'blobs/sha256'))) {
      expect(sha256(readFileSync(join(out, 'blobs/sha256', name)))).toBe(`sha256:${name}`);
    }
    expect(result.metadata).toMatchObject({
      'containerimage.config.digest': manifest.config.digest,
      'containerimage.digest': index.manifests[0].digest,
      'containerimage.descriptor': { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: index.manifests[0].digest },
      'image.name': 'docker.io/library/shop:2,docker.io/library/shop:1',
    });
  });

  it('compression, docker media types and annotations are as asked', async () => {
    const annotations = ['org.x=1', 'index:org.y=2', 'index,manifest:org.z=3'];
    await build(['type=oci,dest=out,tar=false,compression=uncompressed,annotation.k=v'], { annotations });
    const top = readJson(out, 'index.json').manifests[0];
    const index = readJson(out, blobOf(top.digest));
    expect(index.annotations).toEqual({ 'org.y': '2', 'org.z': '3' });
    expect(index.manifests[0].platform).toMatchObject({ os: 'linux' });
    const manifest = readJson(out, blobOf(index.manifests[0].digest));
    expect(manifest.annotations).toEqual({ 'org.x': '1', 'org.z': '3', k: 'v' });
    expect(manifest.layers[0].mediaType).toBe('application/vnd.oci.image.layer.v1.tar');

    await build(['type=docker,dest=other,tar=false,oci-mediatypes=false,compression-level=9']);
    const docker = join(shop.folder, 'other');
    const plain = readJson(docker, blobOf(readJson(docker, 'index.json').manifests[0].digest));
    expect(plain.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    expect(plain.layers[0].mediaType).toBe('application/vnd.docker.image.rootfs.diff.tar.gzip');
  });

  it('BUILDKIT_MULTI_PLATFORM makes an index and a folder per platform; BUILDKIT_SYNTAX only names what is built in', async () => {
    const outputs = ['type=oci,dest=layout,tar=false', 'out'];
    await shop.run(FILE, {
      outputs,
      folder: shop.folder,
      tags: [],
      buildArgs: { BUILDKIT_MULTI_PLATFORM: '1', BUILDKIT_SYNTAX: 'docker/dockerfile:1' },
    });
    const layout = join(shop.folder, 'layout');
    expect(readJson(layout, blobOf(readJson(layout, 'index.json').manifests[0].digest)).manifests).toHaveLength(1);
    expect(readdirSync(out)).toEqual([expect.stringMatching(/^linux_/)]);
    expect(await thrown(build('out', { buildArgs: { BUILDKIT_SYNTAX: 'other/frontend' } }))).toMatchObject({ code: 'HYPR_UNSUPPORTED' });
  });

  it('provenance is a second manifest of an index, about the first; nothing of the build arguments is in it', async () => {
    await shop.busybox();
    const request = { outputs: ['type=oci,dest=out,tar=false'], folder: shop.folder, tags: ['shop:1'], provenance: 'mode=min' };
    await shop.run('FROM busybox\nARG TOKEN\nCOPY a /\n', { ...request, buildArgs: { TOKEN: 'hidden', SOURCE_DATE_EPOCH: '1' } });
    const index = readJson(out, blobOf(readJson(out, 'index.json').manifests[0].digest));
    const [image, attestation] = index.manifests;
    expect(attestation).toMatchObject({
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: { 'vnd.docker.reference.digest': image.digest, 'vnd.docker.reference.type': 'attestation-manifest' },
    });
    const [layer] = readJson(out, blobOf(attestation.digest)).layers;
    expect(layer).toMatchObject({ mediaType: 'application/vnd.in-toto+json' });
    const statement = readJson(out, blobOf(layer.digest));
    expect(statement.subject[0].digest.sha256).toBe(image.digest.slice(7));
    expect(statement.predicate.materials).toEqual([
      expect.objectContaining({ uri: expect.stringMatching(/^pkg:docker\/busybox@latest\?platform=/) }),
    ]);
    expect(JSON.stringify(statement)).not.toContain('hidden');
    expect(await thrown(shop.run(FILE, { ...request, provenance: 'mode=max' }))).toMatchObject({ code: 'HYPR_UNSUPPORTED' });
  });

  it.each([
    ['type=nope', /type nope is not known/],
    ['dest=x', /there is no type=/],
    ['type=local', /a folder is needed/],
    ['type=local,dest=-', /a folder is needed/],
    ['type=local,dest=x,foo=1', /"foo" is not known/],
    ['type=local,dest=x,dest=y', /dest is given twice/],
    ['type=oci,dest=x,compression=estargz', /estargz/],
    ['type=oci,dest=x,compression-level=99', /not a level of gzip/],
    ['type=image,push=true', /needs a name/],
    ['-', /not written to a terminal/],
  ])('%s is refused before anything is built', async (output, message) => {
    const error = await thrown(build(output));
    expect(error.message).toMatch(message);
    expect(shop.store.added).toEqual([]);
  });

  it('rewrite-timestamp and SOURCE_DATE_EPOCH: the same digest from other checkouts, other times, other homes', async () => {
    const other = new Workshop();
    try {
      for (const [workshop, time] of [
        [shop, 1_700_000_000],
        [other, 1_710_000_000],
      ] as const) {
        workshop.file('a', 'one');
        workshop.file('sub/b', 'two', 0o600);
        utimesSync(join(workshop.context, 'a'), time, time);
        utimesSync(join(workshop.context, 'sub/b'), time, time);
        utimesSync(join(workshop.context, 'sub'), time, time);
      }
      other.link('sub/up', '../../../../etc/passwd');
      const results = await Promise.all(
        [shop, other].map((workshop) =>
          workshop.run(FILE, {
            outputs: ['type=oci,dest=out.tar,rewrite-timestamp=true', 'type=local,dest=out'],
            folder: workshop.folder,
            tags: ['shop:1'],
            buildArgs: { SOURCE_DATE_EPOCH: '1600000001' },
          }),
        ),
      );
      expect(results[0]?.manifestDigest).toBe(results[1]?.manifestDigest);
      expect(readFileSync(join(other.folder, 'out.tar')).equals(readFileSync(join(shop.folder, 'out.tar')))).toBe(true);
      expect(statSync(join(out, 'bin/a')).mtimeMs).toBe(1_600_000_001_000);
    } finally {
      other.close();
    }
  });

  it('SOURCE_DATE_EPOCH: created and history are not later; what the base image says stays', async () => {
    await shop.busybox();
    const { blob } = await shop.build('FROM busybox\nCOPY a /a\nENV x=1\n', { buildArgs: { SOURCE_DATE_EPOCH: '1600000001' } });
    const date = '2020-09-13T12:26:41.000Z';
    expect(blob.created).toBe(date);
    expect(blob.history?.map(({ created }) => created)).toEqual([undefined, date, date]);
    expect(await thrown(shop.run(FILE, { buildArgs: { SOURCE_DATE_EPOCH: 'yesterday' } }))).toMatchObject({ code: 'HYPR_USAGE' });
  });
});

const sha256 = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;
const blobOf = (digest: string): string => digest.replace('sha256:', 'blobs/sha256/');
const readJson = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
