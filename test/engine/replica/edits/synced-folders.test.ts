import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Service } from '../../../../compose/model/model.ts';
import type { EngineEvent } from '../../../../engine/model/events.ts';
import type { SyncedEvent } from '../../../../guest/types.ts';
import { openTestStack, shopOf } from '../../support/stack.ts';

const folder = await mkdtemp(join(tmpdir(), 'synced-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const STATE = { filled: true, files: 7, waiting: 0, conflicts: 0, left: 0 };
const news = (what: SyncedEvent['news'], more: Partial<SyncedEvent> = {}): SyncedEvent => ({
  type: 'synced',
  share: 'share0',
  news: what,
  state: STATE,
  ...more,
});
const bind = (more: object = {}): Service => ({
  volumes: [{ type: 'bind', source: folder, target: '/app', 'x-hypr': { mount: 'synced' }, ...more }],
});

describe('a synced folder', () => {
  it('is a share that the guest is told to keep a copy of, filled before the workload starts, and flushed at the end', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: bind() }));
    const guest = stack.platform.guest('shop-web-1');
    expect(guest.config?.mounts).toMatchObject([{ kind: 'share', tag: 'share0', target: '/app', synced: true }]);
    expect(guest.settles).toBe(1);
    const shares = stack.store.vms()[0]?.machine?.spec.shares;
    expect(shares).toMatchObject([{ path: folder, synced: true }]);
    await stack.down();
    expect(guest.powerOffs).toMatchObject([{ flushMs: 300_000 }]);
  });

  it('is none where the mount, before its service, says shared, or where a service’s setting meets a file', async () => {
    await writeFile(join(folder, 'file'), 'x');
    const stack = openTestStack();
    const service: Service = {
      'x-hypr': { mount: 'synced' },
      volumes: [
        { type: 'bind', source: folder, target: '/a', 'x-hypr': { mount: 'shared' } },
        { type: 'bind', source: join(folder, 'file'), target: '/b' },
        { type: 'bind', source: folder, target: '/c' },
      ],
    };
    await stack.up(shopOf(stack, { web: service }));
    const mounts = stack.platform.guest('shop-web-1').config?.mounts ?? [];
    expect(mounts.map((mount) => [mount.target, 'synced' in mount])).toEqual([
      ['/a', false],
      ['/b', false],
      ['/c', true],
    ]);
    await stack.down();
  });

  it('cannot be a file', async () => {
    const stack = openTestStack();
    await writeFile(join(folder, 'file'), 'x');
    await expect(stack.up(shopOf(stack, { web: bind({ source: join(folder, 'file') }) }))).rejects.toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      message: expect.stringContaining('is no folder'),
    });
  });

  it('says what the guest tells of it, and is not removed with what only its machine has', async () => {
    const stack = openTestStack();
    const said: EngineEvent[] = [];
    stack.supervisor.bus.subscribe((event) => void said.push(event));
    await stack.up(shopOf(stack, { web: bind() }));
    const tell = (event: SyncedEvent) => stack.platform.guest('shop-web-1').tell(event);
    tell(news('filling'));
    tell(news('filled'));
    tell(news('conflict', { path: 'a.hypr-conflict-1' }));
    tell(news('left', { path: 'pipe', reason: 'it is a pipe' }));
    tell(news('full', { reason: 'host', state: { ...STATE, full: 'host' } }));
    tell(news('space'));
    tell(news('state', { share: 'share9' }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const warnings = said.flatMap((event) => (event.type === 'warning' ? [event.message.replace(folder, 'F')] : []));
    expect(warnings).toEqual([
      'F: changed here and in shop-web-1 at once; what shop-web-1 wrote is in a.hypr-conflict-1 now',
      'F: pipe stays on its side: it is a pipe',
      'F: the disk of this host is full; nothing is lost, and it goes on when there is space',
      'F: there is space again, and it goes on',
    ]);
    const progress = said.flatMap((event) => (event.type === 'progress' && event.progress.id.startsWith('Mount') ? [event.progress] : []));
    expect(progress.map(({ text, details }) => `${text} ${details}`)).toEqual(['Filling 7 files', 'Filled 7 files']);
    for (let index = 0; index < 200; index++) {
      tell(news('conflict', { path: `f${index}` }));
    }
    tell(news('state', { state: { ...STATE, waiting: 3 } }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(said.filter(({ type }) => type === 'warning').length).toBe(52);
    await expect(stack.down()).rejects.toMatchObject({ code: 'SYNC_PENDING' });
    await stack.down({ volumes: true });
    expect(stack.states()).toEqual({});
  });
});
