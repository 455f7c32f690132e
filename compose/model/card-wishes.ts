import { HyprError } from '../../base/errors.ts';
import { pciAddress } from '../../base/host/pci-address.ts';
import { readPci } from './cards.ts';
import type { Service } from './model.ts';

/** A card by its address, the nth GPU of the host, or so many that nobody has; `vendor` is PCI's number. */
export type CardWish =
  | { readonly address: string }
  | { readonly nth: number; readonly vendor?: number }
  | { readonly gpus: number | 'all'; readonly vendor?: number };

/**
 * Pure: the cards that a service is to have: `x-hypr.pci`, and docker's `gpus` and `deploy.resources.reservations.devices`, for each of which
 * a GPU that nobody has is found when its machine starts. Throws COMPOSE_INVALID, HYPR_UNSUPPORTED.
 */
export const resolveCards = (name: string, service: Service): { readonly cards?: readonly CardWish[] } => {
  const addresses = readPci(service['x-hypr']);
  if ('fault' in addresses) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: x-hypr.pci ${addresses.fault}`, { path: ['services', name, 'x-hypr'] });
  }
  const { devices } = (service.deploy?.resources as { reservations?: { devices?: unknown } } | undefined)?.reservations ?? {};
  const cards = [
    ...addresses.map((address) => ({ address })),
    ...listOf(service.gpus).flatMap((request, index) => wishesOf(request, ['services', name, 'gpus', String(index)])),
    ...listOf(devices).flatMap((request, index) =>
      wishesOf(request, ['services', name, 'deploy', 'resources', 'reservations', 'devices', String(index)]),
    ),
  ];
  return cards.length === 0 ? {} : { cards };
};

const listOf = (value: unknown): readonly DeviceRequest[] => (Array.isArray(value) ? value : []);

/** Of the Compose specification. Without a count and names of devices it is about all there are. */
interface DeviceRequest {
  readonly capabilities?: readonly string[];
  readonly driver?: string;
  readonly count?: number | string;
  readonly device_ids?: readonly string[];
}

/** PCI's numbers of who makes GPUs. */
const VENDORS: ReadonlyMap<string, number> = new Map([
  ['nvidia', 0x10de],
  ['amd', 0x1002],
  ['intel', 0x8086],
]);

/** What NVIDIA's driver for docker knows besides `gpu`: parts of its libraries, which are the image's own here. */
const CAPABILITIES: readonly string[] = [
  'gpu',
  'nvidia',
  'amd',
  'intel',
  'compute',
  'utility',
  'graphics',
  'video',
  'display',
  'compat32',
  'ngx',
];

const wishesOf = ({ capabilities = [], driver = '', count, device_ids: ids }: DeviceRequest, path: readonly string[]): CardWish[] => {
  const what = path.slice(2).join('.');
  const refuse = (text: string, hint: string): HyprError =>
    new HyprError('HYPR_UNSUPPORTED', `service ${path[1]}: ${what}: ${text}`, { path, hint });
  const vendor = VENDORS.get(driver);
  const unknown = capabilities.find((capability) => !CAPABILITIES.includes(capability));
  if (unknown !== undefined) {
    throw refuse(`no device has the capability ${unknown} here`, 'name a card by its address: x-hypr: {pci: [ADDRESS]}');
  }
  if (driver !== '' && vendor === undefined) {
    throw refuse(`there is no driver ${driver}`, `leave it out, or write ${[...VENDORS.keys()].join(', ')}`);
  }
  const only = vendor === undefined ? {} : { vendor };
  if (ids !== undefined) {
    return ids.map((id) => {
      const address = pciAddress(id);
      if (address === undefined && !/^\d{1,3}$/.test(id)) {
        throw refuse(`${id} names no card`, 'write an address or a number of: hypr gpu list');
      }
      return address === undefined ? { nth: Number(id), ...only } : { address };
    });
  }
  const wanted = count === undefined || count === 'all' || Number(count) === -1 ? 'all' : Number(count);
  if (wanted !== 'all' && (!Number.isInteger(wanted) || wanted < 0)) {
    throw refuse(`${count} is no number of GPUs`, 'write all, or how many');
  }
  return wanted === 0 ? [] : [{ gpus: wanted, ...only }];
};
