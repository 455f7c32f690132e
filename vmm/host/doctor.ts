import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { HyprError, messageOf } from '../../base/errors.ts';
import { findDebianMirror } from '../../base/host/apt.ts';
import { refuseForeignHome } from '../../base/host/home.ts';
import { mustRun } from '../../base/host/process.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import type { Tool, Toolchain } from '../model/tools.ts';
import type { FenceWay } from '../qemu/fence-probe.ts';
import { findInPath } from '../toolchain/host-programs.ts';
import { openToolchain } from '../toolchain/index.ts';
import { findNative } from '../toolchain/native.ts';
import { choosePackageClient } from '../toolchain/package-source.ts';
import { checkAccelerator } from './accelerator-check.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { type FenceFacts, fenceLayers, findFence, type NetworkFenceProbe } from './fence-check.ts';

const GIB = 2 ** 30;
const SETUP = 'hypr setup';

/** Checks of the host and the toolchain, in the order they matter. The verdict on KVM comes from running a guest. */
export const checkHost = async (
  options: {
    paths?: HomePaths;
    signal?: AbortSignal;
    /** What the gateway of networks is fenced in with here. */
    networkFence?: NetworkFenceProbe;
    /** Names of machines that are recorded as running but do not run, or run but are not recorded. */
    staleMachines?: () => Promise<readonly string[]>;
  } = {},
): Promise<DoctorCheck[]> => {
  const paths = options.paths ?? homePaths();
  const foreign = checkHome(paths);
  if (foreign !== undefined) {
    return [checkNode(), checkPlatform(), checkCpu(), foreign];
  }
  const toolchain = await openToolchain(paths);
  const checks = [
    checkNode(),
    checkPlatform(),
    checkCpu(),
    await checkDisk(paths),
    checkMemory(),
    ...(await checkStale(options.staleMachines)),
  ];
  if (toolchain === undefined) {
    const missing: DoctorCheck = {
      id: 'toolchain',
      title: 'Toolchain',
      status: 'fail',
      detail: 'not set up',
      fix: SETUP,
      repair: 'set up',
    };
    return [...checks, missing, ...(await checkPrerequisites())];
  }
  const tools = await Promise.all(toolChecks(toolchain));
  return [
    ...checks,
    ...tools,
    ...(await checkAccelerator(toolchain, paths, options.signal)),
    ...(await checkFence(toolchain, options.networkFence)),
    checkSubordinateIds(),
  ];
};

/** Undefined when it may be used; else nothing in it can be looked at. */
const checkHome = ({ home }: HomePaths): DoctorCheck | undefined => {
  try {
    refuseForeignHome(home);
    return undefined;
  } catch (error) {
    const fix = error instanceof HyprError ? error.hint : undefined;
    return { id: 'home', title: 'Home of hypr', status: 'fail', detail: messageOf(error), ...(fix === undefined ? {} : { fix }) };
  }
};

/** What the bundles are built for (scripts/build.mjs). */
const NODE_MAJOR = 24;

const checkNode = (): DoctorCheck => {
  const detail = `${process.version} (${process.execPath})`;
  return Number(process.versions.node.split('.')[0]) === NODE_MAJOR
    ? { id: 'node', title: 'Node.js', status: 'ok', detail }
    : { id: 'node', title: 'Node.js', status: 'fail', detail: `${detail} is not the one that hypr brings`, fix: 'start it as bin/hypr' };
};

const checkPlatform = (): DoctorCheck =>
  process.platform === 'linux' && process.arch === 'x64'
    ? { id: 'platform', title: 'Host', status: 'ok', detail: 'Linux x86-64' }
    : {
        id: 'platform',
        title: 'Host',
        status: 'fail',
        detail: `${process.platform} ${process.arch}`,
        fix: 'hypr runs on Linux x86-64 for now',
      };

const checkCpu = (): DoctorCheck => {
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  return { id: 'cpu', title: 'Processor', status: 'ok', detail: `${availableParallelism()} × ${model}` };
};

const checkStale = async (find: (() => Promise<readonly string[]>) | undefined): Promise<DoctorCheck[]> => {
  if (find === undefined) {
    return [];
  }
  const names = await find();
  const title = 'Machines left behind';
  return [
    names.length === 0
      ? { id: 'stale', title, status: 'ok', detail: 'none' }
      : { id: 'stale', title, status: 'warn', detail: names.join(', '), fix: 'hypr compose down in their projects', repair: 'recover' },
  ];
};

