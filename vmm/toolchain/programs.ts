import type { Tool, Toolchain } from '../model/tools.ts';

/** Programs from one source: the prefix of Debian packages, or the host. */
export interface Programs extends Pick<Toolchain, 'qemu' | 'qemuData' | 'virtiofsd' | 'mkfsErofs' | 'mkfsExt4' | 'resize2fs' | 'e2fsck'> {
  /** Changes with any of their versions. */
  readonly id: string;
  /** Decompressors, for the kernel and its modules. */
  readonly zstd: Tool;
  readonly xz: Tool;
  /** Absent with the user's own kernel, which has a modules.dep. */
  readonly depmod?: Tool;
  /** Folder of an unpacked musl-dev, to compile the guest agent with. */
  readonly musl?: string;
}

/** How to spawn a tool with these arguments. */
export const toolCommand = (tool: Tool, args: readonly string[]): { file: string; args: string[] } => ({
  file: tool.file,
  args: [...tool.prefix, ...args],
});
