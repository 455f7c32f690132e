import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Project, Service } from '../../../compose/model/model.ts';
import type { EngineEvent, LogRecord, ReplicaState } from '../../../engine/model/events.ts';
import { DOWN_DEFAULTS, UP_DEFAULTS, VERB_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { DownOptions, ServiceVerb, UpOptions, VerbOptions } from '../../../engine/model/types.ts';
import type { Replica } from '../../../engine/replica/replica.ts';
import { StackSupervisor } from '../../../engine/stack/supervisor.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { openStateStore, type StateStore } from '../../../engine/state/store.ts';
import { removeAtExit } from '../../support/left-over.ts';
import { createFakePlatform, type FakePlatform } from './fake-platform.ts';
import { projectOf } from './project.ts';

export interface TestStack {
  readonly dir: string;
  readonly store: StateStore;
  readonly platform: FakePlatform;
  readonly supervisor: StackSupervisor;
  readonly events: EngineEvent[];
  up(project: Project, options?: Partial<UpOptions>, signal?: AbortSignal): Promise<void>;
  down(options?: Partial<DownOptions>, project?: Project): Promise<void>;
  verb(verb: ServiceVerb, options?: Partial<VerbOptions>): Promise<void>;
  row(name: string): VmRow;
  replica(name: string): Replica;
  /** `{ 'shop-db-1': 'running' }` */
  states(): Record<string, ReplicaState>;
  /** Resolves when `holds` does, looked at after every event. */
  until(holds: () => boolean): Promise<void>;
  reach(name: string, state: ReplicaState): Promise<void>;
  warnings(): string[];
  /** `start shop-db-1` in order. */
  actions(...kinds: string[]): string[];
  /** Another supervisor on the same database and host, as after a crash or a release of the first. */
  successor(): TestStack;
}

const NONE = new AbortController().signal;

/** Of a supervisor's bus while nobody asks: what its stack looks like is noted, and its events are recorded. */
export const OWN_SUBSCRIBERS = 2;

/** A supervisor of the stack `shop` on a fake host, with an image for each service. Cleaned up by itself. */
export const openTestStack = (): TestStack => {
  const dir = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-stack-')));
  // Before anything that can fail.
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const store = openStateStore(join(dir, 'home', 'hypr.db'));
  onTestFinished(() => store.close());
  return makeStack({ dir, store, platform: createFakePlatform(dir) });
};

const makeStack = (base: { dir: string; store: StateStore; platform: FakePlatform }): TestStack => {
  const supervisor = new StackSupervisor({ stack: 'shop', store: base.store, platform: base.platform });
  const events: EngineEvent[] = [];
  supervisor.bus.subscribe((event) => events.push(event));
  // Before the store closes: hooks of a test run last first.
  onTestFinished(() => supervisor.release());
  const replica = (name: string): Replica => {
    const found = supervisor.replicas.get(name);
    if (found === undefined) {
      throw new Error(`no replica ${name}`);
    }
    return found;
  };
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      if (holds()) {
        resolve();
        return;
      }
      const unsubscribe = supervisor.bus.subscribe(() => {
        if (holds()) {
          unsubscribe();
          resolve();
        }
      });
    });
  return {
    ...base,
    supervisor,
    events,
    up: (project, options = {}, signal = NONE) => supervisor.up(project, { ...UP_DEFAULTS, ...options }, signal),
    down: (options = {}, project) => supervisor.down(project, { ...DOWN_DEFAULTS, ...options }, NONE),
    verb: (verb, options = {}) => supervisor.verb(verb, undefined, { ...VERB_DEFAULTS, ...options }, NONE),
    row: (name) => replica(name).row,
    replica,
    states: () => Object.fromEntries([...supervisor.replicas.values()].map(({ row }) => [row.name, row.state])),
    until,
    reach: (name, state) => until(() => supervisor.replicas.get(name)?.row.state === state),
    warnings: () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])),
    actions: (...kinds) =>
      events.flatMap((event) =>
        event.type === 'replica' && kinds.includes(event.action) ? [`${event.action} ${event.replica.name}`] : [],
      ),
    successor: () => makeStack(base),
  };
};

/** A project whose images exist. */
export const shopOf = (stack: TestStack, services: Record<string, Service>, more: Partial<Project> = {}): Project => {
  const project = projectOf(services, more);
  for (const [name, service] of Object.entries(project.services)) {
    const reference = service.image ?? `shop-${name}`;
    if (!stack.platform.images.has(reference)) {
      stack.platform.addImage(reference);
    }
  }
  return project;
};

export const linesOf = async (records: AsyncIterable<LogRecord>): Promise<string[]> => {
  const lines: string[] = [];
  for await (const record of records) {
    lines.push(`${record.replica} ${record.line}`);
  }
  return lines;
};

export const waitTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
