import { pciAddress } from '../../base/host/pci-address.ts';

/** Addresses of cards of the host that a service has: `x-hypr: {pci: ['0000:01:00.0']}`. `fault`: it is no list of such addresses. Pure. */
export const readPci = (settings: unknown): string[] | { readonly fault: string } => {
  const { pci } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  if (pci === undefined) {
    return [];
  }
  const addresses = Array.isArray(pci) ? pci.map((each) => (typeof each === 'string' ? pciAddress(each) : undefined)) : [undefined];
  const found = addresses.filter((address) => address !== undefined);
  return found.length === addresses.length
    ? found
    : { fault: 'must be a list of PCI addresses, such as ["0000:01:00.0"]; hypr gpu list has those of GPUs' };
};
