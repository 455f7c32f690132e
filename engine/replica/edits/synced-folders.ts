import { HyprError, messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { SyncedEvent, SyncedState } from '../../../guest/types.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { ReplicaSpec } from '../../model/spec.ts';
import type { Run } from '../boot/run.ts';

const log = logger('shares');

/** So many files of one run are told of by their names, and the others by their number: what a guest says is its own word, and may be anything. */
const MOST_TOLD = 50;

/** Whether a replica has folders of which its machine keeps a copy (`x-hypr.mount: synced`). */
export const isSynced = ({ mounts }: Pick<ReplicaSpec, 'mounts'>): boolean =>
  mounts.some((mount) => mount.kind === 'bind' && mount.synced !== undefined);

/** Refuses to remove what alone has some of what its programs wrote. */
export const refuseUnsynced = (replica: string, { left }: SyncedFolders): void => {
  if (left > 0) {
    throw new HyprError('SYNC_PENDING', `${replica} has ${left} files of its synced folders that this host does not have yet`, {
      hint: `start it again, and it carries them over; with -v it is removed together with them`,
    });
  }
};

/** Tells how the synced folders of a replica are: their filling, what both sides changed, what stays on its side, and a disk that is full. */
export class SyncedFolders {
  readonly #bus: EventBus;
  readonly #replica: string;
  /** The last that was heard, by the folder on this host. */
  readonly #states = new Map<string, SyncedState>();
  #told = 0;

  constructor(bus: EventBus, replica: string) {
    this.#bus = bus;
    this.#replica = replica;
  }

  /** Paths that were in the machine only when its last run ended in order. */
  get left(): number {
    return [...this.#states.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** Follows what the guest tells until its channel closes, which is after the last changes were carried to this host. */
  follow(run: Run): void {
    this.#states.clear();
    this.#told = 0;
    this.#listen(run).catch((error: unknown) =>
      log.warn('how synced folders are is not known', { replica: this.#replica, error: messageOf(error) }),
    );
  }

  async #listen(run: Run): Promise<void> {
    for await (const event of run.guest.events()) {
      const share = event.type === 'synced' && run.machine.record.spec.shares.find(({ tag }) => tag === event.share);
      if (event.type === 'synced' && share) {
        this.#note(event, share.path);
      }
    }
  }

  #note(event: SyncedEvent, folder: string): void {
    const { news, state } = event;
    const wasFull = this.#states.get(folder)?.full !== undefined;
    this.#states.set(folder, state);
    if (news === 'filling' || news === 'filled') {
      const [status, text] = news === 'filling' ? (['working', 'Filling'] as const) : (['done', 'Filled'] as const);
      const progress = { id: `Mount ${folder} of ${this.#replica}`, status, text, details: `${state.files} files` };
      this.#bus.emit({ type: 'progress', progress });
    } else if (news !== 'space' || wasFull) {
      const said = WARNINGS[news]?.(event, this.#replica);
      if (said !== undefined) {
        this.#tell(`${folder}: ${said}`, news === 'conflict' || news === 'left');
      }
    }
  }

  #tell(message: string, isOfOneFile: boolean): void {
    this.#told += isOfOneFile ? 1 : 0;
    if (!isOfOneFile || this.#told < MOST_TOLD) {
      this.#warn(message);
    } else if (this.#told === MOST_TOLD) {
      this.#warn(`${message}; further ones of ${this.#replica} are not told`);
    }
  }

  #warn(message: string): void {
    log.warn(message, { replica: this.#replica });
    this.#bus.emit({ type: 'warning', message });
  }
}

const WARNINGS: Partial<Record<SyncedEvent['news'], (event: SyncedEvent, replica: string) => string | undefined>> = {
  conflict: ({ path = '' }, replica) => `changed here and in ${replica} at once; what ${replica} wrote is in ${path} now`,
  left: ({ path = '', reason }) => `${path} stays on its side${reason === undefined ? '' : `: ${reason}`}`,
  full: ({ reason }, replica) =>
    `the disk of ${reason === 'host' ? 'this host' : replica} is full; nothing is lost, and it goes on when there is space`,
  space: () => 'there is space again, and it goes on',
  ended: ({ reason }, replica) =>
    reason === undefined ? undefined : `is not kept equal with ${replica} any more (${reason}); restart that`,
};
