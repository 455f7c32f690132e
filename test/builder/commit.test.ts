import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CommitRequest, commitImage } from '../../builder/commit.ts';
import { type ImageStore, openImageStore } from '../../builder/store/store.ts';
import type { Tool } from '../../vmm/model/tools.ts';
import { needs } from '../support/needs.ts';
import { dir, file, inPieces, type RawEntry, rawTar } from './layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from './store/find-mkfs.ts';

needs(noMkfs).describe('an image of what a machine changed', () => {
  const signal = new AbortController().signal;
  let home: string;
  let store: ImageStore;
  let imageId: string;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'hypr-commit-'));
    store = await openImageStore({ root: join(home, 'images'), toolchain: { mkfsErofs: mkfsErofs as Tool }, inUse: () => [] });
    const { diffId } = await store.addLayer(inPieces(rawTar([dir('./'), dir('etc'), file('etc/base')])));
    const config = { Env: ['PATH=/bin', 'A=1'], Cmd: ['sh'], WorkingDir: '/srv' };
    const rootfs = { type: 'layers', diff_ids: [diffId] };
    imageId = (
      await store.addImage({
        config: { os: 'linux', architecture: 'amd64', author: 'first', config, rootfs, history: [{ created_by: 'base' }] },
        references: [],
      })
    ).id;
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const commit = (entries: readonly RawEntry[], more: Partial<CommitRequest> = {}) =>
    commitImage(
      store,
      {
        ...{
          imageId,
          layer: inPieces(rawTar(entries)),
          leaveOut: [],
          reference: 'made:1',
          author: undefined,
          message: undefined,
          changes: [],
        },
        ...{ command: 'sleep 1d', now: Date.UTC(2026, 0, 2), ...more },
      },
      signal,
    );
  const configOf = async (id: string) => JSON.parse((await store.readConfig(id)).toString());

  test('one more layer over the image it was, its config, and a step of its history', async () => {
    const image = await commit([dir('./'), dir('opt'), file('opt/new')], { author: 'me', message: 'why' });
    expect(await store.get('made:1')).toMatchObject({ id: image.id });
    expect(image.layers).toHaveLength(2);
    expect(await configOf(image.id)).toMatchObject({
      author: 'me',
      created: '2026-01-02T00:00:00.000Z',
      config: { Env: ['PATH=/bin', 'A=1'], Cmd: ['sh'], WorkingDir: '/srv' },
      history: [{ created_by: 'base' }, { created: '2026-01-02T00:00:00.000Z', created_by: 'sleep 1d', comment: 'why', author: 'me' }],
    });
  });

  test('what the machine was started with is in its config', async () => {
    const image = await commit([dir('./')], { runtime: { Cmd: ['serve'], Env: ['A=2', 'B=1'] }, changes: ['ENV C=3'] });
    expect((await configOf(image.id)).config).toEqual({ Env: ['A=2', 'B=1', 'C=3'], Cmd: ['serve'], WorkingDir: '/srv' });
  });

  test('secrets, mounts and what hypr writes are in no layer, and neither is a folder that only held them', async () => {
    const entries = [
      dir('./'),
      dir('etc'),
      file('etc/hosts'),
      dir('run'),
      dir('run/secrets'),
      file('run/secrets/key', 'SECRET'),
      file('new'),
    ];
    const image = await commit(entries, { leaveOut: ['/etc/hosts', '/run/secrets/key', '/run/secrets'] });
    const layer = readFileSync(store.layerTar(image.layers.at(-1) ?? '')).toString('latin1');
    expect(layer).toContain('new');
    expect(layer).not.toMatch(/SECRET|etc|run/);
  });

  describe('--change', () => {
    test('instructions are those of a Dockerfile', async () => {
      const changes = [
        'ENV A=2 B="x y"',
        'CMD ["top"]',
        'WORKDIR app',
        'EXPOSE 80',
        'USER me',
        'LABEL l=$A',
        'ENTRYPOINT echo hi',
        'VOLUME /data',
      ];
      const { config } = await configOf((await commit([dir('./')], { changes })).id);
      expect(config).toMatchObject({
        ...{ Env: ['PATH=/bin', 'A=2', 'B=x y'], WorkingDir: '/srv/app', ExposedPorts: { '80/tcp': {} }, User: 'me' },
        ...{ Labels: { l: '2' }, Entrypoint: ['/bin/sh', '-c', 'echo hi'], Volumes: { '/data': {} } },
      });
    });

    test.each([
      ['RUN true', 'HYPR_USAGE'],
      ['COPY a b', 'HYPR_USAGE'],
      ['NONSENSE', 'DOCKERFILE_SYNTAX'],
    ])('%s is refused before the machine is read', async (change, code) => {
      let isRead = false;
      const layer = (async function* () {
        isRead = true;
        yield new Uint8Array();
      })();
      await expect(commit([], { changes: [change], layer })).rejects.toMatchObject({ code });
      expect(isRead).toBe(false);
    });
  });
});
