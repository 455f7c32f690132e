import { join } from 'node:path';
import type { DeviceLayout, DiskSpec, MachineSpec, NicSpec, ShareSpec, VmmCommand } from '../model/machine.ts';
import { memoryClass } from '../model/memory-class.ts';
import type { Toolchain } from '../model/tools.ts';
import { ACCELERATORS, type Accelerator } from './accelerator.ts';
import { bootedPorts, firstNicPort, PREPARED_DISKS, PREPARED_NICS, SLOTS } from './machine-class.ts';

export interface QemuSettings {
  readonly toolchain: Toolchain;
  readonly accelerator: Accelerator;
  /** The host's time stamp counter in kHz; needed for tcg. */
  readonly tscKhz: number;
}

/**
 * How a machine begins: `cold` boots; `template` boots and will be saved, with its memory in the file `ram`;
 * `clone` maps that file copy-on-write and waits for the saved state of its devices. Without `ram` the memory is in the
 * saved state too: for machines with shares, whose memory other processes must map as well. `further` is a
 * clone with a copy of the file, which will be saved there again once its guest has done more; `zygote` one that will fork
 * copies of its process, and whose preloaded library keeps it from starting programs (vmm/zygote).
 * `restored` waits for the saved state of a suspended machine; all its devices are there from the start.
 */
export type Beginning =
  | { readonly kind: 'cold' }
  | { readonly kind: 'template' | 'clone' | 'further'; readonly ram: string | undefined }
  /** `consoles` is the folder of its copies' console files. */
  | { readonly kind: 'zygote'; readonly ram: string; readonly consoles: string }
  | { readonly kind: 'restored'; readonly layout: DeviceLayout };

const COLD: Beginning = { kind: 'cold' };

/** QEMU parses input of guests, so it may not start programs, gain privileges or change priorities. */
const seccomp = (spawn: 'allow' | 'deny'): string => `on,obsolete=deny,elevateprivileges=deny,spawn=${spawn},resourcecontrol=deny`;

/** Sockets of a machine in its run folder. */
export const machineSockets = (runDir: string) => ({
  agent: join(runDir, 'agent.sock'),
  control: join(runDir, 'qmp.sock'),
  share: (index: number) => join(runDir, `fs${index}.sock`),
});

/** The descriptors that a machine's sockets are; what starts QEMU makes and connects them, because QEMU itself may not (vmm/qemu/fence.ts). */
export const SOCKET_FDS = { control: 64, agent: 65, share: (index: number) => 66 + index };

/**
 * The QEMU command line of a machine: q35 with the uncompressed kernel, which boots 0.6 s faster under
 * emulation than the packed one and has hot-plug, unlike microvm. Nic i reads descriptor 3 + i. A template
 * has no disks and NICs but slots for them; a clone must have exactly the template's devices, so that its own
 * are only opened here and plugged in later (pluggedDevices).
 */
