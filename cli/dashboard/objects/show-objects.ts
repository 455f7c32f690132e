import { onAbort } from '../../../base/abort.ts';
import { HyprError, messageOf } from '../../../base/errors.ts';
import type { EngineApi } from '../../../engine/model/types.ts';
import type { Invocation } from '../../core/command-spec.ts';
import type { Look } from '../screen/look.ts';
import { RowsScreen, showRows } from '../screen/show-rows.tsx';
import type { KeyTable } from '../state/key-table.ts';
import { drawObjects, type ObjectsState } from './draw-objects.ts';
import { KINDS, type Kind, type ObjectRow, readObjects } from './read-objects.ts';

/** There is no stream of events over all objects: what other commands change is read again so often. */
const LOOK_MS = 2000;

/** Volumes, networks and images of all stacks on a screen: what they take, who uses them; removes them once that was confirmed. Gives what to say afterwards. */
export const showObjects = async (invocation: Invocation, keys: KeyTable, signal: AbortSignal): Promise<string> => {
  const engine = await invocation.context.engine();
  const screen = new ObjectsScreen(engine, keys);
  await screen.look();
  const timer = setInterval(() => void screen.look(), LOOK_MS);
  const leave = onAbort(signal, () => screen.leave());
  try {
    await showRows(invocation, screen, screen.left);
    return '';
  } finally {
    leave();
    clearInterval(timer);
  }
};

class ObjectsScreen extends RowsScreen<ObjectsState> {
  readonly left: Promise<void>;
  readonly #engine: EngineApi;
  readonly #keys: KeyTable;
  #leave: () => void = () => {};
  /** What a yes does. */
  #asked: (() => Promise<string>) | undefined;

  constructor(engine: EngineApi, keys: KeyTable) {
    super({ kind: 'volumes', rows: { volumes: [], networks: [], images: [] }, cursor: 0, question: undefined, message: '' });
    this.#engine = engine;
    this.#keys = keys;
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  leave(): void {
    this.#leave();
  }

  draw(look: Look): string[] {
    return drawObjects(this.get(), look, this.#keys);
  }

  async look(): Promise<void> {
    try {
      const rows = await readObjects(this.#engine);
      const { cursor, kind } = this.get();
      this.change({ rows, cursor: Math.max(0, Math.min(cursor, rows[kind].length - 1)) });
    } catch (error) {
      this.change({ message: messageOf(error) });
    }
  }

  press(key: string): void {
    const { question, cursor, rows, kind } = this.get();
    if (question !== undefined) {
      this.#answer(key);
      return;
    }
    const action = this.#keys.actionOf(key);
    const move = (step: number): void => this.change({ cursor: Math.max(0, Math.min(rows[kind].length - 1, cursor + step)), message: '' });
    if (key === 'ctrl+c' || key === 'escape' || action === 'quit' || action === 'objects' || action === 'detach') {
      this.leave();
    } else if (action === 'down' || action === 'up') {
      move(action === 'down' ? 1 : -1);
    } else if (action === 'pageDown' || action === 'pageUp') {
      move(action === 'pageDown' ? 10 : -10);
    } else if (action === 'focus' || action === 'back') {
      const next = KINDS[(KINDS.indexOf(kind) + (action === 'focus' ? 1 : KINDS.length - 1)) % KINDS.length] ?? 'volumes';
      this.change({ kind: next, cursor: 0, message: '' });
    } else if (action === 'remove') {
      this.#askRemove(kind, rows[kind][cursor]);
    } else if (action === 'prune') {
      this.#askPrune(kind, rows[kind]);
    }
  }

  #answer(key: string): void {
    const work = this.#asked;
    this.#asked = undefined;
    this.change({ question: undefined });
    if (key === 'y' && work !== undefined) {
      this.change({ message: 'removing' });
      void work()
        .catch((error: unknown) => describe(error))
        .then((message) => this.change({ message }))
        .then(() => this.look());
    }
  }

  #askRemove(kind: Kind, row: ObjectRow | undefined): void {
    if (row === undefined) {
      return;
    }
    const kept = row.kept ?? (row.users.length === 0 ? undefined : `${row.users.join(', ')} use${row.users.length === 1 ? 's' : ''} it`);
    if (kept !== undefined) {
      this.change({ message: `${row.name} stays: ${kept}` });
      return;
    }
    this.#asked = async () => {
      await this.#remove(kind, row);
      return `${row.name} is removed`;
    };
    this.change({ question: `Remove ${kind.slice(0, -1)} ${row.name}${kind === 'volumes' ? ' and the data in it' : ''}?` });
  }

  #askPrune(kind: Kind, rows: readonly ObjectRow[]): void {
    const unused = rows.filter((row) => row.users.length === 0 && row.kept === undefined && row.isNamed !== true);
    if (unused.length === 0) {
      const named = rows.some((row) => row.users.length === 0 && row.isNamed === true);
      this.change({ message: named ? `${kind} with a name stay: remove one by itself` : `all ${kind} are in use` });
      return;
    }
    this.#asked = () => this.#prune(kind, unused);
    const what = kind === 'volumes' ? 'volumes and the data in them' : kind;
    this.change({ question: `Remove ${unused.length} ${what} that nothing uses (${unused.map(({ name }) => name).join(', ')})?` });
  }

  async #remove(kind: Kind, { ids, name }: ObjectRow): Promise<void> {
    if (kind === 'images') {
      await (await this.#engine.openImages()).remove(ids, { force: false });
      return;
    }
    const objects = await this.#engine.openObjects();
    await (kind === 'volumes' ? objects.removeVolume(name) : objects.removeNetwork(name, { force: false }));
  }

  /** What was asked about, and nothing that came to be unused since. */
  async #prune(kind: Kind, unused: readonly ObjectRow[]): Promise<string> {
    const failures: string[] = [];
    for (const row of unused) {
      await this.#remove(kind, row).catch((error: unknown) => failures.push(`${row.name}: ${describe(error)}`));
    }
    return `${unused.length - failures.length} ${kind} are removed${failures.length === 0 ? '' : `; ${failures.join('; ')}`}`;
  }
}

const describe = (error: unknown): string =>
  error instanceof HyprError && error.hint !== undefined ? `${error.message}; ${error.hint}` : messageOf(error);
