/**
 * The programs of one toolchain, ready to be spawned. `prefix` is what must come before a program's own
 * arguments: the private dynamic loader and its library path, or nothing for programs from PATH.
 */
export interface Tool {
  readonly file: string;
  readonly prefix: readonly string[];
  readonly version: string;
  /** `toolchain` (our pinned prefix), `path` (found on the host) or `env` (set by HYPR_…). */
  readonly origin: 'toolchain' | 'path' | 'env';
}

export interface Toolchain {
  /** Changes when any part changes; part of cache keys of templates and verdicts. */
  readonly id: string;
  readonly qemu: Tool;
  /** Arguments QEMU needs to find its firmware. */
  readonly qemuData: readonly string[];
  readonly virtiofsd: Tool | undefined;
  readonly mkfsErofs: Tool;
  readonly mkfsExt4: Tool;
  readonly resize2fs: Tool;
  readonly e2fsck: Tool;
  /** Compiled from net/gateway. */
  readonly gvproxy: Tool;
  /** Compiled from vmm/jail/share.c: fences virtiofsd in. */
  readonly shareJail: string;
  /** Compiled from vmm/jail/machine.c: fences QEMU in. */
  readonly machineJail: string;
  /** Compiled from vmm/tsc.c: prints the rate of the host's time stamp counter. */
  readonly tsc: string;
  /** Compiled from vmm/preload: a library that QEMU is loaded with; null where it could not be. */
  readonly preload: string | null;
  /** Compiled from vmm/preload/shares.c: a library that virtiofsd is loaded with; null where it could not be. */
  readonly sharePreload: string | null;
  /** Uncompressed vmlinux (ELF with a PVH note) for QEMU's -kernel. */
  readonly kernel: string;
  readonly kernelRelease: string;
  /** cpio with kestrel as /init and the modules of docs/guest-protocol.md. */
  readonly initramfs: string;
  /** The same with the modules of KVM, for machines that run machines; null where the kernel has none. */
  readonly nestedInitramfs: string | null;
}

/** What a program is made of: our prefix, or a program of the host with the host's libraries. */
export const filesOfTool = (tool: Tool): string[] => {
  const own = [tool.file, ...tool.prefix.filter((each) => each.startsWith('/'))];
  return tool.prefix.length > 0 ? own : [...own, ...HOST_LIBRARIES];
};

export const HOST_LIBRARIES = ['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/nix/store', '/gnu/store'];

/** With this exit code the programs of vmm/jail end that cannot put their fence up (EX_REFUSED of fence.h). */
export const FENCE_REFUSED = 71;
