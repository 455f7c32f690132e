import { readFile, stat } from 'node:fs/promises';
import { userName } from '../../base/host/user-name.ts';
import type { KvmRefusal } from './probe.ts';

/** What decides how a user gets KVM. */
export interface KvmFacts {
  /** The text of /proc/cpuinfo. */
  readonly cpuInfo: string;
  /** The text of /etc/group. */
  readonly groups: string;
  readonly user: string;
  /** Of /dev/kvm; absent when there is none. */
  readonly device?: { readonly mode: number; readonly gid: number };
}

/** Reads the facts of this host. What cannot be read is taken as empty: an advice is no reason to fail. */
export const findKvmFacts = async (): Promise<KvmFacts> => {
  const device = await stat('/dev/kvm').catch(() => undefined);
  return {
    cpuInfo: await readFile('/proc/cpuinfo', 'utf8').catch(() => ''),
    groups: await readFile('/etc/group', 'utf8').catch(() => ''),
    // A container may run a user that has no name.
    user: userName() ?? '$USER',
    ...(device === undefined ? {} : { device: { mode: device.mode, gid: device.gid } }),
  };
};

/** Pure: the command or step that makes KVM usable, or says where it has to be made so. */
export const adviseKvm = (refusal: KvmRefusal | undefined, facts: KvmFacts): string => {
  if (refusal === undefined) {
    return 'unset HYPR_ACCEL, which decided it';
  }
  if (refusal === 'no-permission') {
    return adviseRights(facts);
  }
  const flags = flagsOf(facts);
  const module = flags.has('svm') ? 'kvm_amd' : flags.has('vmx') ? 'kvm_intel' : undefined;
  if (refusal === 'no-device' && module !== undefined) {
    return `sudo modprobe ${module}; a container needs --device /dev/kvm`;
  }
  if (isGuestItself(facts)) {
    return refusal === 'no-device'
      ? 'this host is a virtual machine itself: switch on nested virtualisation for it in its own host'
      : 'this host is a virtual machine itself, and what its own host gives it as KVM runs no Linux: it needs nested virtualisation by the processor';
  }
  return refusal === 'no-device'
    ? 'switch on virtualisation (VT-x, AMD-V or SVM) in the firmware'
    : 'the reason may be in the log of the kernel: sudo dmesg | grep -i kvm';
};

/** Pure: this host is a virtual machine itself. */
export const isGuestItself = (facts: Pick<KvmFacts, 'cpuInfo'>): boolean => flagsOf(facts).has('hypervisor');

const flagsOf = ({ cpuInfo }: Pick<KvmFacts, 'cpuInfo'>): ReadonlySet<string> =>
  new Set(/^flags\s*:(.*)$/m.exec(cpuInfo)?.[1]?.trim().split(/\s+/) ?? []);

/** Whether the group of the device may use it, and who is in that group, differs by distribution. */
const adviseRights = ({ device, groups, user }: KvmFacts): string => {
  const entries = groups.split('\n').map((line) => line.split(':'));
  const owner = entries.find(([, , gid]) => device !== undefined && gid === String(device.gid));
  const name = owner?.[0];
  // The group of root has more rights than those to /dev/kvm.
  if (device === undefined || name === undefined || device.gid === 0 || (device.mode & 0o060) !== 0o060) {
    const make = entries.some(([group]) => group === 'kvm') ? '' : 'sudo groupadd --system kvm && ';
    return `${make}sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm && sudo usermod -aG kvm ${user}, then log in again`;
  }
  return owner?.[3]?.split(',').includes(user)
    ? `log in again: ${user} is in the group ${name}, but this session began before`
    : `sudo usermod -aG ${name} ${user}, then log in again`;
};
