import { type Card, type CardHost, groupOf, isGpu, kindOf, VFIO_DRIVER } from './card.ts';

/** Whether a machine can have a card: it is there for it (`ready`), hypr takes it from its driver for as long as the machine runs (`bind`), or not. */
export type Verdict =
  | { readonly use: 'ready' | 'bind' }
  /** `fix`: commands, or what to do; none where there is nothing. */
  | { readonly use: 'no'; readonly reason: string; readonly fix: readonly string[] };

/** Pure: whether a machine of this user can have it, and what is in the way. Whole groups only. */
export const judgeCard = (card: Card, host: CardHost): Verdict => {
  if (!host.iommu || card.group === undefined) {
    return no('no IOMMU of this host is in use, without which a card could write to all of its memory', NO_IOMMU);
  }
  const group = groupOf(card, host.cards);
  const display = group.find(({ bootVga }) => bootVga);
  if (display !== undefined) {
    return no(withMember('it is the display that this host booted with', card, display), []);
  }
  const access = host.groups.get(card.group);
  if (access === 'busy') {
    return no('a machine has it', []);
  }
  const bound = group.filter(({ driver }) => driver !== VFIO_DRIVER);
  return bound.length > 0 ? judgeBinding(card, group, bound, host) : judgeAccess(card.group, access, host);
};

const NO_IOMMU = [
  'switch VT-d or AMD-Vi on in the firmware',
  'on Intel: add intel_iommu=on to the command line of the kernel, and boot again',
];

const judgeBinding = (card: Card, group: readonly Card[], bound: readonly Card[], host: CardHost): Verdict => {
  const used = bound.find(({ inUse }) => inUse !== undefined);
  if (used !== undefined) {
    return no(withMember(used.inUse as string, card, used), []);
  }
  const commands = [...bindCommands(bound), `sudo chown ${host.user} /dev/vfio/${card.group}`];
  const foreign = bound.find((each) => !mayTake(each, group));
  if (foreign !== undefined) {
    return no(withMember(`hypr takes no card of this kind (${kindOf(foreign)}) from the host by itself`, card, foreign), commands);
  }
  return host.isRoot ? { use: 'bind' } : no('taking a card from the host needs root', commands);
};

const judgeAccess = (group: string, access: string | undefined, host: CardHost): Verdict =>
  access === 'free'
    ? { use: 'ready' }
    : access === 'denied'
      ? no(`${host.user} may not open /dev/vfio/${group}`, [`sudo chown ${host.user} /dev/vfio/${group}`])
      : no(`there is no /dev/vfio/${group}`, ['sudo modprobe vfio-pci']);

/** Base classes that a host lives without: network, display, multimedia, accelerators. Whether it uses one was looked at. */
const TAKEN: readonly number[] = [0x02, 0x03, 0x04, 0x12];
const NVME = 0x0108;

/** Other functions of a display (its USB, its serial bus) go with it. A USB controller of its own may have the keyboard. */
const mayTake = (card: Card, group: readonly Card[]): boolean =>
  TAKEN.includes(card.class >> 8) || card.class === NVME || group.some((other) => isGpu(other) && slotOf(other) === slotOf(card));

const slotOf = ({ address }: Card): string => address.replace(/\.\d$/, '');

/** Commands by which root gives cards to vfio-pci, until the next boot. */
const bindCommands = (cards: readonly Card[]): string[] => [
  'sudo modprobe vfio-pci',
  ...cards.flatMap(({ address, driver }) => {
    const device = `/sys/bus/pci/devices/${address}`;
    return [
      `echo ${VFIO_DRIVER} | sudo tee ${device}/driver_override`,
      ...(driver === undefined ? [] : [`echo ${address} | sudo tee ${device}/driver/unbind`]),
      `echo ${address} | sudo tee /sys/bus/pci/drivers_probe`,
    ];
  }),
];

const withMember = (reason: string, card: Card, member: Card): string =>
  member.address === card.address ? reason : `its IOMMU group ${card.group} has ${member.address} as well: ${reason}`;

const no = (reason: string, fix: readonly string[]): Verdict => ({ use: 'no', reason, fix });
