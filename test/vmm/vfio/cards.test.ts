import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { identifyProcess } from '../../../base/host/process.ts';
import { chooseCards } from '../../../vmm/vfio/choose-cards.ts';
import { judgeCard } from '../../../vmm/vfio/judge.ts';
import { lockedBytes, lockLimit, refuseWithoutLock } from '../../../vmm/vfio/locked-memory.ts';
import { readCards } from '../../../vmm/vfio/read-cards.ts';
import { giveBackCards, lostCards, takeCards } from '../../../vmm/vfio/take-cards.ts';
import { DESKTOP, type MadeCard, makeHost, USB, VGA } from './support.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cards-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

type Options = Parameters<typeof makeHost>[2];

const hostOf = async (cards: readonly MadeCard[], options: Options = {}) => readCards(await makeHost(folder, cards, options));

const verdicts = async (cards: readonly MadeCard[], options: Options = {}) => {
  const host = await hostOf(cards, options);
  return Object.fromEntries(host.cards.map((card) => [card.address, judgeCard(card, host)]));
};

const without = (key: keyof MadeCard): MadeCard[] => DESKTOP.map(({ [key]: _, ...card }) => card as MadeCard);

const onVfio = DESKTOP.map((card) => (card.address.startsWith('0000:01') ? { ...card, driver: 'vfio-pci' } : card));

