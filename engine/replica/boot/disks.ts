import { HyprError } from '../../../base/errors.ts';
import type { FileSpec, MachineConfig } from '../../../guest/types.ts';
import type { DiskSpec } from '../../../vmm/model/machine.ts';
import { DISK_MIB, type ReplicaDisks } from '../../machine/machine-config.ts';
import type { ReplicaSpec } from '../../model/spec.ts';
import { readFileContent } from '../../resolve/file-content.ts';
import type { VmRow } from '../../state/records.ts';
import type { BootContext } from './boot-context.ts';

/** What backs a replica's root, writable layer and mounts. `attached`: disks that its machine has already. Throws IMAGE_NOT_FOUND. */
export const replicaDisks = async (
  vm: VmRow,
  { platform, volumes }: BootContext,
  signal: AbortSignal,
  attached?: readonly DiskSpec[],
): Promise<ReplicaDisks> => {
  const image = await platform.findImage(vm.imageId);
  if (image === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `the image of ${vm.name} (${vm.spec.image}) is no longer in the store`, {
      hint: 'run hypr compose up again to pull or build it',
    });
  }
  const [root, upper, mounts] = await Promise.all([
    platform.rootDisk(image),
    volumes.upper(vm.name),
    volumes.back(vm.spec, signal, attached),
  ]);
  return { root, upper, upperMib: vm.spec.diskMib ?? DISK_MIB, mounts };
};

export const ownHosts = (spec: ReplicaSpec, nics: MachineConfig['nics']): MachineConfig['hosts'] =>
  nics
    .flatMap(({ address, ipv6 }) => [address, ...(ipv6 === undefined ? [] : [ipv6.address])])
    .map((address) => ({ address, names: spec.domainname ? [`${spec.hostname}.${spec.domainname}`, spec.hostname] : [spec.hostname] }));

/** The contents of its secrets and configs. */
export const readFiles = (spec: ReplicaSpec, environment: Readonly<Record<string, string>>): Promise<FileSpec[]> =>
  Promise.all(
    spec.files.map(async (file) => {
      const { path, mode, uid, gid } = file;
      return { path, mode, uid, gid, content: await readFileContent(file, { service: spec.service, environment }) };
    }),
  );
