import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mustRun } from '../../base/host/process.ts';
import { connectGuest } from '../../guest/client/client.ts';
import { compileKestrel } from '../../guest/image/compile.ts';
import { buildInitramfs } from '../../guest/image/initramfs.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { Tool, Toolchain } from '../../vmm/model/tools.ts';
import { needToolchain, toolCommand } from '../../vmm/toolchain/index.ts';

const BOOT_MS = 120_000;

/** What all machines of a test file share: kernel, an initramfs with the agent as it is now, a root disk. */
export interface Workshop {
  readonly folder: string;
  readonly toolchain: Toolchain;
  /** With the agent as it is now. */
  readonly initramfs: string;
  /** The erofs of the toolbox. */
  readonly root: string;
  makeDisk(name: string): Promise<string>;
  boot(options: BootOptions): Promise<TestMachine>;
  close(): Promise<void>;
}

export interface BootOptions {
  readonly name: string;
  /** serial → path; `root` is always there. */
  readonly disks: Readonly<Record<string, string>>;
  readonly network?: boolean;
  /** tag → folder of the host. */
  readonly shares?: Readonly<Record<string, string>>;
}

export interface TestMachine {
  readonly socket: string;
  /** Exit code of QEMU. */
  readonly exited: Promise<number | null>;
  console(): Promise<string>;
  connect(): Promise<GuestClient>;
  kill(): Promise<void>;
}

const run = (tool: Tool, args: readonly string[]) => {
  const command = toolCommand(tool, args);
  return mustRun(command.file, command.args);
};

