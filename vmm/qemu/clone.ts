import { rejectOnAbort, withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { MachineSpec } from '../machine.ts';
import { pluggedDevices } from './command.ts';
import type { Qmp } from './qmp.ts';

const MOVE_MS = 30_000;

/**
 * Loads a template's device state into a stopped QEMU that maps its memory, and plugs in the machine's own
 * disks and cards: the guest finds them as soon as it goes on. Throws VMM_DIED or VMM_START.
 */
export const loadClone = async (input: LoadInput): Promise<void> => {
  const { qmp, saved, signal } = input;
  await move({ qmp, command: 'migrate-incoming', saved, signal });
  for (const device of pluggedDevices(input.spec)) {
    await qmp.run('device_add', device, signal);
  }
};

export interface LoadInput {
  readonly qmp: Qmp;
  readonly spec: MachineSpec;
  readonly saved: Saved;
  readonly signal?: AbortSignal | undefined;
}

/** Where a stopped guest is kept; without `ram` its memory is in `state`. */
export interface Saved {
  readonly ram: string | undefined;
  readonly state: string;
}

/** Stops a guest and writes what is not in its memory's file, some hundred kilobytes, to another file. */
export const saveState = async (qmp: Qmp, saved: Saved, signal?: AbortSignal): Promise<void> => {
  await qmp.run('stop', undefined, signal);
  await move({ qmp, command: 'migrate', saved, signal });
};

interface MoveInput extends Omit<LoadInput, 'spec'> {
  readonly command: 'migrate' | 'migrate-incoming';
}

/** QEMU's own move of a machine's state to or from a file (docs/devel/migration), without memory that is a file already. */
const move = async ({ qmp, command, saved, signal }: MoveInput): Promise<void> => {
  await qmp.run(
    'migrate-set-capabilities',
    {
      capabilities: [
        { capability: 'x-ignore-shared', state: saved.ram !== undefined },
        // Only pages with something in them: read one by one, all of them would become the host's to hold.
        { capability: 'mapped-ram', state: saved.ram === undefined },
        { capability: 'events', state: true },
      ],
    },
    signal,
  );
  const ended = awaitEnd(qmp);
  await qmp.run(command, { uri: `file:${saved.state}` }, signal);
  await withDeadline({ ms: MOVE_MS, what: "the state of a template's devices", signal }, (deadline) =>
    Promise.race([ended, rejectOnAbort(deadline)]),
  );
};

const awaitEnd = (qmp: Qmp): Promise<void> => {
  const ended = new Promise<void>((resolve, reject) => {
    qmp.onEvent(({ event, data }) => {
      if (event === 'MIGRATION' && data.status === 'completed') {
        resolve();
      } else if (event === 'MIGRATION' && data.status === 'failed') {
        reject(new HyprError('VMM_START', "QEMU could not move the state of a template's devices"));
      }
    });
    void qmp.closed.then(() => reject(new HyprError('VMM_DIED', "QEMU ended over the state of a template's devices")));
  });
  ended.catch(() => {});
  return ended;
};
