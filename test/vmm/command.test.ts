import { describe, expect, it } from 'vitest';
import { buildQemuCommand } from '../../vmm/qemu/command.ts';
import { spec, toolchain } from './support.ts';

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

const lines = (args: readonly string[]): string => args.join('\n').replaceAll(/\n(?!-)/g, ' ');

describe('the command line of QEMU', () => {
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
      -cpu host
      -M q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off
      -m 512M
      -smp 2
      -nodefaults
      -no-user-config
      -display none
      -no-reboot
      -kernel /p/vmlinux
      -initrd /p/initramfs.cpio
      -append console=ttyS0 quiet loglevel=3 reboot=t panic=-1 random.trust_cpu=on 8250.nr_uarts=1 no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests=1
      -chardev file,id=con,append=on,path=/log/console
      -serial chardev:con
      -chardev socket,id=qmp,path=/run/m/qmp.sock,server=on,wait=off
      -mon chardev=qmp,mode=control
      -device virtio-serial-pci,id=vs0
      -chardev socket,id=ag,path=/run/m/agent.sock,server=on,wait=off
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
      -cpu max
      -M q35,usb=off,vmport=off,smm=off,sata=off,smbus=off,i8042=off,memory-backend=m0
      -object memory-backend-memfd,share=on,id=m0,size=512M
      -m 512M
      -smp 2
      -nodefaults
      -no-user-config
      -display none
      -no-reboot
      -kernel /p/vmlinux
      -initrd /p/initramfs.cpio
      -append console=ttyS0 quiet loglevel=3 reboot=t panic=-1 random.trust_cpu=on 8250.nr_uarts=1 no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests=1 tsc_early_khz=2000000 tsc=reliable mitigations=off
      -chardev file,id=con,append=on,path=/log/console
      -serial chardev:con
      -chardev socket,id=qmp,path=/run/m/qmp.sock,server=on,wait=off
      -mon chardev=qmp,mode=control
      -device virtio-serial-pci,id=vs0
      -chardev socket,id=ag,path=/run/m/agent.sock,server=on,wait=off
      -device virtserialport,bus=vs0.0,nr=1,chardev=ag,name=org.hypr.kestrel
      -object rng-random,id=rng0,filename=/dev/urandom
      -device virtio-rng-pci,rng=rng0
      -device virtio-balloon-pci,free-page-reporting=on
      -drive if=none,id=d0,file=/images/a,,b.vmdk,format=vmdk,readonly=on
      -device virtio-blk-pci,drive=d0,serial=root,werror=report,rerror=report
      -drive if=none,id=d1,file=/machines/upper.ext4,format=raw,discard=unmap,detect-zeroes=unmap
      -device virtio-blk-pci,drive=d1,serial=upper,werror=report,rerror=report
      -netdev stream,id=n0,server=off,addr.type=fd,addr.str=3
      -device virtio-net-pci,netdev=n0,mac=02:00:00:00:00:01,host_mtu=65520,romfile=
      -netdev stream,id=n1,server=off,addr.type=fd,addr.str=4
      -device virtio-net-pci,netdev=n1,mac=02:00:00:00:00:02,host_mtu=1500,romfile=
      -chardev socket,id=fs0,path=/run/m/fs0.sock
      -device vhost-user-fs-pci,chardev=fs0,tag=src"
    `);
  });

  it('shares memory only with a share', () => {
    const { args } = buildQemuCommand({ toolchain: toolchain(), accelerator: 'kvm', tscKhz: 0 }, { ...full, shares: [] });
    expect(args.join(' ')).not.toContain('memory-backend');
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
