import { isAbsolute } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { UP_DEFAULTS, VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Stack } from '../../engine/model/types.ts';
import type { Invocation } from '../core/command-spec.ts';
import { showObjects } from './objects/show-objects.ts';
import { runDashboard } from './run-dashboard.tsx';
import type { Look } from './screen/look.ts';
import { RowsScreen, showRows } from './screen/show-rows.tsx';
import { drawStacks, type StackRow, type StacksState, stackRows } from './stacks-view.ts';
import { createKeyTable, type KeyTable } from './state/key-table.ts';

/**
 * What other commands change is read again so often. There is no event for it that can be relied on: a file's comes when SQLite writes its log,
 * and the change shows to readers a moment later, without one.
 */
const LOOK_MS = 2000;

type Choice = { readonly how: 'leave' } | { readonly how: 'objects' } | { readonly how: 'open' | 'up'; readonly row: StackRow };

/** All stacks of this user on a screen; Enter opens the dashboard of one, and leaving that comes back. Ends with 0. */
export const runStacks = async (invocation: Invocation): Promise<number> => {
  const { context } = invocation;
  const store = new StacksStore(invocation);
  const release = context.interrupts.take(() => store.choose({ how: 'leave' }));
  try {
    for (;;) {
      const choice = await store.show();
      if (choice.how === 'leave') {
        return 0;
      }
      store.say(
        choice.how === 'objects' ? await showObjects(invocation, store.keys, context.interrupts.signal) : await openOne(invocation, choice),
      );
    }
  } finally {
    release();
  }
};

/** The dashboard of one stack; gives what to say afterwards. */
const openOne = async (invocation: Invocation, { how, row }: Extract<Choice, { how: 'open' | 'up' }>): Promise<string> => {
  const { context } = invocation;
  const { name } = row;
  const engine = await context.engine();
  const stack = await engine.openStack({ name });
  try {
    const { project, noModel } = await projectOf(invocation, stack, row);
    if (how === 'up' && noModel !== undefined) {
      return `${name}: ${noModel}`;
    }
    // Machines stay what they are: flags of the `up` that made them are not recorded.
    const options = { ...UP_DEFAULTS, ignoreOrphans: true, noRecreate: true };
    await runDashboard({ invocation, stack, project, loaded: project, options, noModel }, how === 'up' ? 'up' : 'look');
    return '';
  } catch (error) {
    return `${name}: ${messageOf(error)}`;
  } finally {
    await stack.close();
  }
};

interface Found {
  readonly project: Project;
  /** Why there is no model to bring up: `project` then has the names of the services only. */
  readonly noModel: string | undefined;
}

/** The model of a stack, from the files, env files and profiles that it was last read with. */
const projectOf = async ({ context }: Invocation, stack: Stack, row: StackRow): Promise<Found> => {
  const { files, envFiles, profiles, workingDir } = row;
  const present = Object.fromEntries((await stack.ps()).map(({ service, image }) => [service, { image }]));
  const without = (noModel: string): Found => {
    const none = { disabledServices: {}, networks: {}, volumes: {}, secrets: {}, configs: {}, extensions: {}, environment: {} };
    return { project: { name: stack.name, workingDir: context.cwd, files: [], services: present, ...none }, noModel };
  };
  if (files.length === 0 || !files.every(isAbsolute)) {
    return without('its Compose file is not recorded; bring it up from where it was: hypr up');
  }
  const common = { projectDirectory: workingDir, envFiles, profiles, services: [], allResources: false, insecureRegistries: [] };
  try {
    const request = { ...common, files, projectName: stack.name, resolveEnv: true, env: context.env, cwd: context.cwd };
    const project = await context.loadProject(request);
    const missing = Object.keys(present).filter((name) => project.services[name] === undefined);
    return missing.length === 0
      ? { project, noModel: undefined }
      : without(`${missing.join(', ')} is not in its files as they are read here (a profile?); use: hypr -p ${stack.name} … up`);
  } catch (error) {
    return without(messageOf(error));
  }
};

class StacksStore extends RowsScreen<StacksState> {
  readonly #invocation: Invocation;
  readonly #keys: KeyTable;
  #chosen: (choice: Choice) => void = () => {};

  constructor(invocation: Invocation) {
    super({ rows: [], cursor: 0, message: '' });
    this.#invocation = invocation;
    this.#keys = createKeyTable(invocation.context.settings.read());
  }

  get keys(): KeyTable {
    return this.#keys;
  }

  say(message: string): void {
    this.change({ message });
  }

  choose(choice: Choice): void {
    this.#chosen(choice);
  }

  /** Resolves when the normal screen is restored. */
  async show(): Promise<Choice> {
    await this.#look();
    const chosen = new Promise<Choice>((resolve) => {
      this.#chosen = resolve;
    });
    const timer = setInterval(() => void this.#look(), LOOK_MS);
    return showRows(this.#invocation, this, chosen).finally(() => clearInterval(timer));
  }

  draw(look: Look): string[] {
    return drawStacks(this.get(), look, this.#invocation.context.home);
  }

  press(key: string): void {
    const { rows, cursor } = this.get();
    const row = rows[cursor];
    if (key === 'q' || key === 'd' || key === 'escape' || key === 'ctrl+c') {
      this.choose({ how: 'leave' });
    } else if (key === 'j' || key === 'down' || key === 'k' || key === 'up') {
      const next = cursor + (key === 'j' || key === 'down' ? 1 : -1);
      this.change({ cursor: Math.max(0, Math.min(rows.length - 1, next)), message: '' });
    } else if (this.#keys.actionOf(key) === 'objects') {
      this.choose({ how: 'objects' });
    } else if (row !== undefined && (key === 'return' || key === 'u')) {
      this.choose({ how: key === 'u' ? 'up' : 'open', row });
    } else if (row !== undefined && key === 's') {
      void this.#stop(row.name);
    }
  }

  async #look(): Promise<void> {
    try {
      const engine = await this.#invocation.context.engine();
      const rows = stackRows(await engine.listStacks({ all: true }), (await engine.openObjects()).replicas());
      this.change({ rows, cursor: Math.max(0, Math.min(this.get().cursor, rows.length - 1)) });
    } catch (error) {
      this.change({ message: messageOf(error) });
    }
  }

  async #stop(name: string): Promise<void> {
    const { context } = this.#invocation;
    this.say(`stopping ${name}`);
    try {
      const stack = await (await context.engine()).openStack({ name });
      await stack.verb('stop', undefined, VERB_DEFAULTS, () => {}, context.interrupts.signal).finally(() => stack.close());
      this.say(`${name} is stopped`);
    } catch (error) {
      this.say(`${name}: ${messageOf(error)}`);
    }
    await this.#look();
  }
}
