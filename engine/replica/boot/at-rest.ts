import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bootMachine } from '../../machine/boot-machine.ts';
import { borrowVolumes } from '../../machine/borrow-volumes.ts';
import { type MachineParts, machineConfig, machineIdOf, machineSpec } from '../../machine/machine-config.ts';
import type { ReplicaSpec } from '../../model/spec.ts';
import type { VmRow } from '../../state/records.ts';
import type { BootContext } from './boot-context.ts';
import { readFiles, replicaDisks } from './disks.ts';
import { PowerDowns } from './power-down.ts';
import { DEFAULT_MEMORY_MIB, machineDir, type Run } from './run.ts';

/** A machine in which the files of a replica can be read and written; closing it writes them to its disks. */
export interface MachineAtRest extends AsyncDisposable, Pick<Run, 'guest'> {}

/**
 * Boots a machine with the disks of a replica that does not run, for its files alone: it has no network, no ports and no workload, and
 * the replica's row says nothing of it. `volumes`: with what is mounted in the replica, too. Throws as the boot of a replica.
 */
export const bootAtRest = async (
  vm: VmRow,
  { volumes }: { readonly volumes: boolean },
  context: BootContext,
  signal: AbortSignal,
): Promise<MachineAtRest> => {
  const spec = specAtRest(vm.spec, volumes);
  const parts = await partsAtRest({ ...vm, spec }, context, signal);
  const run = await bootMachine(
    {
      spec: machineSpec(parts),
      config: machineConfig({
        spec,
        parts,
        resolver: { names: {}, search: [], upstreams: [], options: [] },
        hosts: [],
        files: await readFiles(spec, context.environment),
        machineId: machineIdOf(vm.id),
      }),
      networks: [],
      platform: context.platform,
      onMachine: () => {},
      onGuest: (guest, booting) => borrowVolumes(guest, parts.mounts, () => {}, booting),
    },
    signal,
  );
  return {
    guest: run.guest,
    async [Symbol.asyncDispose]() {
      await new PowerDowns(vm.name, () => false).start(run, { stopSignal: SIGKILL, graceMs: 0 });
      run.abort.abort();
      await run.guest.close().catch(() => {});
      await run.machine.delete();
    },
  };
};

const SIGKILL = 9;

/** Mounts that are nobody's files are left out, and with `volumes: false` all of them. */
const specAtRest = (spec: ReplicaSpec, volumes: boolean): ReplicaSpec => ({
  ...spec,
  networks: [],
  extraHosts: [],
  sysctls: {},
  mounts: volumes ? spec.mounts.filter(({ kind }) => kind !== 'tmpfs' && kind !== 'docker') : [],
});

const partsAtRest = async (vm: VmRow, context: BootContext, signal: AbortSignal): Promise<MachineParts> => {
  const disks = await replicaDisks(vm, context, signal);
  const logs = join(context.platform.paths.logs, vm.stack);
  await mkdir(logs, { recursive: true, mode: 0o700 });
  return {
    ...disks,
    name: vm.name,
    runDir: machineDir(vm, context.platform),
    // Beside the console of its last run, which may have to be read yet.
    consoleLog: join(logs, `${vm.name}.files.console.log`),
    vcpus: 1,
    memoryMib: DEFAULT_MEMORY_MIB,
    nics: [],
    siblings: 0,
  };
};
