import { onAbort } from '../../../base/abort.ts';
import { sleep } from '../../../base/deadline.ts';
import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { FolderChange, ShareSpec, Vmm } from '../../../vmm/model/machine.ts';
import type { Run } from '../boot/run.ts';
import { PendingEdits } from './pending-edits.ts';

const log = logger('shares');

/** An editor writes in several steps. */
const SETTLE_MS = 20;
/** A guest hears of edits for a tenth of its time at most: a program that writes all the time is no reason to keep it busy. */
const REST = 9;
const LONGEST_REST_MS = 2_000;

/** How often all of a synced folder is looked at where not all of it can be watched. */
const LOOK_MS = 30_000;

/** Tells the guest of a run what is edited on this host in the folders that its programs watch. */
export class ShareWatch {
  readonly #vmm: Vmm;
  readonly #replica: string;
  /** Tags of shares that are watched, by run. */
  readonly #watched = new WeakMap<Run, Set<string>>();

  constructor(vmm: Vmm, replica: string) {
    this.#vmm = vmm;
    this.#replica = replica;
  }

  /** A program in the guest watches the share of this tag. Nothing happens for one that has no folder of this host, or is watched already. */
  begin(run: Run, tag: string): void {
    const share = run.machine.record.spec.shares.find((each) => each.tag === tag);
    const watched = this.#watched.get(run) ?? new Set();
    this.#watched.set(run, watched);
    if (share === undefined || share.file || watched.has(tag) || this.#vmm.watchFolder === undefined) {
      return;
    }
    watched.add(tag);
    const about = { replica: this.#replica, folder: share.path };
    log.info('programs watch a shared folder: they are told what is edited here', about);
    this.#follow(run, share).catch((error: unknown) => {
      if (!run.abort.signal.aborted) {
        log.warn('programs in the machine are not told what is edited in a shared folder', { ...about, reason: messageOf(error) });
      }
    });
  }

  async #follow(run: Run, { tag, path, synced }: ShareSpec): Promise<void> {
    const { signal } = run.abort;
    const pending = new PendingEdits();
    const changes = this.#vmm.watchFolder?.(path, signal, synced === true) ?? [];
    const failed = new AbortController();
    let isTelling = false;
    const tellAll = async () => {
      isTelling = true;
      try {
        await sleep(SETTLE_MS, signal);
        // Nothing may come between the last look and the end: what is added then would wait for the next edit.
        do {
          await tellSome(run, tag, pending);
        } while (!pending.isEmpty);
      } catch (error) {
        failed.abort(error);
      } finally {
        isTelling = false;
      }
    };
    let looking: NodeJS.Timeout | undefined;
    onAbort(signal, () => clearInterval(looking));
    for await (const some of changes) {
      failed.signal.throwIfAborted();
      for (const change of some) {
        this.#note(change, path);
        pending.add(change);
      }
      if (synced && some.some(({ kind }) => kind === 'limit')) {
        // No event tells of what is not watched.
        looking ??= setInterval(() => {
          pending.add({ kind: 'lost', path: '' });
          void (isTelling ? undefined : tellAll());
        }, LOOK_MS).unref();
      }
      // Also that there is nothing to tell: from then on the guest tells what programs change there from what is edited here.
      if (!isTelling && (!pending.isEmpty || some.some(({ kind }) => kind === 'ready'))) {
        void tellAll();
      }
    }
  }

  #note({ kind }: FolderChange, folder: string): void {
    if (kind === 'limit') {
      log.warn('not all folders of a share are watched: there are too many', { replica: this.#replica, folder });
    }
  }
}

/** Tells of some, and rests as long as the guest is due. */
const tellSome = async (run: Run, share: string, pending: PendingEdits): Promise<void> => {
  const { signal } = run.abort;
  const before = performance.now();
  await run.guest.tellEdits({ share, ...pending.take() }, signal);
  await sleep(Math.min(LONGEST_REST_MS, SETTLE_MS + (performance.now() - before) * REST), signal);
};
