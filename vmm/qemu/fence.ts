import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import type { DiskSpec, MachineSpec, VmmCommand } from '../model/machine.ts';
import { memoryClass } from '../model/memory-class.ts';
import { filesOfTool, HOST_LIBRARIES, type Toolchain } from '../model/tools.ts';
import { lockedBytes } from '../vfio/locked-memory.ts';
import { groupFiles } from '../vfio/take-cards.ts';
import type { Saved } from './clone.ts';
import { addressesOf, type Beginning, FIRST_FD, initramfsOf, machineSockets, type QemuSettings, SOCKET_FDS } from './command.ts';
import { partialFence } from './fence-probe.ts';
import { extentsOf } from './vmdk.ts';

export interface FenceInput {
  readonly settings: QemuSettings;
  readonly spec: MachineSpec;
  readonly beginning: Beginning;
  /** How many descriptors it inherits beside the standard ones. */
  readonly inherits: number;
  /** The files that it begins from. */
  readonly saved?: Saved | undefined;
}

/** The same command in its fence, which vmm/jail/machine.c describes: its own files, sockets and devices, and no others. */
export const fenceCommand = async (command: VmmCommand, input: FenceInput): Promise<VmmCommand> => {
  const { settings, spec, beginning } = input;
  const { toolchain } = settings;
  const extents = (await Promise.all(spec.disks.map(extentsOf))).flat();
  const args = [
    ...['--keep', String(FIRST_FD + input.inherits), '--files', String(MAX_DESCRIPTORS)],
    ...sizeArgs(await largestFile(spec)),
    ...socketArgs(spec),
    ...named('--read', [...programFiles(toolchain), ...extents, ...readFiles(input)]),
    ...named('--run', toolchain.qemu.prefix.length > 0 ? [] : HOST_LIBRARIES),
    ...named('--write', [spec.consoleLog, ...spec.disks.filter(({ readOnly }) => !readOnly).map(({ path }) => path), ...ownFolder(spec)]),
    ...named('--device', settings.accelerator === 'kvm' ? ['/dev/kvm'] : []),
    ...(await cardArgs(spec)),
    ...named('--make', makesIn(spec, beginning)),
    ...(beginning.kind === 'zygote' ? ['--copies', ...named('--write', [beginning.consoles])] : []),
    ...(toolchain.preload === null ? [] : ['--preload', toolchain.preload]),
    ...partialFence(),
  ];
  return { file: toolchain.machineJail, args: [...args, '--', command.file, ...command.args], env: command.env };
};

/** The files of its cards' groups, and memory that stays where it is: cards write to it by its address. */
const cardArgs = async (spec: MachineSpec): Promise<string[]> => {
  const cards = addressesOf(spec);
  if (cards.length === 0) {
    return [];
  }
  const devices = ['/dev/vfio/vfio', ...(await groupFiles(cards))];
  const folders = cards.map((address) => `/sys/bus/pci/devices/${address}`);
  return [...named('--device', devices), ...named('--read', folders), '--lock', String(lockedBytes(spec))];
};

/** Pure: what a copy of a zygote may still open (vmm/preload/limits.c): nothing of its siblings. */
export const copyRights = ({ toolchain }: QemuSettings, spec: MachineSpec): Array<readonly ['read' | 'write', string]> => [
  ...programFiles(toolchain).map((path) => ['read', path] as const),
  ...[spec.consoleLog, ...ownFolder(spec)].map((path) => ['write', path] as const),
];

/** Each of a machine's 16 devices has a few for each of its processors. */
const MAX_DESCRIPTORS = 8192;

const named = (option: string, paths: readonly string[]): string[] => [...new Set(paths)].flatMap((path) => [option, path]);

const sizeArgs = (bytes: number | undefined): string[] => (bytes === undefined ? [] : ['--size', String(bytes)]);

const ownFolder = ({ folder }: MachineSpec): string[] => (folder === undefined ? [] : [folder]);

const programFiles = (toolchain: Toolchain): string[] => [
  ...filesOfTool(toolchain.qemu),
  ...toolchain.qemuData.filter((each) => each.startsWith('/')),
  // QEMU of the host finds its firmware by where it is itself.
  ...(toolchain.qemuData.length > 0 ? [] : [join(dirname(dirname(toolchain.qemu.file)), 'share'), '/usr/share']),
  ...(toolchain.preload === null ? [] : [toolchain.preload]),
];

const readFiles = ({ settings, spec, beginning, saved }: FenceInput): string[] => {
  const ram = 'ram' in beginning && beginning.ram !== undefined ? [beginning.ram] : [];
  const state = saved === undefined ? [] : [saved.state, ...(saved.ram === undefined ? [] : [saved.ram])];
  const disks = spec.disks.filter(({ readOnly }) => readOnly).map(({ path }) => path);
  return [settings.toolchain.kernel, initramfsOf(settings.toolchain, spec), ...ram, ...state, ...disks];
};

/** A template is made in its staging folder. A zygote makes what belongs to its copies, each of which then gives up the others'. */
const makesIn = (spec: MachineSpec, { kind }: Beginning): string[] => {
  if (kind === 'zygote') {
    return [dirname(spec.runDir), ...ownFolder(spec).map(dirname)];
  }
  return kind === 'template' || kind === 'further' ? ownFolder(spec) : [];
};

const socketArgs = (spec: MachineSpec): string[] => {
  const sockets = machineSockets(spec.runDir);
  return [
    ...['--listen', String(SOCKET_FDS.control), sockets.control, '--listen', String(SOCKET_FDS.agent), sockets.agent],
    ...spec.shares.flatMap((_, index) => ['--connect', String(SOCKET_FDS.share(index)), sockets.share(index)]),
  ];
};

const MIB = 1 << 20;

/**
 * No file that it writes becomes larger than its largest disk, or its memory where that is saved; undefined for a machine that is made for
 * disks that are plugged in later, whose sizes nobody knows. Any other takes none that is larger (vmm/qemu/file-limit.ts).
 */
const largestFile = async (spec: MachineSpec): Promise<number | undefined> => {
  if (spec.sparePorts !== undefined) {
    return undefined;
  }
  const sizes = await Promise.all(spec.disks.filter(({ readOnly }) => !readOnly).map(sizeOf));
  return Math.max(2 * memoryClass(spec.memoryMib) * MIB + SLACK, ...sizes);
};

/** Beside memory, a saved machine has its devices; and its console's log. */
const SLACK = 1024 * MIB;

const sizeOf = async ({ path, blank }: DiskSpec): Promise<number> => {
  const made = (blank?.sizeMib ?? 0) * MIB;
  try {
    // A zygote's layer is named by a descriptor, which is none of this process's.
    return path.startsWith('/proc/') ? made : Math.max(made, (await stat(path)).size);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return made;
    }
    throw error;
  }
};