const checkDisk = async (paths: HomePaths): Promise<DoctorCheck> => {
  const place = existsSync(paths.home) ? paths.home : '/';
  const { bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const detail = `${(free / GIB).toFixed(1)} GiB free for ${paths.home}`;
  return free > 5 * GIB
    ? { id: 'disk', title: 'Disk', status: 'ok', detail }
    : {
        id: 'disk',
        title: 'Disk',
        status: free > GIB ? 'warn' : 'fail',
        detail,
        fix: 'hypr system prune, or point HYPR_HOME at a larger disk',
      };
};

const checkMemory = (): DoctorCheck => {
  const detail = `${(freemem() / GIB).toFixed(1)} of ${(totalmem() / GIB).toFixed(1)} GiB free`;
  return totalmem() > 4 * GIB
    ? { id: 'memory', title: 'Memory', status: 'ok', detail }
    : { id: 'memory', title: 'Memory', status: 'warn', detail, fix: 'give services less with mem_limit' };
};

/** Checks what `hypr setup` needs, when it has not run yet: a package brings what a clone compiles. */
const checkPrerequisites = async (): Promise<DoctorCheck[]> => {
  const client = await choosePackageClient();
  const native = await findNative();
  return [
    {
      id: 'packages',
      title: 'Packages of Debian',
      status: 'ok',
      detail: client === 'apt' ? "by this host's apt" : `by hypr's own client, from ${await findDebianMirror()}`,
    },
    ...(native === undefined ? await checkCompilers() : []),
  ];
};

const checkCompilers = (): Promise<DoctorCheck[]> =>
  Promise.all(
    (
      [
        ['gcc', 'gcc', 'apt-get install gcc libc6-dev'],
        ['go', 'go', 'apt-get install golang-go'],
      ] as const
    ).map(async ([name, title, fix]): Promise<DoctorCheck> => {
      const file = (await findInPath(name)) ?? (name === 'go' ? await findInPath('/usr/local/go/bin/go') : undefined);
      return file === undefined
        ? { id: name, title, status: 'fail', detail: 'missing', fix }
        : { id: name, title, status: 'ok', detail: file };
    }),
  );

const toolChecks = (toolchain: Toolchain): Array<Promise<DoctorCheck>> => [
  checkTool('qemu', 'QEMU', toolchain.qemu),
  checkTool('virtiofsd', 'virtiofsd', toolchain.virtiofsd),
  checkTool('mkfs-erofs', 'mkfs.erofs', toolchain.mkfsErofs),
  checkTool('mkfs-ext4', 'mkfs.ext4', toolchain.mkfsExt4, ['-V']),
  checkTool('gvproxy', 'gvproxy', toolchain.gvproxy, ['-version']),
  checkFiles('kernel', `Guest kernel ${toolchain.kernelRelease}`, [toolchain.kernel, toolchain.initramfs]),
];

const checkTool = async (
  id: string,
  title: string,
  tool: Tool | undefined,
  args: readonly string[] = ['--version'],
): Promise<DoctorCheck> => {
  if (tool === undefined) {
    return { id, title, status: 'fail', detail: 'missing', fix: SETUP, repair: 'set up' };
  }
  try {
    await mustRun(tool.file, [...tool.prefix, ...args], { timeout: 20_000 });
    return { id, title, status: 'ok', detail: `${tool.version} (${tool.origin})` };
  } catch (error) {
    return { id, title, status: 'fail', detail: messageOf(error), fix: SETUP, repair: 'set up' };
  }
};

const checkFiles = async (id: string, title: string, files: readonly string[]): Promise<DoctorCheck> => {
  const missing = files.filter((file) => !existsSync(file));
  return missing.length === 0
    ? { id, title, status: 'ok', detail: 'ready' }
    : { id, title, status: 'fail', detail: `${missing.join(', ')} is gone`, fix: SETUP, repair: 'set up' };
};

const WHOLE_FENCE = 'a kernel with seccomp filters, and with Landlock or namespaces for this user (docs/security.md)';
const FENCES: Record<FenceWay, Pick<DoctorCheck, 'status' | 'detail' | 'fix'>> = {
  landlock: { status: 'ok', detail: 'files, sockets and programs of the host are out of reach of guests, by two layers' },
  view: {
    status: 'warn',
    detail: 'without Landlock, machines have mounts of their own; they are started singly instead of copied, which is slower',
    fix: 'a kernel with Landlock switched on (lsm=landlock,…)',
  },
  none: {
    status: 'warn',
    detail: 'HYPR_FENCE=partial: a guest that takes QEMU over reads and writes the files of its user',
    fix: 'a kernel with Landlock switched on (lsm=landlock,…), or one on which this user may make namespaces; then unset HYPR_FENCE',
  },
};

/** A machine, a share or a network whose fence cannot be put up is not started; a layer less than there might be is worth knowing. */
const checkFence = async (toolchain: Toolchain, networkFence: NetworkFenceProbe | undefined): Promise<DoctorCheck[]> => {
  const facts = await findFence(toolchain, networkFence);
  const rows = fenceLayers(facts);
  const { machine, gateway } = facts;
  const about = { id: 'fence', title: 'Fence', rows } as const;
  if (typeof machine === 'string' || !machine.calls || gateway?.seccomp !== true) {
    const detail = typeof machine === 'string' ? machine : 'system calls are not filtered, and nothing is started without';
    return [{ ...about, status: 'fail', detail, fix: WHOLE_FENCE }, checkNamespaces(facts)];
  }
  return [{ ...about, ...FENCES[machine.way] }, checkNamespaces(facts)];
};

const checkNamespaces = ({ namespacesOff }: FenceFacts): DoctorCheck => {
  const about = { id: 'namespaces', title: 'User namespaces' } as const;
  return namespacesOff === undefined
    ? { ...about, status: 'ok', detail: 'shared folders and internal networks are fenced in by them' }
    : {
        ...about,
        status: 'warn',
        detail: `switched off by ${namespacesOff}: shared folders are fenced in by Landlock only, and a single file cannot be bound for writing`,
        fix: `allow unprivileged user namespaces: ${namespacesOff}`,
      };
};

const checkSubordinateIds = (): DoctorCheck => {
  const about = { id: 'subids', title: 'Owners in shared volumes' } as const;
  return process.getuid?.() === 0 || existsSync('/usr/bin/newuidmap')
    ? { ...about, status: 'ok', detail: 'kept' }
    : {
        ...about,
        status: 'warn',
        detail: 'a volume that several services share belongs to one user, because there is no newuidmap',
        fix: 'apt-get install uidmap',
      };
};
