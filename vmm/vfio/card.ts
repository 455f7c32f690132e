/** A PCI function of this host that is no bridge. */
export interface Card {
  /** 0000:01:00.0 */
  readonly address: string;
  /** Numbers of PCI. */
  readonly vendor: number;
  readonly device: number;
  /** Base class and subclass: 0x0300 is VGA. */
  readonly class: number;
  /** The driver of the host that has it. */
  readonly driver?: string;
  /** Its IOMMU group; absent where no IOMMU is in use. */
  readonly group?: string;
  /** The display that the host booted with. */
  readonly bootVga: boolean;
  /** What the host does with it at the moment: then it is not taken away. */
  readonly inUse?: string;
}

/** Of a group's file in /dev/vfio: `absent` until one of its cards has the driver vfio-pci. */
export type Access = 'free' | 'busy' | 'denied' | 'absent';

/** This host, as far as cards are concerned. */
export interface CardHost {
  readonly cards: readonly Card[];
  /** Group → its file. */
  readonly groups: ReadonlyMap<string, Access>;
  /** An IOMMU is in use. */
  readonly iommu: boolean;
  readonly isRoot: boolean;
  readonly user: string;
}

export const VFIO_DRIVER = 'vfio-pci';

const DISPLAY = 0x03;

/** Pure: whether it is what `hypr gpu list` is about: displays, and accelerators that have no connector. */
export const isGpu = ({ class: code }: Pick<Card, 'class'>): boolean => code >> 8 === DISPLAY || code >> 8 === 0x12;

/** PCI's code and its base class, with what a person calls it. */
const KINDS: ReadonlyMap<number, string> = new Map([
  [0x0108, 'NVMe'],
  [0x01, 'storage'],
  [0x02, 'network'],
  [DISPLAY, 'GPU'],
  [0x0403, 'audio'],
  [0x04, 'multimedia'],
  [0x0c03, 'USB'],
  [0x12, 'accelerator'],
]);

/** Pure: what it is, in a word. */
export const kindOf = ({ class: code }: Pick<Card, 'class'>): string => KINDS.get(code) ?? KINDS.get(code >> 8) ?? 'other';

/** Pure: all cards of its IOMMU group, itself among them: they can reach each other's memory, so that a machine has all or none of them. */
export const groupOf = (card: Card, cards: readonly Card[]): readonly Card[] =>
  card.group === undefined ? [card] : cards.filter(({ group }) => group === card.group);
