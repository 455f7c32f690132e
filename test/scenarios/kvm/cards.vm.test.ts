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

const script = (toolchain: string, drivers: string): string => `
export HYPR_HOME=/vh HYPR_RUNTIME_DIR=/vr HYPR_ACCEL=kvm HYPR_PATIENCE=20 HYPR_TEMPLATES=0 TERM=dumb
mkdir -p /vh /vr && ln -s ${toolchain} /vh/toolchain && cd /vr
hypr() { ${root}/bin/hypr "$@"; }
list() { hypr gpu list --all --format '{{.Address}} {{.Driver}} {{.Use}}'; }
hypr load -q -i ${folder}/busybox.tar
list
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

onlyWhere(process.env.HYPR_TEST_KVM === undefined && 'its host is emulated; HYPR_TEST_KVM=1 runs it').describe('a card of the host', () => {
  it(
    'is taken from its driver, works in the machine, and goes back, also after kill -9 of both',
    async () => {
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
      const { text } = await runOuterHost({
        ...{ toolchain, modules, release, memoryMib: 4096, signal: AbortSignal.timeout(25 * MINUTE) },
        script: script(dirname(kernel), join(modules, release, 'kernel/drivers/nvme/host')),
        devices: [
          ...[
            '-device',
            'VGA,addr=2',
            '-device',
            'pcie-root-port,id=r1,chassis=1,addr=4',
            '-device',
            'pcie-root-port,id=r2,chassis=2,addr=5',
          ],
          ...['-device', 'bochs-display,bus=r1'],
          ...['-drive', `if=none,id=card,format=raw,file=${disk}`, '-device', 'nvme,serial=card,drive=card,bus=r2'],
        ],
      });
      // Its console is narrow, so that what goes there is folded.
      const part = (name: string): string => (text.split(`== ${name}\n`)[1]?.split('\n== ')[0] ?? text).replaceAll(/\s+/g, ' ');
      expect(text).toContain(`${CARD} nvme yes: taken from its driver`);
      expect(text).toContain('0000:01:00.0 - yes: taken from its driver');
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
      expect(text).toContain('outer host: ended with 0');
    },
    25 * MINUTE,
  );
});