describe('whether a machine can have a card', () => {
  it('is told of a desktop: not the display it booted with, the others by root', async () => {
    expect(await verdicts(DESKTOP)).toEqual({
      '0000:00:02.0': { use: 'no', reason: 'it is the display that this host booted with', fix: [] },
      '0000:01:00.0': { use: 'bind' },
      '0000:01:00.1': { use: 'bind' },
      '0000:02:00.0': { use: 'bind' },
    });
  });

  it('is no without an IOMMU', async () => {
    const verdict = (await verdicts(without('group')))['0000:01:00.0'];
    expect(verdict).toMatchObject({ use: 'no', reason: expect.stringContaining('no IOMMU') });
    expect(verdict?.use === 'no' && verdict.fix.join()).toContain('intel_iommu=on');
  });

  it('gives a plain user the commands, for both functions of the group', async () => {
    const verdict = (await verdicts(DESKTOP, { isRoot: false }))['0000:01:00.0'];
    expect(verdict).toMatchObject({ use: 'no', reason: 'taking a card from the host needs root' });
    expect(verdict?.use === 'no' && verdict.fix).toEqual([
      'sudo modprobe vfio-pci',
      ...['0000:01:00.0', '0000:01:00.1'].flatMap((address) => [
        `echo vfio-pci | sudo tee /sys/bus/pci/devices/${address}/driver_override`,
        `echo ${address} | sudo tee /sys/bus/pci/devices/${address}/driver/unbind`,
        `echo ${address} | sudo tee /sys/bus/pci/drivers_probe`,
      ]),
      expect.stringMatching(/^sudo chown \S+ \/dev\/vfio\/1$/),
    ]);
  });

  it.each([
    ['free', 'ready', undefined],
    ['busy', 'no', 'a machine has it'],
    ['denied', 'no', 'may not open /dev/vfio/1'],
    ['absent', 'no', 'there is no /dev/vfio/1'],
  ] as const)('with its driver vfio-pci and a group that is %s: %s', async (access, use, reason) => {
    const verdict = (await verdicts(onVfio, { isRoot: false, open: { '/dev/vfio/1': access } }))['0000:01:00.0'];
    expect(verdict).toMatchObject({ use, ...(reason === undefined ? {} : { reason: expect.stringContaining(reason) }) });
  });

  it('is no for a disk that is in use, also by several paths', async () => {
    expect((await verdicts(DESKTOP, { open: { '/dev/nvme0n1': 'busy' } }))['0000:02:00.0']).toEqual({
      use: 'no',
      reason: 'its disk nvme0n1 is mounted or otherwise in use',
      fix: [],
    });
  });

  it('is no for an interface that is up, and for what is in its group', async () => {
    const nic: MadeCard = {
      address: '0000:03:00.0',
      class: '0x020000',
      driver: 'e1000e',
      group: '1',
      files: { 'net/eth0/flags': '0x1003' },
    };
    const all = await verdicts([...DESKTOP, nic]);
    expect(all['0000:03:00.0']).toMatchObject({ reason: 'its network interface eth0 is up' });
    expect(all['0000:01:00.0']).toMatchObject({ reason: 'its IOMMU group 1 has 0000:03:00.0 as well: its network interface eth0 is up' });
    const virtio = { ...nic, driver: 'virtio-pci', group: '8', files: { 'virtio0/net/ens3/flags': '0x1003' } };
    await rm(folder, { recursive: true });
    expect((await verdicts([...DESKTOP, virtio]))['0000:03:00.0']).toMatchObject({ reason: 'its network interface ens3 is up' });
    const down = { ...nic, group: '9', files: { 'net/eth0/flags': '0x1002' } };
    await rm(folder, { recursive: true });
    expect((await verdicts([...DESKTOP, down]))['0000:03:00.0']).toEqual({ use: 'bind' });
  });

  const ONE: Pick<MadeCard, 'address' | 'group'> = { address: '0000:03:00.0', group: '3' };
  const virtio: MadeCard = { ...ONE, class: '0x020000', driver: 'virtio-pci' };

  it.each<[string, MadeCard, Options, string]>([
    ['virtio interface', { ...virtio, files: { 'virtio0/net/eth0/flags': '0x1003' } }, {}, 'its network interface eth0 is up'],
    [
      'virtio disk',
      { ...virtio, class: '0x010000', files: { 'virtio1/block/vda/dev': '254:0' } },
      { open: { '/dev/vda': 'busy' } },
      'its disk vda is mounted or otherwise in use',
    ],
    [
      'SATA disk',
      { ...ONE, class: '0x010601', driver: 'ahci', files: { 'ata1/host0/target0:0:0/0:0:0:0/block/sda/dev': '8:0' } },
      { open: { '/dev/sda': 'busy' } },
      'its disk sda is mounted or otherwise in use',
    ],
    [
      'interface by USB',
      { ...ONE, class: USB, driver: 'xhci_hcd', files: { 'usb1/1-1/1-1:1.0/net/enx0/flags': '0x1003' } },
      {},
      'its network interface enx0 is up',
    ],
    [
      'card with virtual functions',
      { ...virtio, files: { sriov_numvfs: '4' } },
      {},
      'it has 4 virtual functions (SR-IOV), which would be gone',
    ],
  ])('is no, and prints no command, for a %s that the host uses', async (_, card, options, reason) => {
    expect((await verdicts([card], { ...options, isRoot: false }))[ONE.address]).toEqual({ use: 'no', reason, fix: [] });
  });

  it.each([
    ['mounted', { mountinfo: '29 1 254:1 / / rw - ext4 /dev/root rw' }, {}],
    ['mounted by name (btrfs)', { mountinfo: '29 1 0:25 / / rw - btrfs /dev/vda1 rw' }, {}],
    ['swap', { swaps: 'Filename Type Size\n/dev/vda1 partition 1 0 -2' }, {}],
    ['mapped', {}, { 'virtio1/block/vda/vda1/holders/dm-0': '' }],
  ] as const)('is no for a disk that is %s, also for who may not open it', async (_, told, files) => {
    const disk: MadeCard = {
      ...virtio,
      class: '0x010000',
      files: { 'virtio1/block/vda/dev': '254:0', 'virtio1/block/vda/vda1/dev': '254:1', ...files },
    };
    const roots = await makeHost(folder, [disk], { isRoot: false, open: { '/dev/vda': 'denied' } });
    const judge = async () => {
      const host = await readCards(roots);
      return judgeCard(host.cards[0] as (typeof host.cards)[number], host);
    };
    if (!('virtio1/block/vda/vda1/holders/dm-0' in files)) {
      expect(await judge()).not.toMatchObject({ fix: [] });
    }
    await mkdir(join(roots.proc, 'self'), { recursive: true });
    for (const [name, content] of Object.entries(told)) {
      await writeFile(join(roots.proc, name === 'swaps' ? name : `self/${name}`), `\n${content}\n`);
    }
    expect(await judge()).toEqual({ use: 'no', reason: 'its disk vda is mounted or otherwise in use', fix: [] });
  });

  it('is no for a card that a program has open', async () => {
    const roots = await makeHost(folder, DESKTOP);
    await mkdir(join(roots.proc, '42/fd'), { recursive: true });
    await writeFile(join(roots.proc, '42/comm'), 'Xorg\n');
    await symlink('/dev/nvidia0', join(roots.proc, '42/fd/7'));
    const host = await readCards(roots);
    expect(chooseError(host, { address: '0000:01:00.0' })).toContain('Xorg (pid 42) has it open');
  });

  it('takes no USB controller by itself but that of a display', async () => {
    const usb = (address: string, group: string): MadeCard => ({ address, class: USB, driver: 'xhci_hcd', group });
    const all = await verdicts([...DESKTOP, usb('0000:01:00.2', '1'), usb('0000:00:14.0', '5')]);
    expect(all['0000:01:00.2']).toEqual({ use: 'bind' });
    expect(all['0000:00:14.0']).toMatchObject({ use: 'no', reason: 'hypr takes no card of this kind (USB) from the host by itself' });
  });
});

