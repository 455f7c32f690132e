import { readFileSync } from 'node:fs';
import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { identifyProcess, isAlive } from '../../base/host/process.ts';
import type { HomePaths } from '../../base/paths.ts';
import { type ApiClient, connectApi } from '../api/client/client.ts';
import { stackPaths } from '../model/stack-paths.ts';
import { startSupervisor, supervisorErrors } from './start-supervisor.ts';

export interface SupervisorLinkOptions {
  readonly stack: string;
  readonly paths: HomePaths;
  /** Whether the database says that something runs, for which there has to be a supervisor. */
  readonly isNeeded: () => Promise<boolean>;
}

/** Connects a command to the supervisor of its stack: the running one, or a new one. */
export class SupervisorLink {
  readonly #options: SupervisorLinkOptions;
  #api: ApiClient | undefined;
  /** Of the supervisor that answers. */
  #pid = 0;
  #starting: Promise<ApiClient> | undefined;
  #recovered: readonly string[] = [];

  constructor(options: SupervisorLinkOptions) {
    this.#options = options;
  }

  /** The supervisor, started if there is none. `onNotice` gets messages about what a new one found and repaired. */
  async demand(onNotice: (message: string) => void, signal?: AbortSignal): Promise<ApiClient> {
    const api = this.#api ?? (await this.#startOnce(signal));
    this.#tell(onNotice);
    return api;
  }

  /** The start that concurrent calls share: an attached `up` asks for events and for `up` at the same time. */
  #startOnce(signal?: AbortSignal): Promise<ApiClient> {
    this.#starting ??= this.#connectOrStart(signal).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  /** The supervisor when something runs; one that was killed while machines run is replaced. */
  async ifRunning(onNotice: (message: string) => void): Promise<ApiClient | undefined> {
    const api = this.#api ?? (await this.#connect());
    if (api !== undefined || !(await this.#options.isNeeded())) {
      return api;
    }
    const started = await this.#start();
    this.#tell(onNotice);
    return started;
  }

  close(): void {
    this.#api?.close();
    this.#api = undefined;
  }

  /**
   * `down` leaves no process behind, so it waits for the supervisor's last steps; in vain when somebody else is
   * connected. Node has no event for the end of a process that is not its child.
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
    // A socket without a listener refuses at once.
    const api = connectApi(stackPaths(this.#options.stack).apiSocket, () => lastWords(this.#options));
    try {
      const { pid } = await api.rpc.info({}, { timeoutMs: 10_000 });
      this.#pid = pid;
      this.#api = api;
      return api;
    } catch {
      api.close();
      return undefined;
    }
  }

  async #start(signal?: AbortSignal): Promise<ApiClient> {
    const { stack, paths } = this.#options;
    const deadline = Date.now() + LOCKED_FOR_MS;
    for (;;) {
      try {
        this.#recovered = await startSupervisor(stack, paths, signal);
      } catch (error) {
        // Another command started one at the same moment, or the last one is just ending.
        if (!(error instanceof HyprError && error.code === 'HYPR_LOCKED') || Date.now() > deadline) {
          throw error;
        }
        await sleep(100, signal);
      }
      const api = await this.#connect();
      if (api !== undefined) {
        return api;
      }
      if (Date.now() > deadline) {
        throw new HyprError('SUPERVISOR_FAILED', `the supervisor of ${stack} started but does not answer`);
      }
    }
  }
}

/** The last lines that a failed supervisor wrote. */
const lastWords = ({ paths, stack }: SupervisorLinkOptions): string[] => {
  try {
    const lines = readFileSync(supervisorErrors(paths, stack), 'utf8').split('\n');
    return lines.filter((line) => line.trim() !== '').slice(-8);
  } catch {
    return [];
  }
};

const LOCKED_FOR_MS = 15_000;
const ENDING_MS = 1_000;
