import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { firstProgram } from '../../base/host/files.ts';
import { runProgram } from '../../base/host/process.ts';
import { shortHash } from '../../base/paths.ts';
import type { Tool } from '../model/tools.ts';
import type { Programs } from './programs.ts';
import { isAtLeast, parseVersion } from './versions.ts';

interface Wanted {
  /** Names to look for, in PATH or absolute. */
  readonly names: readonly string[];
  readonly versionArgs: readonly string[];
  readonly minimum: readonly number[];
}

/** Before 10.0, QEMU's emulator corrupts flags around cmpxchg16b, and about one boot in twenty fails; with KVM 8.2 is enough. */
const QEMU_EMULATED = [10, 0];
const QEMU_KVM = [8, 2];

const WANTED = {
  virtiofsd: { names: ['/usr/libexec/virtiofsd', '/usr/lib/virtiofsd', 'virtiofsd'], versionArgs: ['--version'], minimum: [1, 11] },
  mkfsErofs: { names: ['mkfs.erofs'], versionArgs: ['--version'], minimum: [1, 8] },
  mkfsExt4: { names: ['mkfs.ext4', '/usr/sbin/mkfs.ext4', '/sbin/mkfs.ext4'], versionArgs: ['-V'], minimum: [1, 46] },
  resize2fs: { names: ['resize2fs', '/usr/sbin/resize2fs', '/sbin/resize2fs'], versionArgs: ['-V'], minimum: [] },
  e2fsck: { names: ['e2fsck', '/usr/sbin/e2fsck', '/sbin/e2fsck'], versionArgs: ['-V'], minimum: [1, 46] },
  zstd: { names: ['zstd'], versionArgs: ['--version'], minimum: [] },
  xz: { names: ['xz'], versionArgs: ['--version'], minimum: [] },
} as const satisfies Record<string, Wanted>;

/**
 * With a QEMU of the user's own (HYPR_QEMU), all programs are the host's: those in PATH (and the usual sbin folders) that are new enough. Throws TOOLCHAIN_MISSING that lists everything that is missing or too old.
 */
export const findHostPrograms = async (signal: AbortSignal): Promise<Programs> => {
  const problems: string[] = [];
  const find = async (name: string, wanted: Wanted): Promise<Tool> => {
    const found = await findTool(wanted, signal);
    if (typeof found === 'string') {
      problems.push(`${name}: ${found}`);
      return { file: name, prefix: [], version: '', origin: 'path' };
    }
    return found;
  };
  const minimum = (await mayUseKvm()) ? QEMU_KVM : QEMU_EMULATED;
  const own = process.env.HYPR_QEMU;
  const qemuWanted = { names: own ? [own] : ['qemu-system-x86_64'], versionArgs: ['--version'], minimum };
  const [qemu, mkfsErofs, mkfsExt4, resize2fs, e2fsck, zstd, xz] = await Promise.all([
    find('qemu-system-x86_64', qemuWanted),
    find('mkfs.erofs', WANTED.mkfsErofs),
    find('mkfs.ext4', WANTED.mkfsExt4),
    find('resize2fs', WANTED.resize2fs),
    find('e2fsck', WANTED.e2fsck),
    find('zstd', WANTED.zstd),
    find('xz', WANTED.xz),
  ]);
  if (problems.length > 0) {
    throw new HyprError(
      'TOOLCHAIN_MISSING',
      "with a QEMU of your own (HYPR_QEMU) all programs are this host's, and some are missing or too old",
      {
        details: problems,
        hint: 'install them with the package manager of this host, or unset HYPR_QEMU',
      },
    );
  }
  const virtiofsd = await findTool(WANTED.virtiofsd, signal);
  const tools = { qemu: { ...qemu, origin: own ? 'env' : 'path' } as Tool, mkfsErofs, mkfsExt4, resize2fs, e2fsck, zstd, xz };
  return {
    ...tools,
    id: shortHash(JSON.stringify(tools), 12),
    // QEMU from the host knows where its firmware is.
    qemuData: [],
    virtiofsd: typeof virtiofsd === 'string' ? undefined : virtiofsd,
  };
};

/** The first program of that name that is new enough, or the reason why there is none. */
export const findTool = async (wanted: Wanted, signal: AbortSignal): Promise<Tool | string> => {
  let reason = 'not found';
  for (const name of wanted.names) {
    const file = await findInPath(name);
    if (file === undefined) {
      continue;
    }
    const { stdout, stderr } = await runProgram(file, wanted.versionArgs, { signal, timeout: 20_000 });
    const version = parseVersion(`${stdout}${stderr}`);
    if (version !== undefined && isAtLeast(version, wanted.minimum)) {
      return { file, prefix: [], version: version.join('.'), origin: 'path' };
    }
    reason = `${file} is ${version?.join('.') ?? 'of an unknown version'}, ${wanted.minimum.join('.')} or newer is needed`;
  }
  return reason;
};

export const findInPath = async (name: string): Promise<string | undefined> => {
  const folders = isAbsolute(name) ? [''] : (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  return firstProgram(folders.map((folder) => (folder === '' ? name : join(folder, name))));
};

const mayUseKvm = (): Promise<boolean> =>
  access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
