import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cleanup } from '../../../base/cleanup.ts';
import { mustRun } from '../../../base/host/process.ts';
import { buildInitramfs } from '../../../guest/image/initramfs.ts';
import { awaitFile } from '../../../vmm/devices/await-socket.ts';
import type { Tool, Toolchain } from '../../../vmm/model/tools.ts';

/** What the outer host's kernel loads: its own disks and root, what passes cards on, and KVM (QEMU emulates AMD's). */
const MODULES = ['virtio_pci', 'overlay', 'nvme', 'vfio_iommu_type1', 'vfio_pci', 'kvm_amd'];

export interface OuterHost {
  readonly toolchain: Toolchain;
  /** `/lib/modules` of the kernel that is the toolchain's. */
  readonly modules: string;
  readonly release: string;
  /** Further arguments of its QEMU: cards. */
  readonly devices: readonly string[];
  /** Runs as user 0, in this host's root folder. */
  readonly script: string;
  readonly memoryMib: number;
  readonly signal: AbortSignal;
  /** Where its console's output is kept; otherwise it goes with the folder. */
  readonly log?: string;
}

/**
 * A whole emulated computer with an IOMMU (Intel's, with interrupt remapping), which hypr's own machines have not: its root is this host's root folder, to read,
 * with a tmpfs over it. Gives what the script printed, and with what it ended.
 */
export const runOuterHost = async (host: OuterHost): Promise<{ readonly text: string; readonly code: number }> => {
  const cleanup = new Cleanup();
  const folder = await mkdtemp(join(tmpdir(), 'outer-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  try {
    const script = join(folder, 'script');
    await writeFile(script, host.script, { mode: 0o755 });
    const initrd = await buildOuterInitramfs(host, folder);
    const socket = join(folder, 'fs.sock');
    startShare(host.toolchain.virtiofsd, socket, cleanup);
    const console_ = host.log ?? join(folder, 'console');
    await awaitFile(socket, host.signal);
    await runQemu({ host, initrd, socket, console: console_, script }, cleanup);
    const text = (await readFile(console_, 'utf8')).replaceAll('\r', '');
    return { text, code: Number(/^outer host: ended with (\d+)$/m.exec(text)?.[1] ?? -1) };
  } finally {
    await cleanup.run();
  }
};

const buildOuterInitramfs = async (host: OuterHost, folder: string): Promise<string> => {
  const init = join(folder, 'init');
  await mustRun('gcc', ['-static', '-O1', '-o', init, new URL('init.c', import.meta.url).pathname], { signal: host.signal });
  const out = join(folder, 'initrd');
  await buildInitramfs({ kestrel: init, modulesDir: host.modules, release: host.release, modules: MODULES, signal: host.signal }, out);
  return out;
};

const start = ({ file, prefix }: Tool, args: readonly string[], cleanup: Cleanup) => {
  const child = spawn(file, [...prefix, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  cleanup.defer(() => void child.kill('SIGKILL'));
  return child;
};

const startShare = (virtiofsd: Tool | undefined, socket: string, cleanup: Cleanup): void => {
  if (virtiofsd === undefined) {
    throw new Error('the toolchain has no virtiofsd');
  }
  start(
    virtiofsd,
    [
      '--socket-path',
      socket,
      '--shared-dir',
      '/',
      '--sandbox',
      'none',
      '--readonly',
      '--no-announce-submounts',
      '--cache',
      'always',
      '--log-level',
      'error',
    ],
    cleanup,
  );
};

interface Parts {
  readonly host: OuterHost;
  readonly initrd: string;
  readonly socket: string;
  readonly console: string;
  readonly script: string;
}

const runQemu = async ({ host, initrd, socket, console: log, script }: Parts, cleanup: Cleanup): Promise<void> => {
  const { toolchain, memoryMib, devices, signal } = host;
  const size = `${memoryMib}M`;
  const args = [
    ...toolchain.qemuData,
    ...['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max,svm=on,npt=on', '-M', 'q35,memory-backend=m0', '-m', size, '-smp', '2'],
    ...['-object', `memory-backend-memfd,id=m0,size=${size},share=on`, '-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-device', 'intel-iommu,intremap=on,caching-mode=on'],
    ...['-serial', `file:${log}`, '-kernel', toolchain.kernel, '-initrd', initrd],
    ...['-append', `console=ttyS0 quiet panic=-1 mitigations=off intel_iommu=on -- /bin/sh ${script}`],
    ...['-chardev', `socket,id=fs,path=${socket}`, '-device', 'vhost-user-fs-pci,chardev=fs,tag=root'],
    ...devices,
  ];
  const child = start(toolchain.qemu, args, cleanup);
  const stop = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  await new Promise((resolve) => child.once('exit', resolve));
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
};
