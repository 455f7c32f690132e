import { basename } from 'node:path';
import { runtimeDir, stackRuntimeDir } from '../../../base/paths.ts';
import type { ApiClient } from '../../api/client/client.ts';
import { eventFrom } from '../../api/messages/events.ts';
import type { EngineEvent, ReplicaStatus } from '../../model/events.ts';
import type { ObjectApi } from '../../model/types.ts';
import { followStacks } from '../../names/follow-stacks.ts';
import { familiarName } from '../shapes/names.ts';

/** One message of `GET /events`, with its attributes as docker has them. */
export interface DockerEvent {
  readonly type: 'container' | 'image' | 'network' | 'volume';
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

const MOST_KEPT = 1000;
/** What hypr says and docker does not. */
const UNKNOWN_TO_DOCKER: ReadonlySet<string> = new Set(['update', 'listening', 'suspend', 'resume', 'exec']);

/**
 * What happens to machines of all stacks, told by their supervisors, which do not stay for it; and what is done through this process to
 * images, networks and volumes. Supervisors are listened to while somebody listens here.
 */
export class Events {
  readonly #objects: Pick<ObjectApi, 'replicas'>;
  readonly #sees: (replica: ReplicaStatus, folder: string) => boolean;
  readonly #kept: DockerEvent[] = [];
  readonly #listeners = new Set<(event: DockerEvent) => void>();
  /** Machines as they were told last, by id, with the folder of their stack. */
  readonly #known = new Map<string, { readonly status: ReplicaStatus; readonly folder: string }>();
  /** Of each stack's folder the machines that its supervisor has spoken of: what it says first is how they are. */
  readonly #spoken = new Map<string, Set<string>>();
  #end: (() => void) | undefined;

  /** `sees`: whether events of a machine are told here. */
  constructor(objects: Pick<ObjectApi, 'replicas'>, sees: (replica: ReplicaStatus, folder: string) => boolean = () => true) {
    this.#objects = objects;
    this.#sees = sees;
  }

  /** Calls `listener` from now on; returns a function that ends it. */
  listen(listener: (event: DockerEvent) => void): () => void {
    this.#listeners.add(listener);
    this.#follow();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) {
        this.close();
      }
    };
  }

  /** What happened since then, as far as it is kept. */
  since(time: number): DockerEvent[] {
    return this.#kept.filter((event) => event.time >= time);
  }

  tell(event: Omit<DockerEvent, 'time'>, time = Date.now()): void {
    const full = { ...event, time };
    this.#kept.push(full);
    this.#kept.splice(0, this.#kept.length - MOST_KEPT);
    for (const listener of [...this.#listeners]) {
      listener(full);
    }
  }

  close(): void {
    this.#end?.();
    this.#end = undefined;
    this.#known.clear();
    this.#spoken.clear();
  }

  #follow(): void {
    if (this.#end !== undefined) {
      return;
    }
    for (const { status, stack } of this.#objects.replicas()) {
      this.#known.set(status.id, { status, folder: basename(stackRuntimeDir(stack)) });
    }
    this.#end = followStacks(runtimeDir(), readEvents, (folder, event) =>
      event === undefined ? this.#left(folder) : this.#take(folder, event),
    );
  }

  #take(folder: string, event: EngineEvent): void {
    if (event.type !== 'replica' || !this.#sees(event.replica, folder)) {
      return;
    }
    const { replica, action, time } = event;
    const before = this.#known.get(replica.id)?.status;
    if (event.gone === true) {
      this.#known.delete(replica.id);
    } else {
      this.#known.set(replica.id, { status: replica, folder });
    }
    // What a supervisor says first of each machine, which may have been made or started before it was heard.
    const spoken = this.#spoken.get(folder) ?? new Set();
    const isFirst = !spoken.has(replica.id);
    this.#spoken.set(folder, spoken.add(replica.id));
    const actions = action === 'update' && isFirst ? between(before, replica) : [action];
    for (const each of actions) {
      if (!UNKNOWN_TO_DOCKER.has(each)) {
        this.tell(containerEvent(each, replica), time);
      }
    }
  }

  /** Its supervisor is gone: what it did last is in the database. */
  #left(folder: string): void {
    this.#spoken.delete(folder);
    const now = new Map(this.#objects.replicas().map(({ status }) => [status.id, status]));
    for (const [id, known] of [...this.#known]) {
      if (known.folder !== folder) {
        continue;
      }
      const status = now.get(id);
      for (const action of status === undefined ? gone(known.status) : between(known.status, status)) {
        this.tell(containerEvent(action, known.status));
      }
      if (status === undefined) {
        this.#known.delete(id);
      } else {
        this.#known.set(id, { status, folder });
      }
    }
  }
}

async function* readEvents(api: ApiClient, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  for await (const message of api.rpc.eventsPassive({ logs: false, usage: false }, { signal })) {
    const event = eventFrom(message);
    if (event !== undefined) {
      yield event;
    }
  }
}

const isUp = ({ state }: ReplicaStatus): boolean => ['running', 'paused', 'stopping'].includes(state);

const between = (before: ReplicaStatus | undefined, after: ReplicaStatus): string[] => [
  ...(before === undefined ? ['create'] : []),
  ...((before === undefined || !isUp(before)) && isUp(after) ? ['start'] : []),
  ...(before !== undefined && isUp(before) && !isUp(after) ? ['die'] : []),
];

const gone = (before: ReplicaStatus): string[] => [...(isUp(before) ? ['die'] : []), 'destroy'];

export const containerEvent = (
  action: string,
  replica: ReplicaStatus,
  more: Readonly<Record<string, string>> = {},
): Omit<DockerEvent, 'time'> => ({
  type: 'container',
  action: action === 'health_status' ? `health_status: ${replica.health}` : action,
  id: replica.id,
  attributes: {
    ...replica.labels,
    image: familiarName(replica.image),
    name: replica.name,
    ...(action === 'die' ? { exitCode: String(replica.exitCode) } : {}),
    ...more,
  },
});
