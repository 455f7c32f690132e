import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, expect, inject, it } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { needToolchain } from '../../../vmm/toolchain/index.ts';
import { mustHypr, root } from '../../support/cli.ts';
import { onlyWhere } from '../../support/needs.ts';
import { runOuterHost } from '../../support/outer/host.ts';

/**
 * A card of the host in a machine, for real: the host is an emulated computer with an IOMMU, whose NVMe disk is the card, and on which
 * hypr runs machines with KVM.
 */
const MINUTE = 60_000;
const CARD = '0000:02:00.0';
const folder = await mkdtemp(join(tmpdir(), 'cards-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the service does with the card: loads its driver, reads what the host wrote, and writes itself. */
const GUEST = `cp /m/*.xz /tmp; cd /tmp; unxz *.xz
for i in 1 2 3; do for m in *.ko; do insmod $m 2>/dev/null; done; done
mknod /card b $(tr : " " < /sys/block/nvme0n1/dev)
head -c 24 /card
echo written by the guest | dd of=/card bs=512 seek=1 conv=sync 2>/dev/null; sync
`;

const begin = (toolchain: string): string => `
export HYPR_HOME=/vh HYPR_RUNTIME_DIR=/vr HYPR_ACCEL=kvm HYPR_PATIENCE=20 HYPR_TEMPLATES=0 TERM=dumb
mkdir -p /vh /vr && ln -s ${toolchain} /vh/toolchain && cd /vr
hypr() { ${root}/bin/hypr "$@"; }
list() { hypr gpu list --all --format '{{.Address}} {{.Driver}} {{.Use}}'; }
hypr load -q -i ${folder}/busybox.tar
`;

const asRoot = (drivers: string): string => `
echo '== first'; list
echo '== plain user'; setpriv --reuid=1000 --regid=1000 --clear-groups env HYPR_HOME=/tmp/uh ${root}/bin/hypr gpu list --all 2>&1
echo '== display'; hypr run --rm --gpu 0000:00:02.0 busybox true 2>&1
echo '== run'; hypr run --rm --privileged --gpu ${CARD} -v ${drivers}:/m:ro -v ${folder}:/f:ro busybox sh /f/guest.sh 2>&1
echo; echo '== after'; list; dd if=/dev/nvme0n1 bs=512 skip=1 count=1 2>/dev/null | head -c 20
echo; echo '== held'; hypr run -d --name held --gpu ${CARD} busybox sleep 1d >/dev/null; list; hypr -p held suspend 2>&1
hypr run --rm --gpu ${CARD} busybox true 2>&1
echo '== killed'
for p in /proc/[0-9]*; do grep -qaE '^hypr supervisor|[q]emu-system' $p/cmdline && kill -9 \${p#/proc/}; done 2>/dev/null
sleep 2; hypr system check 2>&1; hypr system check --repair 2>&1; list
echo '== end'
`;

/** What a user does by the commands that `gpu list` prints; its home is the same toolchain, which it may read. */
const asUser = (toolchain: string): string => `
mkdir -p /p/s && printf 'services:\\n  a:\\n    image: busybox\\n    gpus: all\\n    command: [sh, -c, "cat /sys/bus/pci/devices/*/class; sleep 1d"]\\n    stop_grace_period: 1s\\n' > /p/s/compose.yaml
cd /p/s; echo '== compose'; hypr compose up -d 2>&1; sleep 5; hypr compose logs a 2>&1; list; hypr compose down -t 1 2>&1; echo; echo '== down'; list
mkdir -p /u/h /u/r && ln -s ${toolchain} /u/h/toolchain && chown -R 1000:1000 /u && chmod 666 /dev/kvm
for at in ${toolchain}/ $(dirname ${toolchain}) ${folder}; do chmod a+rx $at; done
find ${toolchain}/ ! -perm -o+r -exec chmod a+rX {} +; find ${toolchain}/bin -type f -exec chmod a+rx {} +; chmod a+r ${folder}/busybox.tar
device=/sys/bus/pci/devices/${CARD}
echo vfio-pci > $device/driver_override; echo ${CARD} > $device/driver/unbind; echo ${CARD} > /sys/bus/pci/drivers_probe; chown 1000 /dev/vfio/7
user() { setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/u HYPR_HOME=/u/h HYPR_RUNTIME_DIR=/u/r ${root}/bin/hypr "$@" 2>&1; }
cd /u; user load -q -i ${folder}/busybox.tar
ulimit -l 8192; echo '== little memory'; user run --rm --gpu ${CARD} busybox true
ulimit -l 700000; echo '== user'; user run --rm --gpu ${CARD} busybox sh -c 'cat /sys/bus/pci/devices/*/class'
echo '== left'; cat $device/driver_override; ls -A /run/hypr-cards
echo '== end'
`;

interface Host {
  readonly toolchain: string;
  readonly drivers: string;
}

/** Runs a script on the outer host; gives the part of its output that begins with `== name`. */
const onHost = async (script: (host: Host) => string): Promise<(name: string) => string> => {
  const toolchain = await needToolchain(homePaths(inject('hyprHome')));
  const kernel = dirname(toolchain.kernel);
  const [modules, release] = [join(kernel, 'usr/lib/modules'), basename(kernel).replace(/^kernel-/, '')];
  const disk = join(folder, 'card.img');
  await writeFile(disk, 'a card of the outer host');
  await truncate(disk, 64 << 20);
  await writeFile(join(folder, 'guest.sh'), GUEST);
  const env = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors') };
  await mustHypr(['pull', '-q', 'busybox'], { env });
  await mustHypr(['save', '-o', join(folder, 'busybox.tar'), 'busybox'], { env });
  const host = { toolchain: dirname(kernel), drivers: join(modules, release, 'kernel/drivers/nvme/host') };
  const { text } = await runOuterHost({
    ...{ toolchain, modules, release, memoryMib: 4096, signal: AbortSignal.timeout(25 * MINUTE) },
    script: `${begin(host.toolchain)}${script(host)}`,
    devices: [
      ...['-device', 'VGA,addr=2', '-device', 'pcie-root-port,id=r1,chassis=1,addr=4', '-device', 'pcie-root-port,id=r2,chassis=2,addr=5'],
      ...['-device', 'bochs-display,bus=r1'],
      ...['-drive', `if=none,id=card,format=raw,file=${disk}`, '-device', 'nvme,serial=card,drive=card,bus=r2'],
    ],
  });
  expect(text).toContain('outer host: ended with 0');
  // Its console is narrow, so that what goes there is folded.
  return (name) => (text.split(`== ${name}\n`)[1]?.split('\n== ')[0] ?? text).replaceAll(/\s+/g, ' ');
};

onlyWhere(process.env.HYPR_TEST_KVM !== 'all' && 'it takes six minutes; npm run test:kvm does it').describe('a card of the host', () => {
  it(
    'is taken from its driver, works in the machine, and goes back, also after kill -9 of both',
    async () => {
      const part = await onHost(({ drivers }) => asRoot(drivers));
      expect(part('first')).toContain(`${CARD} nvme yes: taken from its driver`);
      expect(part('first')).toContain('0000:01:00.0 - yes: taken from its driver');
      expect(part('plain user')).toContain('no: taking a card from the host needs root');
      expect(part('plain user')).toMatch(/sudo chown \S+ \/dev\/vfio\/7/);
      expect(part('display')).toContain('it is the display that this host booted with');
      expect(part('run')).toContain('a card of the outer host');
      expect(part('after')).toContain(`${CARD} nvme yes`);
      expect(part('after')).toContain('written by the guest');
      expect(part('held')).toContain(`${CARD} vfio-pci no: a machine has it`);
      expect(part('held')).toContain('cannot be suspended: it has a card of the host');
      expect(part('held')).toContain(`cannot have ${CARD}: a machine has it`);
      expect(part('killed')).toContain(`card ${CARD}: its machine is gone, and it was not given back to its driver`);
      expect(part('killed')).toContain(`made again: ${CARD} is with its driver again`);
      expect(part('killed')).toContain(`${CARD} nvme yes`);
    },
    25 * MINUTE,
  );

  it(
    'is a free GPU for `gpus: all`, and a plain user has what root has given to vfio-pci',
    async () => {
      const part = await onHost(({ toolchain }) => asUser(toolchain));
      expect(part('compose')).toContain('0x038000');
      expect(part('compose')).toContain('0000:01:00.0 vfio-pci no: a machine has it');
      expect(part('down')).toContain('0000:01:00.0 - yes');
      expect(part('little memory')).toContain('may lock 8 MiB of memory, and it takes 640 MiB');
      expect(part('user')).toContain('0x010802');
      expect(part('left').trim()).toBe('vfio-pci');
    },
    25 * MINUTE,
  );
});
