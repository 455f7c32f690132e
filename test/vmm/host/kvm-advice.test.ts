import { describe, expect, it } from 'vitest';
import { adviseKvm, isGuestItself, type KvmFacts } from '../../../vmm/host/kvm-advice.ts';

const AMD = 'processor\t: 0\nmodel name\t: x\nflags\t\t: fpu svm npt\nbugs\t\t:\n';
const INTEL = AMD.replace('svm npt', 'vmx ept');
const VIRTUAL = AMD.replace('svm npt', 'hypervisor');
const NEITHER = AMD.replace(' svm npt', '');

const facts = (more: Partial<KvmFacts> = {}): KvmFacts => ({
  cpuInfo: AMD,
  groups: 'root:x:0:\nvirt:x:36:bob\nkvm:x:104:ann,bob\n',
  user: 'eve',
  device: { mode: 0o20660, gid: 104 },
  ...more,
});

describe('how to get KVM', () => {
  it('where there is no device: the module, nested virtualisation or the firmware', () => {
    const { device: _, ...none } = facts();
    expect([AMD, INTEL, VIRTUAL, NEITHER, ''].map((cpuInfo) => adviseKvm('no-device', { ...none, cpuInfo }))).toEqual([
      'sudo modprobe kvm_amd; a container needs --device /dev/kvm',
      'sudo modprobe kvm_intel; a container needs --device /dev/kvm',
      'this host is a virtual machine itself: switch on nested virtualisation for it in its own host',
      'switch on virtualisation (VT-x, AMD-V or SVM) in the firmware',
      'switch on virtualisation (VT-x, AMD-V or SVM) in the firmware',
    ]);
  });

  it('where this user may not open it: the group that it really has', () => {
    expect(adviseKvm('no-permission', facts())).toBe('sudo usermod -aG kvm eve, then log in again');
    expect(adviseKvm('no-permission', facts({ device: { mode: 0o20660, gid: 36 } }))).toBe('sudo usermod -aG virt eve, then log in again');
  });

  it('where the group was given after the session began', () => {
    expect(adviseKvm('no-permission', facts({ user: 'ann' }))).toBe('log in again: ann is in the group kvm, but this session began before');
  });

  it('where only root may: never the group of root', () => {
    const rights = 'sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm && sudo usermod -aG kvm eve, then log in again';
    expect(adviseKvm('no-permission', facts({ device: { mode: 0o20660, gid: 0 } }))).toBe(rights);
    expect(adviseKvm('no-permission', facts({ device: { mode: 0o20600, gid: 104 } }))).toBe(rights);
    expect(adviseKvm('no-permission', facts({ device: { mode: 0o20660, gid: 0 }, groups: 'root:x:0:\n' }))).toBe(
      `sudo groupadd --system kvm && ${rights}`,
    );
  });

  it('where it was not tried', () => {
    expect(adviseKvm(undefined, facts())).toBe('unset HYPR_ACCEL, which decided it');
  });

  it('where no guest ran on it', () => {
    for (const refusal of ['no-guest', 'no-answer'] as const) {
      expect(adviseKvm(refusal, facts({ cpuInfo: VIRTUAL }))).toBe(
        'this host is a virtual machine itself, and what its own host gives it as KVM runs no Linux: it needs nested virtualisation by the processor',
      );
    }
    expect(adviseKvm('no-guest', facts())).toBe('the reason may be in the log of the kernel: sudo dmesg | grep -i kvm');
  });
});

it('a host that is a virtual machine itself is known by its processor', () => {
  expect([AMD, VIRTUAL, ''].map((cpuInfo) => isGuestItself({ cpuInfo }))).toEqual([false, true, false]);
});
