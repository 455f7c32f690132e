import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';

import { formatLayoutSource, parseLayoutSource } from '../../../builder/model/layout-source.ts';
import { openLayoutImage } from '../../../builder/store/archive/oci-layout.ts';
import { ociDigest } from '../../../builder/store/format/digest.ts';

import { runs } from '../../support/seed.ts';

import { FakeStore } from './fake-store.ts';
import { show, thrown, Workshop } from './workshop.ts';

interface Entry {
  readonly digest: string;
  readonly annotations?: Record<string, string>;
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const OTHER = HERE === 'amd64' ? 'arm64' : 'amd64';

describe('oci-layout:// contexts', () => {
  let shop: Workshop;
  let layout: string;
  beforeEach(() => {
    shop = new Workshop();
    layout = join(shop.folder, 'layout');
  });
  afterEach(() => shop.close());

  /** An image with a file of that text, in the layout; afterwards in no store. */
  const put = async (text: string, request: { tags?: string[]; platform?: string; output?: string } = {}): Promise<Entry> => {
    shop.file('word', text);
    const { output = '', ...rest } = request;
    await shop.run('FROM scratch\nCOPY word /word\nENV FROM_LAYOUT=yes\nONBUILD COPY word /by-trigger\n', {
      outputs: [`type=oci,dest=layout,tar=false${output}`],
      folder: shop.folder,
      tags: [],
      ...rest,
    });
    // It is added to what the layout has.
    const entry = manifests().at(-1);
    if (entry === undefined) {
      throw new Error('no manifest');
    }
    return entry;
  };
  const manifests = (): Entry[] => (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: Entry[] }).manifests;
  const writeIndex = (entries: readonly object[]) =>
    writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: entries }));
  const blob = (digest: string) => join(layout, 'blobs/sha256', digest.slice(7));
  const tagged = (entry: Entry, tag: string) => ({ ...entry, annotations: { [REF_NAME]: tag } });
  const wordIn = async (value: string, request = {}) => {
    const other = new Workshop();
    try {
      const { tree } = await other.build('FROM scratch\nCOPY --from=base /word /\n', { additionalContexts: { base: value }, ...request });
      return (await show(tree)).word;
    } finally {
      other.close();
    }
  };

  it('is an image in FROM, COPY --from and RUN --mount, with its config and triggers; nothing of it is listed', async () => {
    await put('one');
    shop.file('word', 'of the context');
    shop.machines.program = () => ({ files: { made: 'made' } });
    const fresh = new FakeStore(join(shop.folder, 'other-store'));
    shop.options = { store: fresh };
    const request = { additionalContexts: { base: `oci-layout://${layout}` }, outputs: ['type=local,dest=result'], folder: shop.folder };
    const file = 'FROM base AS one\nCOPY --from=base /word /copied\nRUN --mount=from=base,target=/m,source=/word cat /m\n';
    await shop.run(file, request);
    expect(fresh.images.size).toBe(0);
    expect(readFileSync(join(shop.folder, 'result/copied'), 'utf8')).toBe('one');
    expect(readFileSync(join(shop.folder, 'result/by-trigger'), 'utf8')).toBe('of the context');
    expect(shop.steps()).toContain(`[context base] load from oci-layout://${layout}: done`);
    expect(shop.steps().filter((step) => step.startsWith('[one 1/'))).toEqual([expect.stringContaining('FROM base@sha256:')]);
    const again = fresh.added.length;
    await shop.run(file, request);
    expect([fresh.added.length, shop.machines.started.length]).toEqual([again, 1]);
    const run = await shop
      .build('FROM base\n', { additionalContexts: { base: `oci-layout://${layout}` } })
      .catch((error: unknown) => error);
    expect(run).toBeInstanceOf(Error);
  });

  it('keeps environment and history of the image it starts from', async () => {
    await put('one');
    const { blob: config } = await shop.build('FROM Base\n', { additionalContexts: { base: `oci-layout://${layout}` } });
    expect(config.config.Env).toContain('FROM_LAYOUT=yes');
    expect(config.config.OnBuild).toBeUndefined();
    expect(config.history?.map(({ created_by }) => created_by)).toContain('COPY word /word # buildkit');
  });

  it('chooses as buildx: digest, else tag, else the only one; latest without a tag', async () => {
    const one = await put('one', { tags: ['shop:1'] });
    const two = await put('two', { tags: ['shop:latest'] });
    writeIndex([tagged(one, '1'), tagged(two, 'latest')]);
    expect(await wordIn(`oci-layout://${layout}`)).toBe('two');
    expect(await wordIn(`oci-layout://${layout}:1`)).toBe('one');
    expect(await wordIn(`oci-layout://${layout}:1@${two.digest}`)).toBe('two');
    expect(await wordIn('oci-layout://layout:1', { folder: shop.folder })).toBe('one');
    writeIndex([tagged(one, 'docker.io/library/shop:1'), two]);
    expect(await wordIn(`oci-layout://${layout}:docker.io/library/shop:1`)).toBe('one');
    writeIndex([tagged(one, '1')]);
    expect(await wordIn(`oci-layout://${layout}`)).toBe('one');
    expect(await wordIn(`oci-layout://${layout}:nope`)).toBe('one');
    // A digest needs no entry in index.json.
    expect(await wordIn(`oci-layout://${layout}@${two.digest}`)).toBe('two');
  });

  it('takes the platform of the build, or of FROM, out of an index, and zero or more indexes deep', async () => {
    const here = await put('here', { platform: `linux/${HERE}` });
    const there = await put('there', { platform: `linux/${OTHER}` });
    const index = (entries: readonly object[]): Entry => {
      const text = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: entries });
      writeFileSync(blob(ociDigest(text)), text);
      return { digest: ociDigest(text) };
    };
    const attestation = { digest: ociDigest(''), platform: { os: 'unknown', architecture: 'unknown' } };
    const both = index([
      attestation,
      { ...there, platform: { os: 'linux', architecture: OTHER } },
      { ...here, platform: { os: 'linux', architecture: HERE } },
    ]);
    writeIndex([both]);
    expect(await wordIn(`oci-layout://${layout}`)).toBe('here');
    expect(await wordIn(`oci-layout://${layout}`, { platform: `linux/${OTHER}` })).toBe('there');
    expect((await openLayoutImage({ folder: layout, tag: undefined, digest: undefined }, `linux/${OTHER}`)).manifestDigest).toBe(
      there.digest,
    );
    expect(await thrown(openLayoutImage({ folder: layout, tag: undefined, digest: undefined }, 'linux/s390x'))).toMatchObject({
      code: 'IMAGE_PLATFORM',
      hint: `it exists for linux/${OTHER}, linux/${HERE}`,
    });
    writeIndex([there]);
    expect(await thrown(wordIn(`oci-layout://${layout}`))).toMatchObject({ code: 'IMAGE_PLATFORM' });
    let deep = both;
    for (let depth = 0; depth < 5; depth += 1) {
      deep = index([{ ...deep, platform: { os: 'linux', architecture: HERE } }]);
    }
    writeIndex([deep]);
    expect((await thrown(wordIn(`oci-layout://${layout}`))).message).toContain('index of indexes');
  });

  it('says what is wrong with a layout', async () => {
    const one = await put('one');
    const two = await put('two');
    const failure = async (value: string) => {
      const { code, message, hint, where } = await thrown(wordIn(value));
      return { code, text: `${message.replaceAll(shop.folder, '')}|${hint ?? ''}`.replaceAll(shop.folder, ''), line: where?.line };
    };
    expect(await failure(`oci-layout://${shop.folder}/gone`)).toEqual({
      code: 'IMAGE_NOT_FOUND',
      text: 'the OCI layout /gone is not there|correct the path after oci-layout://',
      line: 2,
    });
    expect((await failure(`oci-layout://${layout}/index.json`)).text).toContain('not a folder|if it is an archive');
    expect((await failure(`oci-layout://${shop.context}`)).text).toContain('/context has no index.json: it is not an OCI layout');
    expect((await failure(`oci-layout://${layout}@${ociDigest('x')}`)).text).toContain(`/layout has no blob ${ociDigest('x')}`);
    writeIndex([tagged(one, 'a'), tagged(two, 'b')]);
    expect((await failure(`oci-layout://${layout}`)).text).toBe(
      'the OCI layout /layout holds 2 images, and none has the tag latest|name one of them, as in oci-layout:///layout:TAG; its tags are: a, b',
    );
    expect((await failure(`oci-layout://${layout}:c`)).text).toBe('there is no tag "c" in the OCI layout /layout|its tags are: a, b');
    writeIndex([one, two]);
    expect((await failure(`oci-layout://${layout}:c`)).text).toContain('none of them has a tag');
    writeIndex([]);
    expect((await failure(`oci-layout://${layout}`)).text).toContain('holds no image');
    writeFileSync(join(layout, 'index.json'), 'no json');
    expect((await failure(`oci-layout://${layout}`)).code).toBe('IMAGE_CORRUPT');
    expect((await failure('oci-layout://')).text).toContain('names no folder');
    expect((await failure(`oci-layout://${layout}@sha512:00`)).text).toContain('"sha512:00" is not a digest');
  });

  it('believes no blob that has another digest: manifest, config and layer', async () => {
    const { digest } = await put('one');
    const manifest = JSON.parse(readFileSync(blob(digest), 'utf8')) as { config: Entry; layers: Entry[] };
    for (const each of [manifest.layers[0]?.digest ?? '', manifest.config.digest, digest]) {
      const whole = readFileSync(blob(each));
      const changed = Buffer.from(whole);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      writeFileSync(blob(each), changed);
      expect(await thrown(wordIn(`oci-layout://${layout}`))).toMatchObject({ code: 'IMAGE_CORRUPT' });
      writeFileSync(blob(each), whole);
    }
    appendFileSync(blob(manifest.layers[0]?.digest ?? ''), 'x');
    expect((await thrown(wordIn(`oci-layout://${layout}`))).message).toContain('is damaged');
    rmSync(blob(manifest.layers[0]?.digest ?? ''));
    expect((await thrown(wordIn(`oci-layout://${layout}`))).message).toContain('has no blob');
  });

  it('no Dockerfile reaches a layout by itself, and target: is for bake files', async () => {
    await put('one');
    const direct = await thrown(shop.run(`FROM oci-layout://${layout}\n`));
    expect(direct.code).not.toBe('HYPR_INTERNAL');
    expect(shop.resolved).toContain(`oci-layout://${layout}`);
    expect(await thrown(wordIn('target:base'))).toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      message: 'the additional context base is target:base: only a bake file has targets that others can use',
    });
    expect((await thrown(wordIn('s3://bucket'))).message).toContain('docker-image:// and oci-layout:// are understood');
  });

  it('an attestation names it by the name of the context, not by the folder', async () => {
    const { digest } = await put('one');
    shop.options = { store: new FakeStore(join(shop.folder, 'other-store')) };
    const contexts = { additionalContexts: { base: `oci-layout://${layout}` }, folder: shop.folder, provenance: 'mode=min' };
    await shop.run('FROM base\n', { ...contexts, outputs: ['type=oci,dest=attested,tar=false'] });
    const folder = join(shop.folder, 'attested/blobs/sha256');
    const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
    const statement = texts.find((text) => text.startsWith('{"_type"')) ?? '';
    expect(statement).toContain(`"uri":"pkg:oci/base@${encodeURIComponent(digest)}?platform=linux%2F${HERE}"`);
    expect(statement).not.toContain(layout);
  });

  it('whatever index.json and blobs say, it is an image or a HyprError (fuzz)', async () => {
    mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
    const keys = ['manifests', 'digest', 'annotations', REF_NAME, 'config', 'layers', 'size', 'platform', 'os', 'mediaType'];
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom('latest', 'linux', -1, null, ociDigest('x'), 'sha256:../..'),
        tie('list'),
        tie('map'),
      ),
      list: fc.array(tie('json'), { maxLength: 3 }),
      map: fc.dictionary(fc.constantFrom(...keys), tie('json'), { maxKeys: 5 }),
    }));
    await fc.assert(
      fc.asyncProperty(json, json, async (index, inner) => {
        const text = JSON.stringify(inner) ?? 'null';
        writeFileSync(blob(ociDigest(text)), text);
        writeFileSync(join(layout, 'index.json'), JSON.stringify(index) ?? '');
        for (const digest of [undefined, ociDigest(text)]) {
          const result = await openLayoutImage({ folder: layout, tag: undefined, digest }, 'linux/amd64').catch((error: unknown) => error);
          expect(result).toBeInstanceOf(HyprError);
        }
      }),
      runs(150),
    );
  });
});

describe('oci-layout:// addresses', () => {
  const digest = ociDigest('x');
  it.each([
    ['oci-layout:///a/b', { folder: '/a/b' }],
    ['oci-layout://b:1.0', { folder: 'b', tag: '1.0' }],
    [`oci-layout://../b@${digest}`, { folder: '../b', digest }],
    [`oci-layout:///a/c:docker.io/b/x:t@${digest}`, { folder: '/a/c', tag: 'docker.io/b/x:t', digest }],
    ['oci-layout:///a/@scope/c', { folder: '/a/@scope/c' }],
    ['oci-layout://.:', { folder: '.' }],
  ])('%s', (text, expected) => {
    const source = parseLayoutSource(text);
    expect(source).toEqual({ tag: undefined, digest: undefined, ...expected });
    expect(parseLayoutSource(formatLayoutSource(source ?? { folder: '', tag: '', digest: '' }))).toEqual(source);
  });
});
