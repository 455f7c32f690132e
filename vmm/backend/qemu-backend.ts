import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { isAlive, isGone, signalProcess } from '../../base/host/process.ts';
import { watchFolder } from '../devices/watch-folder.ts';
import type { Machine, MachineRecord, SavedMachine, Vmm } from '../model/machine.ts';
import { buildQemuCommand, type QemuSettings } from '../qemu/command.ts';
import { QemuMachine } from '../qemu/machine.ts';
import { unusedPorts } from '../qemu/nics.ts';
import { removeLeftovers } from '../qemu/process-end.ts';
import { connectQmp } from '../qemu/qmp.ts';
import type { Templates } from '../template/types.ts';
import { giveBackCards } from '../vfio/take-cards.ts';
import { createZygotePool, type ZygotePool } from '../zygote/zygote-pool.ts';
import { backendName, bringUp, type CreateInput } from './bring-up.ts';
import { checkSpec, createMachine, destroyAll } from './create.ts';

export interface QemuOptions extends QemuSettings {
  /** The templates that machines are cloned from; without them every machine boots. */
  readonly templates?: Templates;
  /** The zygotes that machines are forked from; tests give their own pool. */
  readonly zygotePool?: ZygotePool;
}

/** The QEMU backend, for KVM and for software emulation alike. */
export const createQemuVmm = ({ templates, zygotePool, ...settings }: QemuOptions): Vmm => {
  const parts = { settings, templates, zygotePool: zygotePool ?? createZygotePool({ settings }) };
  return {
    name: backendName(settings),
    capabilities: {
      accelerated: settings.accelerator === 'kvm',
      pause: true,
      shares: settings.toolchain.virtiofsd !== undefined,
      hotplug: false,
      snapshot: templates !== undefined,
    },
    buildCommand: (spec) => buildQemuCommand(settings, spec),
    create: (spec, nicSockets, signal) => createMachine({ ...parts, spec, nicSockets, signal }),
    adopt: (record, signal) => adoptMachine(settings, record, signal),
    restore: (saved, nicSockets, signal) => restoreMachine({ ...parts, spec: saved.spec, nicSockets, signal }, saved),
    ...(templates === undefined ? {} : { templateFailed: (key) => templates.failed({ key }), close: () => templates.close() }),
    watchFolder: (path, signal, whole = false) => watchFolder({ program: settings.toolchain.shareJail, path, whole, signal }),
    sweep: sweepMachine,
    sweepPending: async (runDir) => {
      await sweepPendingProcesses(runDir);
      await giveBackCards(runDir);
    },
  };
};

/** A saved machine can only be resumed by the same programs: another QEMU may misread its state. */
const restoreMachine = async (input: CreateInput, saved: SavedMachine): Promise<Machine> => {
  const { settings, spec, nicSockets } = input;
  try {
    checkSpec(spec, nicSockets);
    const backend = backendName(settings);
    if (saved.backend !== backend) {
      throw new HyprError('VMM_START', `${spec.name} was saved with ${saved.backend}, and here machines run with ${backend}`, {
        hint: 'resume it where that is the same: a shell of another user, or without the group kvm, may lack /dev/kvm',
      });
    }
    if (saved.programs !== settings.toolchain.id) {
      throw new HyprError('VMM_SAVED', `${spec.name} was saved by other programs than those of now`);
    }
    if (!(await exists(saved.state))) {
      throw new HyprError('VMM_SAVED', `the saved memory of ${spec.name} is gone: ${saved.state}`);
    }
    return await bringUp(input, { kind: 'restored', layout: saved.layout }, { ram: undefined, state: saved.state });
  } finally {
    destroyAll(nicSockets);
  }
};

const adoptMachine = async (settings: QemuSettings, record: MachineRecord, signal?: AbortSignal): Promise<Machine | undefined> => {
  if (!isAlive(record.process)) {
    return undefined;
  }
  try {
    const qmp = await connectQmp(record.controlSocket, signal);
    return new QemuMachine(record, qmp, { child: undefined, freePorts: unusedPorts(record), launcher: settings.toolchain.machineJail });
  } catch (error) {
    signal?.throwIfAborted();
    if (isAlive(record.process)) {
      throw error;
    }
    return undefined;
  }
};

const sweepMachine = async (record: MachineRecord): Promise<void> => {
  signalProcess(record.process, 'SIGKILL');
  await isGone(record.process);
  await removeLeftovers(record);
};