export const buildQemuCommand = (settings: QemuSettings, spec: MachineSpec, beginning: Beginning = COLD): VmmCommand => {
  const { toolchain, accelerator, tscKhz } = settings;
  const flags = ACCELERATORS[accelerator];
  const args = [
    ...toolchain.qemu.prefix,
    ...toolchain.qemuData,
    ...['-name', `${OWN_NAME}${quote(spec.name)}`, '-S', '-sandbox', seccomp(beginning.kind === 'zygote' ? 'allow' : 'deny')],
    ...[
      '-accel',
      hasOneThread(spec, beginning) ? flags.oneThread : flags.accel,
      '-cpu',
      `${flags.cpu}${spec.nested ? flags.nested : flags.plain}`,
    ],
    ...memoryArgs(toolchain, spec, beginning),
    ...['-smp', String(spec.vcpus), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', toolchain.kernel, '-initrd', initramfsOf(toolchain, spec), '-append', kernelLine(flags.kernel(tscKhz))],
    ...['-chardev', `file,id=con,append=on,path=${quote(spec.consoleLog)}`, '-serial', 'chardev:con'],
    ...['-chardev', `socket,id=qmp,fd=${SOCKET_FDS.control},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control'],
    ...['-device', AGENT_BUS, '-chardev', `socket,id=ag,fd=${SOCKET_FDS.agent},server=on,wait=off`],
    ...['-device', 'virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel'],
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ...deviceArgs(toolchain, spec, beginning),
    ...(isIncoming(beginning) ? ['-incoming', 'defer'] : []),
  ];
  return { file: toolchain.qemu.file, args, env: environment(toolchain, beginning) };
};

/** A template only boots, and a clone of it has threads again; disks are plugged in and out of a machine with spare ports. A zygote's copies are not. */
const hasOneThread = ({ vcpus, sparePorts }: MachineSpec, { kind }: Beginning): boolean =>
  vcpus > 1 && (kind === 'template' || (sparePorts !== undefined && kind !== 'zygote'));

const OWN_NAME = 'hypr-';

/**
 * Whether a command line, word by word, is that of a machine of ours; that of its fence counts, which becomes QEMU. By QEMU's options and not by
 * its program, which may have any name (HYPR_QEMU); `find -name 'hypr-*'` has one of them.
 */
export const isMachineCommand = (words: readonly string[]): boolean =>
  words.includes('-sandbox') &&
  words.includes('-nodefaults') &&
  words.some((word, index) => word === '-name' && words[index + 1]?.startsWith(OWN_NAME) === true);

/** What the machine's guest starts from; `checkSpec` has refused a nested machine without an initramfs for it. */
export const initramfsOf = ({ initramfs, nestedInitramfs }: Toolchain, { nested }: Pick<MachineSpec, 'nested'>): string =>
  nested ? (nestedInitramfs ?? initramfs) : initramfs;

/** One port beside that of the console, which nobody has: each of 31 has two queues, which a guest sets up one register after the other. */
const AGENT_BUS = 'virtio-serial-pci,id=vs0,max_ports=2';

const isIncoming = ({ kind }: Beginning): boolean => kind !== 'cold' && kind !== 'template';

/**
 * Without the devices of a desktop, because a kernel probes each of them while it boots. And without HPET: a guest's kernel
 * leaves it running after it has switched to its processor's own timer, which wakes QEMU 250 times a second for nothing.
 */
const MACHINE = 'q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off,hpet=off';

/** virtiofsd maps the guest's memory, which therefore has to be shared; otherwise it is private. */
const memoryArgs = (toolchain: Toolchain, spec: MachineSpec, beginning: Beginning): string[] => {
  const size = `${memoryClass(spec.memoryMib)}M`;
  const backed = (backend: string) => ['-M', `${MACHINE},memory-backend=m0`, '-object', `${backend},id=m0,size=${size}`, '-m', size];
  if (layoutOf(beginning) === 'cold') {
    return spec.shares.length > 0 ? backed('memory-backend-memfd,share=on') : ['-M', MACHINE, '-m', size];
  }
  if (beginning.kind === 'restored' && spec.shares.length === 0) {
    return backed('memory-backend-ram');
  }
  if (!('ram' in beginning) || beginning.ram === undefined) {
    return backed('memory-backend-memfd,share=on');
  }
  if (isCopyOnWrite(beginning) && toolchain.preload !== null) {
    return backed('memory-backend-ram');
  }
  // A clone opens it read-only, so that QEMU cannot write to memory that other clones use.
  const mode = isCopyOnWrite(beginning) ? 'share=off,readonly=on,rom=off' : 'share=on';
  return backed(`memory-backend-file,${mode},mem-path=${quote(beginning.ram)}`);
};

const isCopyOnWrite = ({ kind }: Beginning): boolean => kind === 'clone' || kind === 'zygote';

/** The preloaded library maps a clone's memory instead of QEMU (vmm/preload/memory.c). */
const environment = ({ preload }: Toolchain, beginning: Beginning): Record<string, string> =>
  preload === null || !isCopyOnWrite(beginning) || !('ram' in beginning) || beginning.ram === undefined
    ? {}
    : { HYPR_GUEST_MEMORY: beginning.ram };

export const layoutOf = (beginning: Beginning): DeviceLayout =>
  beginning.kind === 'cold' ? 'cold' : beginning.kind === 'restored' ? beginning.layout : 'clone';

const deviceArgs = (toolchain: Toolchain, spec: MachineSpec, beginning: Beginning): string[] => {
  if (layoutOf(beginning) === 'cold') {
    return coldDevices(spec);
  }
  const present = beginning.kind === 'restored' ? [...preparedDevices(spec), ...pluggedDevices(spec)] : preparedDevices(spec);
  return [...cloneDevices(toolchain, spec), ...present.flatMap((device) => ['-device', optionText(device)])];
};

/** Returns memory that a guest has freed to the host. */
const BALLOON = 'virtio-balloon-pci,free-page-reporting=on';

const coldDevices = (spec: MachineSpec): string[] => [
  // A card may write to any page of its guest, so that QEMU keeps all of them.
  ...(spec.cards === undefined ? ['-device', BALLOON] : []),
  ...Array.from({ length: bootedPorts(spec) }, (_, index) => portArgs(index)).flat(),
  ...spec.disks.flatMap((disk, index) => [...driveArgs(disk, index), '-device', optionText(diskDevice(disk, index))]),
  ...spec.nics.flatMap((nic, index) => [...netdevArgs(nic, index), '-device', optionText(bootedNic(spec, nic, index))]),
  ...spec.shares.flatMap((share, index) => [...shareArgs(index), '-device', optionText(shareDevice(share, index))]),
  ...addressesOf(spec).flatMap(cardArgs),
];

/** Pure: the cards of a machine whose cards were chosen. */
export const addressesOf = ({ cards = [] }: Pick<MachineSpec, 'cards'>): string[] =>
  cards.flatMap((card) => ('address' in card ? [card.address] : []));

/** Each below a port of its own, as drivers of PCI Express expect it; the ports' numbers are those after all others. */
const cardArgs = (address: string, index: number): string[] => {
  const place = `${(CARD_PORT_SLOT + Math.floor(index / 8)).toString(16)}.${index % 8}`;
  const isFirst = index % 8 === 0 ? ',multifunction=on' : '';
  const port = `pcie-root-port,id=c${index},chassis=${CARD_CHASSIS + index},bus=pcie.0,addr=${place}${isFirst}`;
  return ['-device', port, '-device', `vfio-pci,host=${address},bus=c${index}`];
};

const CARD_PORT_SLOT = 24;
const CARD_CHASSIS = 128;

/** On the root bus a NIC could not be unplugged; each port costs a boot some 800 accesses of its guest to QEMU. */
const bootedNic = (spec: MachineSpec, nic: NicSpec, index: number): Device =>
  spec.nicPorts === undefined ? nicDevice(nic) : (toSlots([nicDevice(nic)], firstNicPort(spec) + index)[0] as Device);

/**
 * Free page reporting is off if QEMU itself maps the template's file, because it would punch holes into it.
 * Root ports, because only they support hot-plug; eight per slot of the root bus.
 */
const cloneDevices = ({ preload }: Toolchain, spec: MachineSpec): string[] => [
  ...['-device', preload === null && spec.shares.length === 0 ? 'virtio-balloon-pci' : BALLOON],
  ...Array.from({ length: SLOTS }, (_, index) => portArgs(index)).flat(),
  ...spec.disks.flatMap(driveArgs),
  ...absentDisks(spec).flatMap((index) => ['-blockdev', `null-co,node-name=d${index},size=${ABSENT_DISK_BYTES},read-zeroes=on`]),
  ...spec.nics.flatMap(netdevArgs),
  ...(spec.nics.length < PREPARED_NICS ? ['-netdev', `hubport,id=${ABSENT_NIC.id},hubid=0`] : []),
  ...spec.shares.flatMap((_, index) => shareArgs(index)),
];

/**
 * The NIC of a template, which is not connected. Its guest has bound the driver already, so that a clone's guest
 * only needs its address; it must have the same features in every clone (docs/guest-protocol.md, prepared NIC).
 */
const ABSENT_NIC: NicSpec = { id: 'n0', mac: '02:68:79:70:72:00', mtu: 65_520 };

/**
 * The size of a template's disks. Its guest has bound their driver, and a clone's guest keeps this size: it is larger than
 * any file system, which knows its own size. Reads beyond the real end of a clone's disk fail.
 */
const ABSENT_DISK_BYTES = 2 ** 44;

/** Prepared disks that a machine does not use. */
const absentDisks = (spec: MachineSpec): number[] => Array.from({ length: PREPARED_DISKS }, (_, index) => index).slice(spec.disks.length);

const FIRST_PORT_SLOT = 8;

const portArgs = (index: number): string[] => {
  const address = `${(FIRST_PORT_SLOT + Math.floor(index / 8)).toString(16)}.${index % 8}`;
  const isFirst = index % 8 === 0 ? ',multifunction=on' : '';
  return ['-device', `pcie-root-port,id=p${index},chassis=${index + 1},bus=pcie.0,addr=${address}${isFirst}`];
};

/** A device as QMP's `device_add` takes it. */
export type Device = Readonly<Record<string, string | number>>;

/**
 * Pure: the disks and the NIC that a template has already, so that the guest of a clone need not enumerate its bus
 * for them and has their drivers bound. In a template they have no backend: a disk's serial is only read when it is
 * needed, and the machine's configuration describes each NIC.
 */
const preparedDevices = (spec: MachineSpec): Device[] => {
  const absent = absentDisks(spec).map((index) => diskDevice({ serial: `none${index}` }, index));
  const nic = nicDevice({ ...ABSENT_NIC, id: spec.nics[0]?.id ?? ABSENT_NIC.id });
  return toSlots([...spec.disks.slice(0, PREPARED_DISKS).map(diskDevice), ...absent, nic], 0);
};

/** Pure: what is plugged into a clone once its state is loaded, in the order of the template's slots. */
export const pluggedDevices = (spec: MachineSpec): Device[] => {
  const disks = spec.disks.map(diskDevice).slice(PREPARED_DISKS);
  const nics = spec.nics.slice(PREPARED_NICS).map(nicDevice);
  return toSlots([...disks, ...nics, ...spec.shares.map(shareDevice)], PREPARED_DISKS + PREPARED_NICS);
};

const toSlots = (devices: readonly Device[], first: number): Device[] =>
  devices.map((device, index) => ({ ...device, id: `s${first + index}`, bus: `p${first + index}` }));

/** Pure: a disk for a port, as QMP's `blockdev-add` and `device_add` take it. */
export const pluggedDisk = (disk: DiskSpec, port: number) => {
  const node = `plug${port}`;
  const modes = disk.readOnly ? { 'read-only': true } : { discard: 'unmap', 'detect-zeroes': 'unmap' };
  const device: Device = { ...diskDevice(disk, port), drive: node, id: `s${port}`, bus: `p${port}` };
  return { node, device, block: { driver: disk.format, 'node-name': node, ...modes, file: { driver: 'file', filename: disk.path } } };
};

const optionText = ({ driver, ...options }: Device): string =>
  [driver, ...Object.entries(options).map(([key, value]) => `${key}=${quote(String(value))}`)].join(',');

const driveArgs = (disk: DiskSpec, index: number): string[] => {
  const mode = disk.readOnly ? 'readonly=on' : 'discard=unmap,detect-zeroes=unmap';
  return ['-drive', `if=none,id=d${index},file=${quote(disk.path)},format=${disk.format},${mode}`];
};

/** When the host's disk is full QEMU stops the machine and keeps the write (vmm/qemu/disk-hold.ts); other failures are I/O errors in the guest. */
const diskDevice = (disk: Pick<DiskSpec, 'serial'>, index: number): Device => ({
  driver: 'virtio-blk-pci',
  drive: `d${index}`,
  serial: disk.serial,
  werror: 'enospc',
  rerror: 'report',
});

export const FIRST_FD = 3;

const netdevArgs = (nic: NicSpec, index: number): string[] => [
  '-netdev',
  `stream,id=${nic.id},server=off,addr.type=fd,addr.str=${FIRST_FD + index}`,
];

export const nicDevice = (nic: NicSpec): Device => ({
  driver: 'virtio-net-pci',
  netdev: nic.id,
  mac: nic.mac,
  host_mtu: nic.mtu,
  romfile: '',
});

const shareArgs = (index: number): string[] => ['-chardev', `socket,id=fs${index},fd=${SOCKET_FDS.share(index)}`];

const shareDevice = (share: ShareSpec, index: number): Device => ({ driver: 'vhost-user-fs-pci', chardev: `fs${index}`, tag: share.tag });

/** Contains nothing about a service: the agent gets that later. A panic ends the machine, so that it is noticed. */
const kernelLine = (accelerator: readonly string[]): string => [...KERNEL_LINE, ...accelerator].join(' ');

const KERNEL_LINE = [
  ...['console=ttyS0', 'quiet', 'loglevel=3', 'reboot=t', 'panic=-1', 'random.trust_cpu=on'],
  // Skips probes and waits of a boot that have no use here: more serial ports, timer routing, grace periods, ciphers.
  ...['8250.nr_uarts=1', 'no_timer_check', 'rcupdate.rcu_expedited=1', 'cryptomgr.notests=1'],
  // Linux looks for further root buses at 8,160 places, each of which takes two exits to QEMU: three quarters of all of a boot.
  'pci=lastbus=0',
];

/** A comma ends a value of QEMU's option syntax unless it is doubled. */
const quote = (value: string): string => value.replaceAll(',', ',,');
