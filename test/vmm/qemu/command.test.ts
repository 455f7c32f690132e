import { describe, expect, it } from 'vitest';
import { memoryClass } from '../../../vmm/model/memory-class.ts';
import { buildQemuCommand, isMachineCommand, pluggedDevices } from '../../../vmm/qemu/command.ts';
import { spec, toolchain } from '../support.ts';

const full = spec({
  disks: [
    { serial: 'root', path: '/images/a,b.vmdk', format: 'vmdk', readOnly: true },
    { serial: 'upper', path: '/machines/upper.ext4', format: 'raw', readOnly: false },
  ],
  nics: [
    { id: 'n0', mac: '02:00:00:00:00:01', mtu: 65520 },
    { id: 'n1', mac: '02:00:00:00:00:02', mtu: 1500 },
  ],
  shares: [{ tag: 'src', path: '/home/me/src', readOnly: true, ownership: 'squash' }],
});

/** What one command line has beyond another. */
const difference = (args: readonly string[], other: readonly string[]): string[] => {
  const text = (list: readonly string[]) => lines(list).split('\n');
  return text(args).filter((line) => !text(other).includes(line));
};

const lines = (args: readonly string[]): string => args.join('\n').replaceAll(/\n(?!-)/g, ' ');

describe('the command line of QEMU', () => {
  it('has a port for each card of the host, and keeps all memory', () => {
    const settings = { toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 } as const;
    const cards = [{ address: '0000:01:00.0' }, { address: '0000:01:00.1' }];
    const [plain, withCards] = [buildQemuCommand(settings, spec()), buildQemuCommand(settings, spec({ cards }))];
    expect(difference(withCards.args, plain.args)).toEqual([
      '-device pcie-root-port,id=c0,chassis=128,bus=pcie.0,addr=18.0,multifunction=on',
      '-device vfio-pci,host=0000:01:00.0,bus=c0',
      '-device pcie-root-port,id=c1,chassis=129,bus=pcie.0,addr=18.1',
      '-device vfio-pci,host=0000:01:00.1,bus=c1',
    ]);
    expect(difference(plain.args, withCards.args)).toEqual(['-device virtio-balloon-pci,free-page-reporting=on']);
  });

  it('for KVM', () => {
    const command = buildQemuCommand({ toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 }, spec());
    expect(command.file).toBe('/p/ld.so');
    expect(lines(command.args)).toMatchInlineSnapshot(`
      "--library-path /p/lib /p/qemu-system-x86_64
      -L /p/share/qemu
      -L /p/share/seabios
      -name hypr-shop-db-1
      -S
      -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
      -accel kvm
      -cpu host,vmx=off,svm=off
      -M q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off,hpet=off
      -m 512M
      -smp 2
      -nodefaults
      -no-user-config
      -display none
      -no-reboot
      -kernel /p/vmlinux
      -initrd /p/initramfs.cpio
      -append console=ttyS0 quiet loglevel=3 reboot=t panic=-1 random.trust_cpu=on 8250.nr_uarts=1 no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests=1 pci=lastbus=0
      -chardev file,id=con,append=on,path=/log/console
      -serial chardev:con
      -chardev socket,id=qmp,fd=64,server=on,wait=off
      -mon chardev=qmp,mode=control
      -device virtio-serial-pci,id=vs0,max_ports=2
      -chardev socket,id=ag,fd=65,server=on,wait=off
      -device virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel
      -object rng-random,id=rng0,filename=/dev/urandom
      -device virtio-rng-pci,rng=rng0
      -device virtio-balloon-pci,free-page-reporting=on"
    `);
  });

  it('for software emulation, with disks, networks and a share', () => {
    const command = buildQemuCommand({ toolchain: toolchain(), accelerator: 'tcg', tscKhz: 2_000_000 }, full);
    expect(lines(command.args)).toMatchInlineSnapshot(`
      "--library-path /p/lib /p/qemu-system-x86_64
      -L /p/share/qemu
      -L /p/share/seabios
      -name hypr-shop-db-1
      -S
      -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
      -accel tcg,thread=multi,tb-size=256
      -cpu max,svm=off
      -M q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off,hpet=off,memory-backend=m0
      -object memory-backend-memfd,share=on,id=m0,size=512M
      -m 512M
      -smp 2
      -nodefaults
      -no-user-config
      -display none
      -no-reboot
      -kernel /p/vmlinux
      -initrd /p/initramfs.cpio
      -append console=ttyS0 quiet loglevel=3 reboot=t panic=-1 random.trust_cpu=on 8250.nr_uarts=1 no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests=1 pci=lastbus=0 tsc_early_khz=2000000 tsc=reliable mitigations=off
      -chardev file,id=con,append=on,path=/log/console
      -serial chardev:con
      -chardev socket,id=qmp,fd=64,server=on,wait=off
      -mon chardev=qmp,mode=control
      -device virtio-serial-pci,id=vs0,max_ports=2
      -chardev socket,id=ag,fd=65,server=on,wait=off
      -device virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel
      -object rng-random,id=rng0,filename=/dev/urandom
      -device virtio-rng-pci,rng=rng0
      -device virtio-balloon-pci,free-page-reporting=on
      -drive if=none,id=d0,file=/images/a,,b.vmdk,format=vmdk,readonly=on
      -device virtio-blk-pci,drive=d0,serial=root,werror=enospc,rerror=report
      -drive if=none,id=d1,file=/machines/upper.ext4,format=raw,discard=unmap,detect-zeroes=unmap
      -device virtio-blk-pci,drive=d1,serial=upper,werror=enospc,rerror=report
      -netdev stream,id=n0,server=off,addr.type=fd,addr.str=3
      -device virtio-net-pci,netdev=n0,mac=02:00:00:00:00:01,host_mtu=65520,romfile=
      -netdev stream,id=n1,server=off,addr.type=fd,addr.str=4
      -device virtio-net-pci,netdev=n1,mac=02:00:00:00:00:02,host_mtu=1500,romfile=
      -chardev socket,id=fs0,fd=66
      -device vhost-user-fs-pci,chardev=fs0,tag=src"
    `);
  });

  it('shares memory only with a share', () => {
    const { args } = buildQemuCommand({ toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 }, { ...full, shares: [] });
    expect(args.join(' ')).not.toContain('memory-backend');
  });

  it('has one thread for several processors where devices change while they run: in a template, and where disks are plugged in', () => {
    const settings = { toolchain: toolchain(), accelerator: 'tcg', tscKhz: 2_000_000 } as const;
    const accel = (changes: object, beginning?: Parameters<typeof buildQemuCommand>[2]) => {
      const { args } = buildQemuCommand(settings, spec(changes), beginning);
      return args[args.indexOf('-accel') + 1];
    };
    const ram = '/t/ram';
    expect([accel({ sparePorts: 12 }), accel({}, { kind: 'template', ram })]).toEqual(Array(2).fill('tcg,thread=single,tb-size=256'));
    const many = [
      accel({}),
      accel({}, { kind: 'clone', ram }),
      accel({ vcpus: 1, sparePorts: 12 }),
      accel({ vcpus: 1 }, { kind: 'template', ram }),
    ];
    expect(many).toEqual(Array(4).fill('tcg,thread=multi,tb-size=256'));
  });

  it('of a template has slots instead of disks and cards, and its memory in a file', () => {
    const settings = { toolchain: toolchain(), accelerator: 'tcg', tscKhz: 2_000_000 } as const;
    const template = buildQemuCommand(settings, spec(), { kind: 'template', ram: '/t/r,am' }).args;
    expect(lines(difference(template, buildQemuCommand(settings, spec()).args))).toMatchInlineSnapshot(`
      "-accel tcg,thread=single,tb-size=256
      -M q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off,hpet=off,memory-backend=m0
      -object memory-backend-file,share=on,mem-path=/t/r,,am,id=m0,size=512M
      -device virtio-balloon-pci
      -device pcie-root-port,id=p0,chassis=1,bus=pcie.0,addr=8.0,multifunction=on
      -device pcie-root-port,id=p1,chassis=2,bus=pcie.0,addr=8.1
      -device pcie-root-port,id=p2,chassis=3,bus=pcie.0,addr=8.2
      -device pcie-root-port,id=p3,chassis=4,bus=pcie.0,addr=8.3
      -device pcie-root-port,id=p4,chassis=5,bus=pcie.0,addr=8.4
      -device pcie-root-port,id=p5,chassis=6,bus=pcie.0,addr=8.5
      -device pcie-root-port,id=p6,chassis=7,bus=pcie.0,addr=8.6
      -device pcie-root-port,id=p7,chassis=8,bus=pcie.0,addr=8.7
      -device pcie-root-port,id=p8,chassis=9,bus=pcie.0,addr=9.0,multifunction=on
      -device pcie-root-port,id=p9,chassis=10,bus=pcie.0,addr=9.1
      -device pcie-root-port,id=p10,chassis=11,bus=pcie.0,addr=9.2
      -device pcie-root-port,id=p11,chassis=12,bus=pcie.0,addr=9.3
      -device pcie-root-port,id=p12,chassis=13,bus=pcie.0,addr=9.4
      -device pcie-root-port,id=p13,chassis=14,bus=pcie.0,addr=9.5
      -device pcie-root-port,id=p14,chassis=15,bus=pcie.0,addr=9.6
      -device pcie-root-port,id=p15,chassis=16,bus=pcie.0,addr=9.7
      -blockdev null-co,node-name=d0,size=17592186044416,read-zeroes=on
      -blockdev null-co,node-name=d1,size=17592186044416,read-zeroes=on
      -netdev hubport,id=n0,hubid=0
      -device virtio-blk-pci,drive=d0,serial=none0,werror=enospc,rerror=report,id=s0,bus=p0
      -device virtio-blk-pci,drive=d1,serial=none1,werror=enospc,rerror=report,id=s1,bus=p1
      -device virtio-net-pci,netdev=n0,mac=02:68:79:70:72:00,host_mtu=65520,romfile=,id=s2,bus=p2"
    `);
  });

  it('of a clone opens its own disks and networks and never writes to the template', () => {
    const settings = { toolchain: toolchain(), accelerator: 'tcg', tscKhz: 2_000_000 } as const;
    const own = { ...full, shares: [] };
    const clone = buildQemuCommand(settings, own, { kind: 'clone', ram: '/t/r,am' }).args;
    const template = buildQemuCommand(settings, { ...own, disks: [], nics: [] }, { kind: 'template', ram: '/t/r,am' }).args;
    expect(lines(difference(clone, template))).toMatchInlineSnapshot(`
      "-accel tcg,thread=multi,tb-size=256
      -object memory-backend-file,share=off,readonly=on,rom=off,mem-path=/t/r,,am,id=m0,size=512M
      -drive if=none,id=d0,file=/images/a,,b.vmdk,format=vmdk,readonly=on
      -drive if=none,id=d1,file=/machines/upper.ext4,format=raw,discard=unmap,detect-zeroes=unmap
      -netdev stream,id=n0,server=off,addr.type=fd,addr.str=3
      -netdev stream,id=n1,server=off,addr.type=fd,addr.str=4
      -device virtio-blk-pci,drive=d0,serial=root,werror=enospc,rerror=report,id=s0,bus=p0
      -device virtio-blk-pci,drive=d1,serial=upper,werror=enospc,rerror=report,id=s1,bus=p1
      -incoming defer"
    `);
    expect(pluggedDevices(own)).toMatchInlineSnapshot(`
      [
        {
          "bus": "p3",
          "driver": "virtio-net-pci",
          "host_mtu": 1500,
          "id": "s3",
          "mac": "02:00:00:00:00:02",
          "netdev": "n1",
          "romfile": "",
        },
      ]
    `);
  });

  it('of a clone whose memory is mapped for it gives back what its guest frees', () => {
    const settings = { toolchain: toolchain({ preload: '/p/preload.so' }), accelerator: 'tcg', tscKhz: 2_000_000 } as const;
    const own = { ...full, shares: [] };
    const without = buildQemuCommand({ ...settings, toolchain: toolchain() }, own, { kind: 'clone', ram: '/t/ram' });
    const clone = buildQemuCommand(settings, own, { kind: 'clone', ram: '/t/ram' });
    expect(lines(difference(clone.args, without.args))).toMatchInlineSnapshot(`
      "-object memory-backend-ram,id=m0,size=512M
      -device virtio-balloon-pci,free-page-reporting=on"
    `);
    expect([without.env, clone.env]).toEqual([{}, { HYPR_GUEST_MEMORY: '/t/ram' }]);
    // What is shared with virtiofsd has no file, and is given back as it is; a template writes its file.
    expect(buildQemuCommand(settings, full, { kind: 'clone', ram: undefined }).env).toEqual({});
    expect(buildQemuCommand(settings, own, { kind: 'template', ram: '/t/ram' }).env).toEqual({});
  });

  it('of a clone that makes copies is that of a clone, but that its own code keeps it from starting programs', () => {
    const settings = { toolchain: toolchain({ preload: '/p/preload.so' }), accelerator: 'tcg', tscKhz: 2_000_000 } as const;
    const own = { ...full, shares: [] };
    const clone = buildQemuCommand(settings, own, { kind: 'clone', ram: '/t/ram' });
    const zygote = buildQemuCommand(settings, own, { kind: 'zygote', ram: '/t/ram', consoles: '/logs' });
    expect(lines(difference(zygote.args, clone.args))).toMatchInlineSnapshot(
      `"-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=allow,resourcecontrol=deny"`,
    );
    expect(zygote.env).toEqual(clone.env);
  });

  it('gives a machine the memory of its class, however it begins', () => {
    const sizes = [1, 128, 129, 160, 256, 257, 500, 512, 513, 768, 769, 1025, 2048];
    expect(sizes.map(memoryClass)).toEqual([128, 128, 192, 192, 256, 384, 512, 512, 768, 768, 1024, 1536, 2048]);
    for (const kind of ['cold', 'clone'] as const) {
      const { args } = buildQemuCommand({ toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 }, spec({ memoryMib: 300 }), {
        kind,
        ram: '/r',
      });
      expect(args[args.indexOf('-m') + 1]).toBe('384M');
    }
  });

  it('does not let a name or path add options', () => {
    const { args } = buildQemuCommand(
      { toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 },
      spec({ name: 'a,debug-threads=on', disks: [{ serial: 's', path: '/x,readonly=off', format: 'raw', readOnly: true }] }),
    );
    expect(args).toContain('hypr-a,,debug-threads=on');
    expect(args).toContain('if=none,id=d0,file=/x,,readonly=off,format=raw,readonly=on');
  });
});

describe('a process that is a machine', () => {
  const { file, args } = buildQemuCommand({ toolchain: toolchain(), accelerator: 'tcg', tscKhz: 0 }, spec());

  it.each([
    ['a machine', true, [file, ...args]],
    ['its fence, which becomes QEMU', true, ['/p/machine', '--keep', '3', '--', file, ...args]],
    ['what reads its files', false, ['less', '/p/qemu-system-x86_64', 'hypr-shop-db-1']],
    ['a search by its command line', false, ['pgrep', '-f', 'qemu-system-x86_64 -name hypr-shop-db-1 -S']],
    ['a search for its files', false, ['find', '/home/me/.hypr', '-name', 'hypr-*']],
    ['a search for its files below a folder of QEMU', false, ['find', '/p/qemu-system-x86_64', '-name', 'hypr-*']],
    ['a machine of somebody else', false, ['qemu-system-x86_64', '-name', 'guest', '-S']],
  ])('is known by its words: %s', (_, isOne, words) => {
    expect(isMachineCommand(words)).toBe(isOne);
  });
});
