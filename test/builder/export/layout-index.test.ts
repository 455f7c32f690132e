import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeLayoutDocuments } from '../../../builder/export/layout-index.ts';
import { thrown, Workshop } from '../solver/workshop.ts';

let shop: Workshop;
let out: string;
beforeEach(() => {
  shop = new Workshop();
  out = join(shop.folder, 'out');
});
afterEach(() => shop.close());

interface Entry {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly RepoTags?: readonly string[] | null;
}

const build = (text: string, type: string, tags: string[]) =>
  shop.run(`FROM scratch\nCOPY <<EOF /f\n${text}\nEOF\n`, { outputs: [`type=${type},dest=out,tar=false`], folder: shop.folder, tags });
const read = (name: string) => JSON.parse(readFileSync(join(out, name), 'utf8'));
const names = () => read('index.json').manifests.map((entry: Entry) => entry.annotations?.['io.containerd.image.name'] ?? '');
const signal = () => new AbortController().signal;

describe('an image layout in a folder', () => {
  it('keeps the images that are there, and replaces those of the same name', async () => {
    await build('one', 'oci', ['one:1']);
    await build('two', 'oci', ['two:1', 'two:2']);
    const before = read('index.json').manifests;
    await build('other', 'oci', ['two:1']);
    expect(names()).toEqual(['docker.io/library/one:1', 'docker.io/library/two:2', 'docker.io/library/two:1']);
    const after = read('index.json').manifests;
    expect(after.slice(0, 2)).toEqual([before[0], before[2]]);
    expect(after[2].digest).not.toBe(before[1].digest);
    for (const { digest } of after) {
      expect(readdirSync(join(out, 'blobs/sha256'))).toContain(digest.slice(7));
    }
  });

  it('has one image without a name', async () => {
    await build('one', 'oci', []);
    await build('named', 'oci', ['one:1']);
    await build('two', 'oci', []);
    expect(names()).toEqual(['docker.io/library/one:1', '']);
  });

  it("keeps docker's list, too", async () => {
    await build('one', 'docker', ['one:1']);
    await build('two', 'docker', ['two:1', 'two:2']);
    await build('nameless', 'docker', []);
    await build('other', 'docker', ['two:1']);
    const tags = () => read('manifest.json').map((entry: Entry) => entry.RepoTags);
    expect(tags()).toEqual([['one:1'], ['two:2'], null, ['two:1']]);
    await build('again', 'docker', []);
    expect(tags()).toEqual([['one:1'], ['two:2'], ['two:1'], null]);
    expect(names()).toEqual(['docker.io/library/one:1', 'docker.io/library/two:2', 'docker.io/library/two:1', '']);
  });

  it('has all images of builds at the same time, by whatever name they know the folder', async () => {
    mkdirSync(out);
    const link = join(shop.folder, 'link');
    symlinkSync(out, link);
    const own = (name: string) =>
      new Map([['index.json', { manifests: [{ digest: name, annotations: { 'io.containerd.image.name': name } }] }]]);
    const tags = Array.from({ length: 12 }, (_, index) => `n${index}`);
    const lockFolder = join(shop.folder, 'locks');
    await Promise.all(
      tags.map((name, index) => writeLayoutDocuments(own(name), { folder: index % 2 === 0 ? out : link, lockFolder, signal: signal() })),
    );
    expect(names().sort()).toEqual(tags.sort());
    expect(readdirSync(lockFolder)).toEqual([]);
  });

  it('that is damaged is refused and stays', async () => {
    await build('one', 'oci', ['one:1']);
    writeFileSync(join(out, 'index.json'), '{');
    expect(await thrown(build('two', 'oci', ['two:1']))).toMatchObject({ code: 'IMAGE_CORRUPT' });
    expect(readFileSync(join(out, 'index.json'), 'utf8')).toBe('{');
  });
});
