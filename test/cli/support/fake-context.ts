import { PassThrough, Writable } from 'node:stream';
import { HyprError } from '../../../base/errors.ts';
import type { CliContext, ConfigArgs, ProjectOptions } from '../../../cli/core/context.ts';
import { Interrupts } from '../../../cli/core/interrupts.ts';
import type { Settings } from '../../../cli/core/settings.ts';
import { Terminal } from '../../../cli/core/terminal.ts';
import { runCli } from '../../../cli/entry/run.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { EngineApi } from '../../../engine/model/types.ts';
import { FakeEngine, NOW } from './fake-engine.ts';

/** A stream that remembers what was written. */
export class Capture extends Writable {
  text = '';
  isTTY = false;
  columns = 80;
  rows = 24;

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export class FakeInput extends PassThrough {
  isTTY = false;
  rawModes: boolean[] = [];

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  setRawMode(mode: boolean): this {
    this.rawModes.push(mode);
    return this;
  }
}

export interface FakeContext extends CliContext {
  readonly stdout: Capture;
  readonly stderr: Capture;
  readonly stdin: FakeInput;
  readonly fake: FakeEngine;
  readonly loaded: ProjectOptions[];
  readonly configs: ConfigArgs[];
  env: NodeJS.ProcessEnv;
  clock: number;
  /** The settings file. */
  stored: Settings;
}

export const fakeProject = (extra: Partial<Project> = {}): Project => ({
  name: 'shop',
  workingDir: '/shop',
  files: ['/shop/compose.yaml'],
  services: { web: { image: 'nginx' }, db: { image: 'postgres' } },
  disabledServices: {},
  networks: {},
  volumes: {},
  secrets: {},
  configs: {},
  models: {},
  extensions: {},
  environment: {},
  ...extra,
});

export const fakeContext = (
  options: { project?: Project | HyprError; engine?: Partial<EngineApi>; env?: NodeJS.ProcessEnv } = {},
): FakeContext => {
  const fake = new FakeEngine();
  const loaded: ProjectOptions[] = [];
  const configs: ConfigArgs[] = [];
  const context: FakeContext = {
    stdin: new FakeInput(),
    stdout: new Capture(),
    stderr: new Capture(),
    env: { LANG: 'C.UTF-8', TERM: 'xterm', ...options.env },
    cwd: '/shop',
    home: '/home/ann',
    clock: NOW,
    now: () => context.clock,
    interrupts: new Interrupts(),
    terminal: new Terminal(),
    settings: {
      path: '/home/ann/.hypr/settings.json',
      read: () => context.stored,
      write: async (settings) => {
        context.stored = settings;
      },
    },
    stored: {},
    fake,
    loaded,
    configs,
    engine: async () => ({ ...fake.api(), ...options.engine }),
    loadProject: async (request) => {
      loaded.push(request);
      const project = options.project ?? fakeProject();
      if (project instanceof HyprError) {
        throw project;
      }
      return project;
    },
    config: async (_, args) => {
      configs.push(args);
      return 'name: shop\n';
    },
  };
  return context;
};

/** Runs a command line written as in a shell, without quoting rules beyond single quotes. */
export const run = (context: FakeContext, line: string): Promise<number> =>
  runCli(
    [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? ''),
    context,
  );