const chooseError = (...[host, wish]: [Parameters<typeof chooseCards>[2], Parameters<typeof chooseCards>[1][number]]): string => {
  try {
    chooseCards('web-1', [wish], host);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('the cards that a machine gets', () => {
  it.each<Parameters<typeof chooseCards>[1][number]>([
    { address: '0000:01:00.1' },
    { gpus: 'all' },
    { gpus: 1, vendor: 0x10de },
    { nth: 1 },
    { nth: 0, vendor: 0x10de },
  ])('are all of the group: %j', async (wish) => {
    expect(chooseCards('web-1', [wish], await hostOf(DESKTOP)).map(({ address }) => address)).toEqual(['0000:01:00.0', '0000:01:00.1']);
  });

  it('are others than those that are named, reserved or in use', async () => {
    const second: MadeCard = { address: '0000:04:00.0', vendor: '0x1002', class: VGA, driver: 'amdgpu', group: '4' };
    const host = await hostOf([...DESKTOP, second]);
    const gpu = (wishes: Parameters<typeof chooseCards>[1], reserved?: ReadonlySet<string>) =>
      chooseCards('web-1', wishes, host, reserved).map(({ address }) => address);
    expect(gpu([{ gpus: 1 }], new Set(['1']))).toEqual(['0000:04:00.0']);
    expect(gpu([{ gpus: 1 }, { address: '0000:01:00.0' }])).toEqual(['0000:01:00.0', '0000:01:00.1', '0000:04:00.0']);
    expect(gpu([{ gpus: 2 }])).toHaveLength(3);
    expect(chooseError(host, { gpus: 3 })).toBe('web-1 wants 3 GPUs, and only 2 of this host can be had');
  });

  it('are refused with the reason', async () => {
    const host = await hostOf(DESKTOP);
    expect(chooseError(host, { address: '0000:00:02.0' })).toBe(
      'web-1 cannot have 0000:00:02.0: it is the display that this host booted with',
    );
    expect(chooseError(host, { address: '0000:09:00.0' })).toBe('web-1 cannot have 0000:09:00.0: this host has no such card');
    expect(chooseError(host, { gpus: 1, vendor: 0x1002 })).toBe('web-1 wants a GPU, and none of this host can be had');
    expect(chooseError(host, { nth: 7 })).toBe('web-1 wants GPU 7, and this host has none of that number');
  });
});

describe('taking cards', () => {
  /** A host whose kernel does nothing: what is written can be read, and the driver stays what it is. */
  const handsOf = async (cards: readonly MadeCard[], open: Options = {}) => ({
    ...(await makeHost(folder, cards, open)),
    notes: join(folder, 'notes'),
  });

  it('of vfio-pci writes nothing, and gives nothing back', async () => {
    const hands = await handsOf(onVfio, { open: { '/dev/vfio/1': 'free' } });
    const taken = await takeCards({ name: 'web-1', runDir: '/r/web' }, [{ gpus: 'all' }], hands);
    expect(taken.cards).toEqual([{ address: '0000:01:00.0' }, { address: '0000:01:00.1' }]);
    await expect(takeCards({ name: 'web-2', runDir: '/r/2' }, [{ gpus: 1 }], hands)).rejects.toThrow('web-2 wants a GPU, and none');
    taken.settled();
    await expect(
      takeCards({ name: 'web-2', runDir: '/r/2' }, [{ gpus: 1 }], hands).then(({ settled }) => settled()),
    ).resolves.toBeUndefined();
    expect(await lostCards(hands)).toEqual([]);
  });

  it('notes the driver before it is changed, and gives back what it took when a later step fails', async () => {
    const hands = await handsOf(DESKTOP);
    await expect(takeCards({ name: 'web-1', runDir: '/r/web' }, [{ address: '0000:02:00.0' }], hands)).rejects.toThrow(
      '0000:02:00.0 did not get the driver vfio-pci, but nvme',
    );
    const device = join(hands.sys, 'bus/pci/devices/0000:02:00.0');
    expect(await readFile(join(device, 'driver_override'), 'utf8')).toBe('\n');
    expect(await readFile(join(hands.sys, 'bus/pci/drivers/nvme/unbind'), 'utf8')).toBe('0000:02:00.0');
    expect(await readFile(join(hands.sys, 'bus/pci/drivers_probe'), 'utf8')).toBe('0000:02:00.0');
    expect(await lostCards(hands)).toEqual([]);
  });

  it('knows cards whose machine and supervisor are gone', async () => {
    const hands = await handsOf(DESKTOP);
    await mkdir(hands.notes);
    const note = (owner: unknown) => JSON.stringify({ driver: 'nvme', runDir: '/r/web', owner });
    await writeFile(join(hands.notes, '0000:02:00.0.json'), note({ pid: 1, startTime: 'never' }));
    expect(await lostCards(hands)).toEqual(['0000:02:00.0']);
    await giveBackCards('/r/other', hands);
    expect(await lostCards(hands)).toEqual(['0000:02:00.0']);
    await giveBackCards('/r/web', hands);
    expect(await lostCards(hands)).toEqual([]);
  });
});

describe('a card that is noted', () => {
  const noted = async (note: Record<string, unknown>) => {
    const [card] = DESKTOP.filter(({ address }) => address === '0000:02:00.0').map(({ driver: _, ...rest }) => rest);
    const hands = { ...(await makeHost(folder, [card as MadeCard])), notes: join(folder, 'notes') };
    await mkdir(hands.notes);
    const file = join(hands.notes, '0000:02:00.0.json');
    await writeFile(file, JSON.stringify({ driver: 'nvme', runDir: '/r/web', ...note }));
    const taken = takeCards({ name: 'web-2', runDir: '/r/2' }, [{ address: '0000:02:00.0' }], hands);
    return { taken, file };
  };

  it('by a living supervisor of another stack is not taken again', async () => {
    const { taken, file } = await noted({ owner: identifyProcess(process.ppid) });
    await expect(taken).rejects.toThrow('web-2 cannot have 0000:02:00.0: a machine has it');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ runDir: '/r/web' });
  });

  it('by one that was killed between unbind and bind keeps the driver it goes back to', async () => {
    const { taken, file } = await noted({ owner: { pid: 1, startTime: 'never' } });
    // The kernel of this host binds nothing, so that it is given back at once, to the driver of the note.
    await expect(taken).rejects.toThrow('did not get the driver vfio-pci');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ driver: 'nvme', runDir: '/r/2' });
  });
});

describe('memory that stays where it is', () => {
  const spec = { name: 'web-1', memoryMib: 512 };
  const limits = (hard: string) =>
    `Limit   Soft Limit  Hard Limit  Units\nMax locked memory         65536                ${hard}             bytes     \n`;

  test.each([
    ['unlimited', Number.POSITIVE_INFINITY],
    ['65536', 65_536],
  ])('%s', (hard, bytes) => {
    expect(lockLimit(limits(hard))).toBe(bytes);
  });

  it('is refused with the command where the user may not lock as much', async () => {
    const user = { isRoot: false, name: 'me' };
    await expect(refuseWithoutLock(spec, { ...user, limits: limits('8388608') })).rejects.toMatchObject({
      message: 'web-1 cannot have cards: me may lock 8 MiB of memory, and it takes 640 MiB',
      hint: expect.stringContaining("echo 'me - memlock 655360' | sudo tee /etc/security/limits.d/hypr.conf"),
    });
    await refuseWithoutLock(spec, { ...user, limits: limits(String(lockedBytes(spec))) });
    await refuseWithoutLock(spec, { ...user, isRoot: true, limits: limits('8388608') });
  });
});
