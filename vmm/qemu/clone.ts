import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { MachineSpec } from '../model/machine.ts';
import { pluggedDevices } from './command.ts';
import type { Qmp } from './qmp.ts';

const MOVE_MS = 30_000;
/** Milliseconds for each MiB of memory, for slow disks. */
const MOVE_MS_PER_MIB = 100;

/**
 * Loads a template's device state into a stopped QEMU that maps its memory, and plugs in the machine's own
 * disks and NICs, which the guest finds as soon as it resumes. Throws VMM_DIED or VMM_START.
 */
export const loadClone = async (input: LoadInput): Promise<void> => {
  const { qmp, saved, signal } = input;
  await qmp.run('migrate-set-parameters', ONE_ANNOUNCEMENT, signal);
  await move({ qmp, command: 'migrate-incoming', saved, signal });
  for (const device of pluggedDevices(input.spec)) {
    await qmp.run('device_add', device, signal);
  }
};

/**
 * By default QEMU makes the guest announce its NIC five times, which wakes every machine of the network for nothing:
 * a clone announces itself when it is prepared. Zero is not safe: QEMU 10.0 then frees a timer that it uses again when
 * the guest resets the NIC.
 */
const ONE_ANNOUNCEMENT = { 'announce-rounds': 1 };

export interface LoadInput {
  readonly qmp: Qmp;
  readonly spec: MachineSpec;
  readonly saved: Saved;
  readonly signal?: AbortSignal | undefined;
}

/** The files of a stopped guest; without `ram` its memory is in `state`. */
export interface Saved {
  readonly ram: string | undefined;
  readonly state: string;
}

/** Reads the state of a stopped guest that has all its devices. Throws VMM_DIED, VMM_START, HYPR_TIMEOUT. */
export const loadWhole = async (input: Omit<MoveInput, 'command' | 'saved'> & { readonly state: string }): Promise<void> => {
  await input.qmp.run('migrate-set-parameters', { mode: SAME_HOST }, input.signal);
  await move({ ...input, command: 'migrate-incoming', saved: { ram: undefined, state: input.state } });
};

/** QEMU's mode for resuming on the same host. The mode for another host forbids disks of several files, which our root disks are. */
const SAME_HOST = 'cpr-reboot';

/** Stops a guest and writes its device state, some hundred kilobytes, to a file; its memory is in another file already. */
export const saveState = async (qmp: Qmp, saved: Saved, signal?: AbortSignal): Promise<void> => {
  await qmp.run('stop', undefined, signal);
  await qmp.run('migrate-set-parameters', { mode: SAME_HOST }, signal);
  await move({ qmp, command: 'migrate', saved, signal });
};

/** Writes a stopped guest with its memory, without a speed limit. */
export const saveWhole = async (input: Omit<MoveInput, 'command' | 'saved'> & { readonly state: string }): Promise<void> => {
  // 0 is no limit; QEMU's default of 128 MiB/s is meant for networks.
  await input.qmp.run('migrate-set-parameters', { 'max-bandwidth': 0, mode: SAME_HOST }, input.signal);
  await move({ ...input, command: 'migrate', saved: { ram: undefined, state: input.state } });
};

interface MoveInput extends Omit<LoadInput, 'spec'> {
  readonly command: 'migrate' | 'migrate-incoming';
  /** The guest's memory in MiB, if it is migrated too. */
  readonly memoryMib?: number;
}

/** Migrates a machine's state to or from a file (QEMU's docs/devel/migration), without memory that is in a file already. */
const move = async ({ qmp, command, saved, signal, memoryMib = 0 }: MoveInput): Promise<void> => {
  await qmp.run(
    'migrate-set-capabilities',
    {
      capabilities: [
        { capability: 'x-ignore-shared', state: saved.ram !== undefined },
        // Only pages that hold data: reading the others would allocate them on the host.
        { capability: 'mapped-ram', state: saved.ram === undefined },
        { capability: 'events', state: true },
      ],
    },
    signal,
  );
  const ended = awaitEnd(qmp);
  await qmp.run(command, { uri: `file:${saved.state}` }, signal);
  await withDeadline({ ms: MOVE_MS + memoryMib * MOVE_MS_PER_MIB, what: "the state of a machine's devices", signal }, () => ended);
};

const awaitEnd = (qmp: Qmp): Promise<void> => {
  const ended = new Promise<void>((resolve, reject) => {
    qmp.onEvent(({ event, data }) => {
      if (event === 'MIGRATION' && data.status === 'completed') {
        resolve();
      } else if (event === 'MIGRATION' && data.status === 'failed') {
        reject(new HyprError('VMM_START', "QEMU could not save or load the state of a machine's devices"));
      }
    });
    void qmp.closed.then(() => reject(new HyprError('VMM_DIED', "QEMU ended while it saved or loaded the state of a machine's devices")));
  });
  ended.catch(() => {});
  return ended;
};
