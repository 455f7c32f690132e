import type { Place } from '../../base/errors.ts';
import type { MapNode } from '../source/node.ts';
import type { Origins } from '../source/origins.ts';
import type { Project } from './model.ts';
import type { Warning } from './warnings.ts';

/** What the files or their folder call the project, before the model is loaded. */
export interface NamedProject {
  readonly name: string;
  readonly workingDir: string;
  /** Names of the services in the project's own files, without those of included ones. */
  readonly services: readonly string[];
}

/**
 * Gets a Compose file that is not on this host (`remote-file.ts` says which): the path of the local copy, whose folder also has what
 * comes with it. The same reference gives the same path within one load.
 */
export type FetchFile = (reference: string) => Promise<string>;

/** What to load and how; the flags and variables of `docker compose`. Absent means compose's default. */
export interface LoadOptions {
  /** The folder the command was called in; absolute. */
  readonly cwd: string;
  /** -f, in order; `-` is standard input. Empty: COMPOSE_FILE, else the default names. */
  readonly files?: readonly string[];
  readonly projectDirectory?: string | undefined;
  readonly projectName?: string | undefined;
  /** Says what the project is called in the end; not asked where -p, COMPOSE_PROJECT_NAME or standard input decide. */
  readonly nameFor?: ((project: NamedProject) => Promise<string>) | undefined;
  readonly envFiles?: readonly string[];
  /** --profile; `*` is all. Empty: COMPOSE_PROFILES. */
  readonly profiles?: readonly string[];
  /** Services named on the command line: they and what they depend on are kept, their profiles enabled. */
  readonly services?: readonly string[];
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Reads standard input, for `-f -`. */
  readonly stdin?: () => Promise<Uint8Array>;
  /** Without it files that are not on this host are refused. */
  readonly fetchFile?: FetchFile | undefined;
  /** Ends the reading of what may take for ever. */
  readonly signal?: AbortSignal | undefined;
  readonly interpolate?: boolean;
  readonly normalize?: boolean;
  /** False: only merge, without a look at what the attributes are. */
  readonly validate?: boolean;
  readonly resolvePaths?: boolean;
  readonly consistency?: boolean;
  /** False: two services may have one `container_name`; listings do not look at that. */
  readonly uniqueNames?: boolean;
  /** False: leave `env_file` and `label_file` unread; what is not needed may be missing. */
  readonly resolveEnv?: boolean;
  /**
   * True: who joins a container of this project (`container:NAME`) depends on its service, in whatever order a command starts, stops or
   * lists them. `config` prints what docker compose does, and goes without.
   */
  readonly dependOnContainers?: boolean;
  /** True: the command builds images; builds that read one another in a circle are refused. */
  readonly builds?: boolean;
  /** True: keep networks, volumes, secrets, configs that no service uses. */
  readonly allResources?: boolean;
}

export interface LoadedProject {
  readonly project: Project;
  readonly warnings: readonly Warning[];
  /** The model before binding, with the origin of every value. */
  readonly tree: MapNode;
  /** Who gave the variables of interpolation their values. */
  readonly origins: Origins;
  /** Where the value at a path (e.g. `['services', 'web', 'image']`) or its nearest parent was written. */
  placeOf(path: readonly string[]): Place | undefined;
}
