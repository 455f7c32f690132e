import type { MachineScheduler, RestingMachine } from '../../model/machine-scheduler.ts';
import type { MachinePool, MachineSize } from './machine-pool.ts';
import type { MachineProfile, WarmMachine } from './warm-machine.ts';

export interface StageMachineOptions {
  readonly name: string;
  readonly pool: MachinePool;
  readonly scheduler: MachineScheduler;
  readonly size: MachineSize;
}

/**
 * The machine of a stage: its first RUN takes it from the pool, the following ones keep it. Between two of them it may be given up
 * for want of memory, and where it cannot have what the next one needs, the stage takes another.
 */
export class StageMachine {
  readonly #options: StageMachineOptions;
  #warm: WarmMachine | undefined;
  #resting: RestingMachine | undefined;
  #hasTurn = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(options: StageMachineOptions) {
    this.#options = options;
  }

  /** Notes that a layer was made on the host. */
  addPlainLayer(diffId: string): void {
    this.#options.pool.addPlainLayer(diffId);
  }

  /** A machine whose root is exactly `layers`, with an empty writable layer. `park` ends its use. */
  async use(layers: readonly string[], profile: MachineProfile, signal: AbortSignal): Promise<WarmMachine> {
    const { pool, scheduler, name, size } = this.#options;
    clearTimeout(this.#linger);
    if (!this.#hasTurn) {
      await scheduler.turn({ warm: this.#warm?.canBecome(layers, profile) ?? false }, signal);
      this.#hasTurn = true;
    }
    try {
      if (this.#resting !== undefined) {
        this.#warm = scheduler.resume(this.#resting) ? this.#warm : undefined;
        this.#resting = undefined;
      }
      if (this.#warm?.canBecome(layers, profile) === true) {
        await this.#warm.become(layers, signal);
        return this.#warm;
      }
      await this.#leave();
      this.#warm = await pool.take({ name, layers, profile, size }, signal);
      return this.#warm;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** What can be seen of its machine (BuildMachine.look); nothing if it has none. */
  async look(): Promise<object> {
    return (await this.#warm?.machine.look()) ?? {};
  }

  /**
   * The step is over. The stage keeps its turn for a moment: the next step mostly comes at once, and a stage that took the turn
   * would have to start a machine, until each stage had one that waits.
   */
  park(): void {
    if (this.#hasTurn) {
      this.#linger = setTimeout(() => this.#rest(), this.#options.scheduler.lingerMs);
    }
  }

  /**
   * To be called before the stage waits for anything else: another stage has its turn then, and its machine may be given up.
   * Without that stages could wait for each other.
   */
  yieldTurn(): void {
    if (this.#hasTurn) {
      clearTimeout(this.#linger);
      this.#rest();
    }
  }

  /** The stage is over: another one may have its machine. */
  async end(): Promise<void> {
    clearTimeout(this.#linger);
    try {
      await this.#leave();
    } finally {
      this.#endTurn();
    }
  }

  /** Ends the machine: what is in it is of no use any more. */
  async close(): Promise<void> {
    clearTimeout(this.#linger);
    const warm = this.#take();
    try {
      await warm?.close();
    } finally {
      this.#endTurn();
    }
  }

  #rest(): void {
    const { scheduler } = this.#options;
    const warm = this.#warm;
    if (warm !== undefined) {
      this.#resting = {
        spare: false,
        giveUp: async () => {
          if (this.#warm === warm) {
            this.#warm = undefined;
            this.#resting = undefined;
          }
          await warm.close();
        },
      };
      scheduler.rest(this.#resting);
    }
    this.#endTurn();
  }

  /** Leaves the machine, if there still is one, to other stages. */
  async #leave(): Promise<void> {
    const warm = this.#take();
    if (warm !== undefined) {
      await this.#options.pool.give(warm);
    }
  }

  /** The machine that it has, now for the caller to end or to hand on. */
  #take(): WarmMachine | undefined {
    const isOwn = this.#resting === undefined || this.#options.scheduler.resume(this.#resting);
    const warm = isOwn ? this.#warm : undefined;
    this.#warm = undefined;
    this.#resting = undefined;
    return warm;
  }

  #endTurn(): void {
    if (this.#hasTurn) {
      this.#hasTurn = false;
      this.#options.scheduler.endTurn();
    }
  }
}
