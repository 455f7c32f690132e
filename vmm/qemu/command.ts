import { join } from 'node:path';
import type { MachineSpec, VmmCommand } from '../machine.ts';
import type { Toolchain } from '../tools.ts';

export type Accelerator = 'kvm' | 'tcg';

export interface QemuSettings {
  readonly toolchain: Toolchain;
  readonly accelerator: Accelerator;
  /** The host's time stamp counter in kHz; needed for tcg. */
  readonly tscKhz: number;
}

/** Flags per accelerator, each with its measured reason. */
const ACCELERATORS: Record<Accelerator, { readonly args: readonly string[]; readonly kernel: (tscKhz: number) => readonly string[] }> = {
  kvm: { args: ['-accel', 'kvm', '-cpu', 'host'], kernel: () => [] },
  tcg: {
    // One thread per processor; a translation cache of 256 MiB, because the default grows to a gigabyte.
    args: ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max'],
    // Told the rate of its clock, because calibrating it hangs now and then under load; an emulated processor does not speculate.
    kernel: (tscKhz) => [`tsc_early_khz=${tscKhz}`, 'tsc=reliable', 'mitigations=off'],
  },
};

/** QEMU parses what guests say: it may start no program, take no right and change no priority. */
const SECCOMP = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** Sockets of a machine in its run folder. */
export const machineSockets = (runDir: string) => ({
  agent: join(runDir, 'agent.sock'),
  control: join(runDir, 'qmp.sock'),
  share: (index: number) => join(runDir, `fs${index}.sock`),
});

/**
 * The QEMU command line of a machine: q35 with the uncompressed kernel, which boots 0.6 s faster under
 * emulation than the packed one and has hot-plug, unlike microvm. Nic i reads descriptor 3 + i.
 */
export const buildQemuCommand = (settings: QemuSettings, spec: MachineSpec): VmmCommand => {
  const { toolchain, accelerator, tscKhz } = settings;
  const sockets = machineSockets(spec.runDir);
  const args = [
    ...toolchain.qemu.prefix,
    ...toolchain.qemuData,
    ...['-name', `hypr-${quote(spec.name)}`, '-S', '-sandbox', SECCOMP],
    ...ACCELERATORS[accelerator].args,
    ...memoryArgs(spec),
    ...['-smp', String(spec.vcpus), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', toolchain.kernel, '-initrd', toolchain.initramfs, '-append', kernelLine(ACCELERATORS[accelerator].kernel(tscKhz))],
    ...['-chardev', `file,id=con,append=on,path=${quote(spec.consoleLog)}`, '-serial', 'chardev:con'],
    ...['-chardev', `socket,id=qmp,path=${quote(sockets.control)},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control'],
    ...['-device', 'virtio-serial-pci,id=vs0', '-chardev', `socket,id=ag,path=${quote(sockets.agent)},server=on,wait=off`],
    ...['-device', 'virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel'],
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ...['-device', 'virtio-balloon-pci,free-page-reporting=on'],
    ...spec.disks.flatMap(diskArgs),
    ...spec.nics.flatMap(nicArgs),
    ...spec.shares.flatMap((share, index) => [
      '-chardev',
      `socket,id=fs${index},path=${quote(sockets.share(index))}`,
      '-device',
      `vhost-user-fs-pci,chardev=fs${index},tag=${quote(share.tag)}`,
    ]),
  ];
  return { file: toolchain.qemu.file, args, env: {} };
};

/** Without the devices of a desktop: a kernel looks for each of them while it boots. */
const MACHINE = 'q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off';

/** virtiofsd maps the guest's memory, which therefore has to be shared; otherwise it is private. */
const memoryArgs = (spec: MachineSpec): string[] =>
  spec.shares.length > 0
    ? [
        '-M',
        `${MACHINE},memory-backend=m0`,
        '-object',
        `memory-backend-memfd,id=m0,size=${spec.memoryMib}M,share=on`,
        '-m',
        `${spec.memoryMib}M`,
      ]
    : ['-M', MACHINE, '-m', `${spec.memoryMib}M`];

const diskArgs = (disk: MachineSpec['disks'][number], index: number): string[] => {
  const options = [
    `if=none,id=d${index},file=${quote(disk.path)},format=${disk.format}`,
    disk.readOnly ? 'readonly=on' : 'discard=unmap,detect-zeroes=unmap',
  ];
  // A full disk of the host is an error in the guest: by default QEMU would stop the machine without a word.
  const device = `virtio-blk-pci,drive=d${index},serial=${quote(disk.serial)},werror=report,rerror=report`;
  return ['-drive', options.join(','), '-device', device];
};

const FIRST_FD = 3;

const nicArgs = (nic: MachineSpec['nics'][number], index: number): string[] => [
  '-netdev',
  `stream,id=${nic.id},server=off,addr.type=fd,addr.str=${FIRST_FD + index}`,
  '-device',
  `virtio-net-pci,netdev=${nic.id},mac=${nic.mac},host_mtu=${nic.mtu},romfile=`,
];

/** Nothing about a service: a machine is told what it is over its agent. A panic ends the machine, so that it is noticed. */
const kernelLine = (accelerator: readonly string[]): string => [...KERNEL_LINE, ...accelerator].join(' ');

const KERNEL_LINE = [
  ...['console=ttyS0', 'quiet', 'loglevel=3', 'reboot=t', 'panic=-1', 'random.trust_cpu=on'],
  // What a boot would wait for or test in vain: more serial ports, timer routing, grace periods, ciphers.
  ...['8250.nr_uarts=1', 'no_timer_check', 'rcupdate.rcu_expedited=1', 'cryptomgr.notests=1'],
];

/** A comma ends a value of QEMU's option syntax unless it is doubled. */
const quote = (value: string): string => value.replaceAll(',', ',,');
