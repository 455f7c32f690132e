import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listChanges } from '../../builder/changes.ts';
import { importImage } from '../../builder/import.ts';
import { type ImageStore, openImageStore } from '../../builder/store/store.ts';
import type { Tool } from '../../vmm/model/tools.ts';
import { needs } from '../support/needs.ts';
import { dir, file, inPieces, type RawEntry, rawTar } from './layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from './store/find-mkfs.ts';

needs(noMkfs).describe('images and archives of files', () => {
  const signal = new AbortController().signal;
  let home: string;
  let store: ImageStore;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'hypr-changes-'));
    store = await openImageStore({ root: join(home, 'images'), toolchain: { mkfsErofs: mkfsErofs as Tool }, inUse: () => [] });
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const changesOver = async (base: readonly RawEntry[], layer: readonly RawEntry[], mounts: readonly string[] = []) => {
    const { diffId } = await store.addLayer(inPieces(rawTar(base)));
    const config = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } };
    const { id } = await store.addImage({ config, references: [] });
    const found = await listChanges(store, { imageId: id, layer: inPieces(rawTar(layer)), leaveOut: ['/etc/hosts'], mounts });
    return found.map(({ kind, path }) => `${kind} ${path}`);
  };

  test('what is new, what is written to, what is gone, and the folders above', async () => {
    const base = [dir('./'), dir('etc'), file('etc/group', 'a'), file('etc/passwd'), dir('tmp')];
    const layer = [dir('./'), dir('etc'), file('etc/group', 'ab'), file('etc/.wh.passwd'), dir('www'), file('www/page')];
    expect(await changesOver(base, layer)).toEqual([
      'changed /etc',
      'changed /etc/group',
      'deleted /etc/passwd',
      'added /www',
      'added /www/page',
    ]);
  });

  test("hypr's own files and what is mounted are none of them; the place of a mount is", async () => {
    const layer = [dir('./'), dir('etc'), file('etc/hosts'), dir('data'), file('data/below'), dir('run'), dir('run/hypr')];
    expect(await changesOver([dir('./'), dir('etc'), dir('run')], layer, ['/data'])).toEqual(['added /data']);
  });

  test('a folder that hides what was in it has lost that', async () => {
    const base = [dir('./'), dir('old'), file('old/one'), file('old/two')];
    expect(await changesOver(base, [dir('./'), dir('old'), file('old/.wh..wh..opq'), file('old/three')])).toEqual([
      'changed /old',
      'deleted /old/one',
      'added /old/three',
      'deleted /old/two',
    ]);
  });

  test('an archive, compressed or not, is an image of one layer with the config that was asked for', async () => {
    const tar = rawTar([dir('./'), file('app', 'x')]);
    const request = { reference: 'made:1', message: 'why', changes: ['CMD /app', 'ENV A=1'], platform: undefined, now: 0 };
    const tools = { decompressors: { zstd: undefined, igzip: undefined } as never, signal };
    const plain = await importImage(store, { ...request, tar: inPieces(tar) }, tools);
    const packed = await importImage(store, { ...request, tar: inPieces(gzipSync(tar)) }, tools);
    expect(packed.id).toBe(plain.id);
    expect(plain).toMatchObject({ references: ['docker.io/library/made:1'], config: { Cmd: ['/bin/sh', '-c', '/app'], Env: ['A=1'] } });
    expect(JSON.parse((await store.readConfig(plain.id)).toString())).toMatchObject({ history: [{ comment: 'why' }] });
  });
});
