import { afterEach, describe, expect, it, vi } from 'vitest';
import { AsyncQueue } from '../../../../base/queue.ts';
import type { Run } from '../../../../engine/replica/boot/run.ts';
import { ShareWatch } from '../../../../engine/replica/edits/share-watch.ts';
import type { ShareEdits } from '../../../../guest/types.ts';
import type { FolderChange, ShareSpec, Vmm } from '../../../../vmm/model/machine.ts';

const share = (tag: string, more: Partial<ShareSpec> = {}): ShareSpec => ({
  tag,
  path: `/host/${tag}`,
  readOnly: false,
  ownership: 'squash',
  ...more,
});

describe('programs that watch a share', () => {
  const abort: AbortController[] = [];
  afterEach(() => {
    for (const each of abort.splice(0)) {
      each.abort(new Error('the run has ended'));
    }
  });

  const open = (shares: ShareSpec[]) => {
    const watched: string[] = [];
    const changes = new AsyncQueue<FolderChange[]>();
    const told: ShareEdits[] = [];
    const controller = new AbortController();
    abort.push(controller);
    let answer = async () => {};
    const tellEdits = async (edits: ShareEdits) => {
      told.push(edits);
      await answer();
    };
    const run = { machine: { record: { spec: { shares } } }, guest: { tellEdits }, abort: controller } as unknown as Run;
    const vmm = {
      watchFolder: (path: string, _: AbortSignal, whole?: boolean) => {
        watched.push(whole ? `all of ${path}` : path);
        return changes;
      },
    } as unknown as Vmm;
    const until = async (count: number) => {
      while (told.length < count) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return told;
    };
    return { watched, changes, run, watch: new ShareWatch(vmm, 'web-1'), until, answerBy: (fn: () => Promise<void>) => (answer = fn) };
  };

  it('are told what is edited in its folder, once however many of them there are', async () => {
    const { watched, changes, run, watch, until } = open([share('share0'), share('share1', { readOnly: true })]);
    watch.begin(run, 'share1');
    watch.begin(run, 'share1');
    expect(watched).toEqual(['/host/share1']);
    void changes.push([{ kind: 'ready', path: '' }]);
    expect(await until(1)).toEqual([{ share: 'share1', written: [], appeared: [], gone: [], folders: [] }]);
    void changes.push([{ kind: 'written', path: 'a' }]);
    expect((await until(2))[1]).toEqual({ share: 'share1', written: ['a'], appeared: [], gone: [], folders: [] });
  });

  it('have no folder of this host watched by a name that is none of their shares, or by a file', () => {
    const { watched, run, watch } = open([share('share1', { file: true })]);
    for (const tag of ['share0', 'share1', 'share2', '', '..', '/host', '__proto__', 'x'.repeat(100_000)]) {
      watch.begin(run, tag);
    }
    expect(watched).toEqual([]);
  });

  it('hear what comes while the guest is busy afterwards, together', async () => {
    const { changes, run, watch, until, answerBy } = open([share('share0')]);
    watch.begin(run, 'share0');
    let go = () => {};
    answerBy(() => new Promise((resolve) => (go = resolve)));
    void changes.push([{ kind: 'written', path: 'a' }]);
    await until(1);
    void changes.push([{ kind: 'written', path: 'b' }]);
    void changes.push([{ kind: 'appeared', path: 'c' }]);
    answerBy(async () => {});
    go();
    expect((await until(2))[1]).toMatchObject({ written: ['b'], appeared: ['c'] });
  });

  it('is the guest itself of a synced one: of all that is in it, and every 30 s where not all can be watched', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const { watched, changes, run, watch, until } = open([share('share0', { synced: true })]);
      watch.begin(run, 'share0');
      expect(watched).toEqual(['all of /host/share0']);
      void changes.push([
        { kind: 'limit', path: '' },
        { kind: 'ready', path: '' },
      ]);
      expect(await until(1)).toMatchObject([{ folders: [] }]);
      await vi.advanceTimersByTimeAsync(30_000);
      expect((await until(2))[1]).toMatchObject({ share: 'share0', folders: [''] });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['is no folder of this host', 'share9', {}],
    ['is one file', 'share0', { file: true }],
  ] as const)('are not told of one that %s', (_, tag, more) => {
    const { watched, run, watch } = open([share('share0', more)]);
    watch.begin(run, tag);
    expect(watched).toEqual([]);
  });
});
