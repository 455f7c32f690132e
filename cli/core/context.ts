import type { Place } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import type { EngineApi } from '../../engine/model/types.ts';
import type { Interrupts } from './interrupts.ts';
import type { SettingsFile } from './settings.ts';
import type { Terminal } from './terminal.ts';

export interface OutputStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface InputStream extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  setRawMode?(mode: boolean): unknown;
  ref?(): unknown;
  unref?(): unknown;
}

/** Where the model comes from; the members are docker compose's root flags. */
export interface ProjectOptions {
  readonly files: readonly string[];
  readonly projectName: string | undefined;
  readonly projectDirectory: string | undefined;
  readonly envFiles: readonly string[];
  readonly profiles: readonly string[];
  /** Services named on the command line: their profiles are switched on. */
  readonly services: readonly string[];
  /** The command brings the stack up, whose name is this folder's from then on. */
  readonly claimsName?: boolean;
  /** The command may build images of these services. */
  readonly builds?: boolean;
  /** False: the files of `env_file` and `label_file` are not needed and may be missing. */
  readonly resolveEnv?: boolean;
  /** False: two services may have one container_name, because nothing is made of the model. */
  readonly uniqueNames?: boolean;
  /** Names with `_` between their parts, as Compose v1 had them. */
  readonly compatibility?: boolean;
  /** Registries that Compose files may be fetched from over plain HTTP. */
  readonly insecureRegistries: readonly string[];
  /** Keep networks and volumes that no service uses. */
  readonly allResources: boolean;
  /** Only what is on this host's disks: nothing is fetched, and standard input is not read. */
  readonly onlyLocal?: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

export interface ConfigOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything outside the process that a command uses. Tests pass their own; `wiring.ts` uses the process's. */
export interface CliContext {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly home: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly interrupts: Interrupts;
  readonly terminal: Terminal;
  readonly settings: SettingsFile;
  /** Lazy: `--version` and `config` must load none of the engine. */
  readonly engine: () => Promise<EngineApi>;
  readonly loadProject: (options: ProjectOptions) => Promise<Project>;
  /** Source location of the value at a path, or of its nearest parent, in the project loaded last. */
  readonly placeOf?: (path: readonly string[]) => Place | undefined;
  readonly config: (options: ProjectOptions, args: ConfigArgs) => Promise<string>;
}

/** Flags of `config`, by their long names; `services` are the positional arguments. */
export interface ConfigArgs {
  readonly flags: Readonly<Record<string, string | boolean>>;
  readonly services: readonly string[];
}
