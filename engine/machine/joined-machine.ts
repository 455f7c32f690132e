import { HyprError } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { DiskSpec, Machine, MachineExit, MachineRecord, SavedMachine } from '../../vmm/model/machine.ts';
import { unplugDisks } from './late-disks.ts';

/** How long a guest that has answered `powerOff`, or was told to end, has to go. */
const GONE_MS = 5_000;
/** A channel that broke by itself: whether its whole machine ended shows within this. */
const LOST_MS = 1_000;

export interface JoinedMachineOptions {
  /** The replica whose machine it is. */
  readonly replica: string;
  readonly host: { readonly machine: Machine; readonly guest: GuestClient };
  /** The name under which that machine's guest knows the member. */
  readonly member: string;
  /** The member's own agent. */
  readonly guest: GuestClient;
  /** Whether another one in the machine uses a disk that was plugged in. */
  readonly isUsed: (disk: DiskSpec) => boolean;
  /** Called once it has ended and the disks are out that nobody uses any more. */
  readonly onUnplugged: () => void;
}

/**
 * The part of another replica's machine that one replica has: it lives as long as its agent, and ends with the machine. What is done
 * to a machine as a whole (pause, save, NICs) is not done to a part of it. Throws HYPR_UNSUPPORTED for that.
 */
export class JoinedMachine implements Machine {
  readonly exited: Promise<MachineExit>;
  readonly #options: JoinedMachineOptions;
  /** How it is to end: set before its agent may be gone. */
  #asked: 'off' | 'killed' | undefined;
  #onAsked: () => void = () => {};
  #isEnded = false;
  /** Its machine ended, and it with it. */
  #withHost = false;

  constructor(options: JoinedMachineOptions) {
    this.#options = options;
    const { host, guest, replica } = options;
    const asked = new Promise<void>((resolve) => {
      this.#onAsked = resolve;
    });
    const together = host.machine.exited.then(({ lastLines }): MachineExit => {
      this.#withHost ||= !this.#isEnded;
      return { reason: 'crashed', detail: `the machine of ${replica} ended, in which it ran`, lastLines };
    });
    const alone = guest.closed.then(async (): Promise<MachineExit> => {
      const gone = await Promise.race([together, asked, late(LOST_MS)]);
      return gone ?? { reason: this.#asked ?? 'crashed', ...(this.#asked ? {} : { detail: 'its agent was lost' }), lastLines: [] };
    });
    this.exited = Promise.race([alone, together]).then((exit) => {
      this.#isEnded = true;
      return exit;
    });
  }

  /** Whether it ended because its whole machine did. */
  get endedWithHost(): boolean {
    return this.#withHost;
  }

  /** That of the whole machine: its process and what belongs to it. */
  get record(): MachineRecord {
    return this.#options.host.machine.record;
  }

  async start(): Promise<void> {}

  pause(): Promise<void> {
    return this.#refuse('paused');
  }

  async resume(): Promise<void> {}

  save(): Promise<SavedMachine> {
    return this.#refuse('suspended');
  }

  async stop(timeout: number): Promise<MachineExit> {
    return (await this.#within(timeout)) ?? this.kill();
  }

  async kill(): Promise<MachineExit> {
    if (!this.#isEnded) {
      this.#ask('killed');
      const { host, member, guest } = this.#options;
      // Where its machine's guest does not answer either, that is ended by whoever owns it.
      await host.guest.endMember(member).catch(() => {});
      if ((await this.#within(GONE_MS)) === undefined) {
        await guest.close().catch(() => {});
      }
    }
    return this.exited;
  }

  async finish(): Promise<MachineExit> {
    this.#ask('off');
    return (await this.#within(GONE_MS)) ?? this.kill();
  }

  async delete(): Promise<void> {
    await this.kill();
    const { host, isUsed, onUnplugged } = this.#options;
    if (!this.#withHost && host.machine.record.plugged?.length) {
      await Promise.race([unplugDisks(host.machine, isUsed), host.machine.exited]);
      onUnplugged();
    }
  }

  memory(): Promise<number> {
    return this.#options.host.machine.memory();
  }

  release(): void {}

  #ask(how: 'off' | 'killed'): void {
    this.#asked = how;
    this.#onAsked();
  }

  #within(ms: number): Promise<MachineExit | undefined> {
    return Promise.race([this.exited, late(ms)]);
  }

  #refuse(what: string): Promise<never> {
    const { replica } = this.#options;
    return Promise.reject(
      new HyprError('HYPR_UNSUPPORTED', `a service in the machine of ${replica} cannot be ${what} by itself`, {
        hint: `stop and start it instead, or give it a machine of its own`,
      }),
    );
  }
}

const late = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
