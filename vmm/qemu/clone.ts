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
export const loadClone = async (input: { qmp: Qmp; spec: MachineSpec; state: string; signal: AbortSignal | undefined }): Promise<void> => {
  const { qmp, signal } = input;
  await move(qmp, 'migrate-incoming', input.state, signal);
  for (const device of pluggedDevices(input.spec)) {
    await qmp.run('device_add', device, signal);
  }
};

/** Stops a guest whose memory is a file and writes all else of it, some hundred kilobytes, to another file. */
export const saveState = async (qmp: Qmp, state: string, signal?: AbortSignal): Promise<void> => {
  await qmp.run('stop', undefined, signal);
  await move(qmp, 'migrate', state, signal);
};

/** QEMU's own move of a machine's state to or from a file (docs/devel/migration), without memory that is a file already. */
const move = async (qmp: Qmp, command: 'migrate' | 'migrate-incoming', path: string, signal?: AbortSignal): Promise<void> => {
  await qmp.run(
    'migrate-set-capabilities',
    {
      capabilities: [
        { capability: 'x-ignore-shared', state: true },
        { capability: 'events', state: true },
      ],
    },
    signal,
  );
  const ended = awaitEnd(qmp);
  await qmp.run(command, { uri: `file:${path}` }, signal);
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
