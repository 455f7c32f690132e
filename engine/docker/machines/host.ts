import { existsSync } from 'node:fs';
import { HyprError } from '../../../base/errors.ts';
import { openObjects } from '../../client/objects.ts';
import { StackClient } from '../../client/stack-client.ts';
import type { RecordedEvent } from '../../model/events.ts';
import { stackPaths } from '../../model/stack-paths.ts';
import type { ImageApi, ObjectApi, ReplicaDetail, Stack } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import { Events } from './events.ts';
import { Execs } from './execs.ts';
import { OpenWork } from './open-work.ts';

/** How long a connection to a supervisor is kept after its last use: a container is made, attached to and started by several requests. */
const LINGER_MS = 5_000;

interface Opened {
  readonly stack: StackClient;
  users: number;
  timer: NodeJS.Timeout | undefined;
}

/** Who may not have everything gets less of it. */
export interface HostView {
  readonly objects?: (all: ObjectApi) => ObjectApi;
  readonly images?: (all: ImageApi) => ImageApi;
  /** Whether an event is told. */
  readonly sees?: (event: RecordedEvent) => boolean;
  /** Names, folders and proxies of this host are not told. */
  readonly hidesHost?: boolean;
}

/** What the routes work on: machines of all stacks, images, and what is known of programs and events while this process lives. */
export class Host {
  readonly objects: ObjectApi;
  readonly events: Events;
  readonly execs = new Execs();
  readonly work = new OpenWork();
  readonly #stacks = new Map<string, Opened>();
  readonly #view: HostView;
  #images: Promise<ImageApi> | undefined;

  constructor(view: HostView = {}) {
    this.#view = view;
    const objects = openObjects();
    this.objects = view.objects?.(objects) ?? objects;
    this.events = new Events(this.objects, view.sees);
  }

  get isHidden(): boolean {
    return this.#view.hidesHost === true;
  }

  /** What builds and pulls is most of the engine; it is loaded when it is asked for. */
  images(): Promise<ImageApi> {
    this.#images ??= import('../../client/whole-engine.ts').then(async ({ openImages }) => {
      const images = await openImages();
      return this.#view.images?.(images) ?? images;
    });
    return this.#images;
  }

  /** A machine of any stack by name, id or the beginning of an id. Throws 404, and 400 when it may be several. */
  find(reference: string): ReplicaDetail {
    const [found, other] = this.objects.replicas(reference.replace(/^\//, ''));
    if (found === undefined) {
      throw new ApiError(404, `No such container: ${reference}`);
    }
    if (other !== undefined) {
      throw new ApiError(400, `multiple IDs found with provided prefix: ${reference}`);
    }
    return found;
  }

  /** The same for work that may be done twice: a supervisor that was just ending is asked for no more. */
  async changeStack(name: string, work: (stack: Stack) => Promise<void>): Promise<void> {
    try {
      await this.withStack(name, work);
    } catch (error) {
      if (!(error instanceof HyprError && error.code === 'SUPERVISOR_GONE')) {
        throw error;
      }
      await this.withStack(name, work);
    }
  }

  /** Work on a machine's stack. */
  async withStack<T>(name: string, work: (stack: Stack) => Promise<T>): Promise<T> {
    const opened = this.#open(name);
    opened.users += 1;
    clearTimeout(opened.timer);
    try {
      return await work(opened.stack);
    } catch (error) {
      if (error instanceof HyprError && (error.code === 'SUPERVISOR_GONE' || error.code === 'SUPERVISOR_LOST')) {
        this.#forget(name, opened);
      }
      throw error;
    } finally {
      opened.users -= 1;
      if (opened.users === 0) {
        opened.timer = setTimeout(() => this.#forget(name, opened), LINGER_MS);
        opened.timer.unref();
      }
    }
  }

  /** Lets go of a stack, so that its supervisor can end: what is changed next is changed in the database. */
  letGo(name: string): void {
    const opened = this.#stacks.get(name);
    if (opened !== undefined && opened.users === 0) {
      this.#forget(name, opened);
    }
  }

  close(): void {
    for (const [name, opened] of this.#stacks) {
      this.#forget(name, opened);
    }
  }

  #open(name: string): Opened {
    const known = this.#stacks.get(name);
    // A supervisor that has nothing left to do ends also while a connection to it is kept.
    if (known !== undefined && (known.users > 0 || existsSync(stackPaths(name).apiSocket))) {
      return known;
    }
    if (known !== undefined) {
      this.#forget(name, known);
    }
    const opened: Opened = { stack: new StackClient(name, () => {}), users: 0, timer: undefined };
    this.#stacks.set(name, opened);
    return opened;
  }

  #forget(name: string, opened: Opened): void {
    clearTimeout(opened.timer);
    if (this.#stacks.get(name) === opened) {
      this.#stacks.delete(name);
    }
    void opened.stack.close();
  }
}
