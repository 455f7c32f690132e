import { readFileSync } from 'node:fs';
import { sleep } from '../../../base/deadline.ts';
import { HyprError } from '../../../base/errors.ts';
import { identifyProcess, isAlive } from '../../../base/host/process.ts';
import type { HomePaths } from '../../../base/paths.ts';
import { fromCallError } from '../../api/call-error.ts';
import { type ApiClient, connectApi } from '../../api/client/client.ts';
import type { InfoResponseJson } from '../../api/gen/hypr_pb.ts';
import { stackPaths } from '../../model/stack-paths.ts';
import { API_VERSION, VERSION } from '../../model/version.ts';
import { SharedWork } from './shared-work.ts';
import { startSupervisor, supervisorErrors } from './start-supervisor.ts';

export interface SupervisorLinkOptions {
  readonly stack: string;
  readonly paths: HomePaths;
  /** Whether the database records something running, which needs a supervisor. */
  readonly isNeeded: () => Promise<boolean>;
}

/** Connects a command to its stack's supervisor, running or newly started. */
export class SupervisorLink {
  readonly #options: SupervisorLinkOptions;
  #api: ApiClient | undefined;
  /** Pid of the supervisor that answers. */
  #pid = 0;
  /** An attached `up` asks for events and for `up` at the same time. */
  readonly #starting: SharedWork<ApiClient>;
  #recovered: readonly string[] = [];
  /** That it is of another version than this command, until that was told. */
  #age: string | undefined;
  /** What the supervisor says of itself, once it is connected. */
  #info: InfoResponseJson | undefined;

  constructor(options: SupervisorLinkOptions) {
    this.#options = options;
    this.#starting = new SharedWork((signal) => this.#connectOrStart(signal));
  }

  /** The supervisor, started if necessary. `onNotice` gets messages about what a new one found and repaired. */
  async demand(onNotice: (message: string) => void, signal?: AbortSignal): Promise<ApiClient> {
    const api = this.#api ?? (await this.#starting.join(signal));
    this.#tell(onNotice);
    return api;
  }

  /** The supervisor if something runs; one that was killed while machines run is replaced. */
  async ifRunning(onNotice: (message: string) => void): Promise<ApiClient | undefined> {
    const api = this.#api ?? (await this.#connect());
    if (api !== undefined || !(await this.#options.isNeeded())) {
      return api;
    }
    const started = await this.#start();
    this.#tell(onNotice);
    return started;
  }

  /** Tells once that another version of hypr was installed since the supervisor was started. */
  tellAge(onNotice: (message: string) => void): void {
    if (this.#age !== undefined) {
      onNotice(this.#age);
      this.#age = undefined;
    }
  }

  /** The HyprError behind a failed call: of one that the supervisor does not have, with how to end this supervisor. */
  failureOf(error: unknown): HyprError {
    const known = fromCallError(error);
    return known.code === 'SUPERVISOR_VERSION' && this.#info !== undefined
      ? new HyprError('SUPERVISOR_VERSION', known.message, { hint: howToEnd(this.#info), cause: error })
      : known;
  }

  close(): void {
    this.#api?.close();
    this.#api = undefined;
  }

  /**
   * Disconnects and waits for the supervisor's exit, because `down` should leave no process behind. Gives up when
   * another client is connected. Node has no exit event for a process that is not its child.
   */
  async closeAndAwaitEnd(): Promise<void> {
    this.close();
    const supervisor = this.#pid === process.pid ? undefined : identifyProcess(this.#pid);
    for (const deadline = Date.now() + ENDING_MS; supervisor !== undefined && isAlive(supervisor) && Date.now() < deadline; ) {
      await sleep(5);
    }
  }

  #tell(onNotice: (message: string) => void): void {
    for (const message of this.#recovered) {
      onNotice(message);
    }
    this.#recovered = [];
  }

  async #connectOrStart(signal?: AbortSignal): Promise<ApiClient> {
    return (await this.#connect()) ?? this.#start(signal);
  }

  async #connect(): Promise<ApiClient | undefined> {
    // Connecting to a socket without a listener fails at once.
    const api = connectApi(stackPaths(this.#options.stack).apiSocket, () => lastWords(this.#options));
    const info = await api.rpc.info({}, { timeoutMs: 10_000 }).catch(() => undefined);
    if (info === undefined || info.api !== API_VERSION) {
      api.close();
    }
    if (info === undefined) {
      return undefined;
    }
    checkVersion(info, this.#options.stack);
    this.#age = isOfOtherVersion(info) ? `${ageOf(info, this.#options.stack)}, which both understand; ${howToEnd(info)}` : undefined;
    this.#pid = info.pid ?? 0;
    this.#info = info;
    this.#api = api;
    return api;
  }

  async #start(signal?: AbortSignal): Promise<ApiClient> {
    const { stack, paths } = this.#options;
    let deadline = Date.now() + LOCKED_FOR_MS;
    for (let starts = 0; ; ) {
      try {
        this.#recovered = await startSupervisor(stack, paths, signal);
        starts += 1;
        deadline = Date.now() + LOCKED_FOR_MS;
      } catch (error) {
        // Another command is starting one at the same moment, or the previous one is just exiting.
        if (!(error instanceof HyprError && error.code === 'HYPR_LOCKED') || Date.now() > deadline) {
          throw error;
        }
        await sleep(100, signal);
      }
      const api = await this.#connect();
      if (api !== undefined) {
        return api;
      }
      if (starts >= MOST_STARTS || Date.now() > deadline) {
        throw new HyprError('SUPERVISOR_FAILED', `the supervisor of ${stack} started but does not answer`);
      }
    }
  }
}

/** Its machines run on when it ends, so that nobody has to stop a stack for an upgrade. */
export const howToEnd = ({ pid = 0 }: InfoResponseJson): string =>
  `end it: kill ${pid}. Its machines run on, and the next command starts a supervisor that takes them over`;

/** Whether it is the supervisor of another hypr than this one, which may understand it all the same. */
export const isOfOtherVersion = ({ api = 0, version = '' }: InfoResponseJson): boolean => api !== API_VERSION || version !== VERSION;

const ageOf = ({ api = 0, version = '' }: InfoResponseJson, stack: string): string =>
  api === API_VERSION
    ? `the supervisor of ${stack} is of hypr ${version}, this command of ${VERSION}`
    : `the supervisor of ${stack} is of ${api < API_VERSION ? 'an older' : 'a newer'} hypr (${version}, API ${api}) than this command (${VERSION}, API ${API_VERSION})`;

/** A supervisor lives as long as its stack and may be older than this command. Throws SUPERVISOR_VERSION. */
const checkVersion = (info: InfoResponseJson, stack: string): void => {
  if ((info.api ?? 0) !== API_VERSION) {
    throw new HyprError('SUPERVISOR_VERSION', ageOf(info, stack), { hint: howToEnd(info) });
  }
};

/** The last lines written by a failed supervisor. */
const lastWords = ({ paths, stack }: SupervisorLinkOptions): string[] => {
  try {
    const lines = readFileSync(supervisorErrors(paths, stack), 'utf8').split('\n');
    return lines.filter((line) => line.trim() !== '').slice(-8);
  } catch {
    return [];
  }
};

const LOCKED_FOR_MS = 15_000;
/** On a loaded host one may be slow to answer, or have given up waiting for its first client. */
const MOST_STARTS = 3;
const ENDING_MS = 1_000;