export const openWorkshop = async (): Promise<Workshop> => {
  const toolchain = await needToolchain();
  const folder = await mkdtemp(join(tmpdir(), 'hypr-vm-'));
  const kestrel = await compileKestrel(join(folder, 'agent'));
  const initramfs = join(folder, 'initramfs');
  const modulesDir = join(dirname(toolchain.kernel), 'lib/modules');
  await buildInitramfs({ kestrel, modulesDir, release: toolchain.kernelRelease }, initramfs);
  const root = await makeRoot(folder, toolchain);
  const machines: TestMachine[] = [];
  return {
    folder,
    toolchain,
    initramfs,
    root,
    makeDisk: async (name) => {
      const path = join(folder, name);
      const file = await open(path, 'w');
      await file.truncate(256 << 20);
      await file.close();
      await run(toolchain.mkfsExt4, ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard', path]);
      return path;
    },
    boot: async (options) => {
      const machine = await bootMachine({ folder, toolchain, initramfs, root }, options);
      machines.push(machine);
      return machine;
    },
    close: async () => {
      await Promise.all(machines.map((machine) => machine.kill()));
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** A root file system of one program, a few users, and a folder that seeds a volume. */
const makeRoot = async (folder: string, toolchain: Toolchain): Promise<string> => {
  const tree = join(folder, 'tree');
  for (const name of ['bin', 'etc', 'data', 'home/app', 'opt/lower', 'tmp']) {
    await mkdir(join(tree, name), { recursive: true });
  }
  // From the sources, or from the bundle of the benchmarks.
  const places = ['toolbox.c', '../test/guest/toolbox.c'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const toolbox = places.find((path) => existsSync(path)) ?? 'toolbox.c';
  await mustRun('gcc', ['-static', '-Os', '-s', '-D_GNU_SOURCE', '-w', toolbox, '-o', join(tree, 'bin/box')]);
  await writeFile(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n');
  await writeFile(join(tree, 'etc/group'), 'root:x:0:\napp:x:1001:\nwheel:x:10:app\nextra:x:2000:\n');
  await writeFile(join(tree, 'etc/hosts'), 'of the image');
  await writeFile(join(tree, 'data/seed'), 'from the image');
  await writeFile(join(tree, 'opt/lower/old'), 'old');
  await writeFile(join(tree, 'opt/keep'), 'keep');
  await chmod(join(tree, 'data'), 0o750);
  const root = join(folder, 'root.erofs');
  await run(toolchain.mkfsErofs, ['--all-root', root, tree]);
  return root;
};

interface Parts {
  readonly folder: string;
  readonly toolchain: Toolchain;
  readonly initramfs: string;
  readonly root: string;
}

const bootMachine = async (parts: Parts, options: BootOptions): Promise<TestMachine> => {
  const folder = await mkdtemp(join(tmpdir(), 'hm-'));
  const socket = join(folder, 'agent');
  const log = join(folder, 'console');
  const helpers = await startShares(parts.toolchain, folder, options.shares ?? {});
  const args = [
    ...parts.toolchain.qemuData,
    ...(await machineArgs(parts, options)),
    ...channelArgs(socket, log),
    ...shareArgs(folder, options.shares ?? {}),
  ];
  const command = toolCommand(parts.toolchain.qemu, args);
  const child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const console = async () => (await readFile(log, 'latin1').catch(() => '')) + stderr;
  return {
    socket,
    exited,
    console,
    connect: async () => {
      const gone = exited.then(async () => {
        throw new Error(`QEMU ended: ${await console()}`);
      });
      gone.catch(() => {});
      return Promise.race([connectGuest(socket, { timeout: BOOT_MS }), gone]);
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
      for (const helper of helpers) {
        helper.kill('SIGKILL');
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
};

const machineArgs = async (parts: Parts, options: BootOptions): Promise<string[]> => {
  const mhz = /cpu MHz\s*:\s*([\d.]+)/.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1] ?? '2000';
  const line = `console=ttyS0 quiet reboot=t panic=-1 tsc_early_khz=${Math.round(Number(mhz) * 1000)} tsc=reliable`;
  const disks = { root: parts.root, ...options.disks };
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-M', 'q35,memory-backend=m0', '-m', '256', '-smp', '1'],
    ...['-object', 'memory-backend-memfd,id=m0,size=256M,share=on'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', parts.toolchain.kernel, '-initrd', parts.initramfs, '-append', line],
    ...Object.entries(disks).flatMap(([serial, path], index) => [
      '-drive',
      `if=none,id=d${index},file=${path},format=raw${serial === 'root' ? ',readonly=on' : ',discard=unmap'}`,
      '-device',
      `virtio-blk-pci,drive=d${index},serial=${serial}`,
    ]),
    ...(options.network ? ['-netdev', 'hubport,id=n0,hubid=0', '-device', 'virtio-net-pci,netdev=n0,mac=02:00:00:00:00:07,romfile='] : []),
    ...(options.network ? ['-netdev', 'hubport,id=n1,hubid=0', '-device', 'virtio-net-pci,netdev=n1,mac=02:00:00:00:00:08,romfile='] : []),
  ];
};

const channelArgs = (socket: string, log: string): string[] => [
  ...['-chardev', `file,id=con,path=${log}`, '-serial', 'chardev:con'],
  ...['-device', 'virtio-serial-pci,id=vs0', '-chardev', `socket,id=ag,path=${socket},server=on,wait=off`],
  ...['-device', 'virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel'],
  ...['-device', 'virtio-rng-pci'],
];

const shareArgs = (folder: string, shares: Readonly<Record<string, string>>): string[] =>
  Object.keys(shares).flatMap((tag, index) => [
    ...['-chardev', `socket,id=fs${index},path=${join(folder, `fs${index}`)}`],
    ...['-device', `vhost-user-fs-pci,chardev=fs${index},tag=${tag}`],
  ]);

const startShares = async (toolchain: Toolchain, folder: string, shares: Readonly<Record<string, string>>): Promise<ChildProcess[]> =>
  Promise.all(
    Object.values(shares).map(async (path, index) => {
      if (toolchain.virtiofsd === undefined) {
        throw new Error('this toolchain has no virtiofsd');
      }
      const args = ['--socket-path', join(folder, `fs${index}`), '--shared-dir', path, '--sandbox', 'none', '--cache', 'auto'];
      const command = toolCommand(toolchain.virtiofsd, args);
      const child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'pipe'] });
      await new Promise<void>((resolve, reject) => {
        child.stderr.on('data', (chunk: Buffer) => chunk.toString().includes('Waiting') && resolve());
        child.once('exit', () => reject(new Error('virtiofsd ended')));
      });
      return child;
    }),
  );
