import { HyprError } from '../../base/errors.ts';
import type { Service } from '../../compose/model/model.ts';
import { parseBytes } from '../../compose/model/units.ts';

/** ext4 with a journal needs some room for itself. */
const LEAST_MIB = 16;
/** What ext4 with blocks of 4 KiB and 32-bit block numbers holds. */
const MOST_MIB = 16 * 2 ** 20 - 1;

/** MiB of a disk whose size somebody wrote (`10g`). `what`: whose, for the error. Throws COMPOSE_INVALID. */
export const readDiskSize = (size: string, what: string, path?: readonly string[]): number => {
  const sizeMib = Math.floor(parseBytes(size) / 2 ** 20);
  if (!(sizeMib >= LEAST_MIB && sizeMib <= MOST_MIB)) {
    throw new HyprError('COMPOSE_INVALID', `${what}: its size is ${size}, and must be ${LEAST_MIB}m at least and less than 16t`, {
      ...(path === undefined ? {} : { path }),
    });
  }
  return sizeMib;
};

/** What a service may write outside of its volumes, in MiB, by `storage_opt: {size: 10G}`. Throws COMPOSE_INVALID. */
export const writableLayerOf = (name: string, { storage_opt: options = {} }: Service): number | undefined => {
  const path = ['services', name, 'storage_opt'];
  const { size, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: storage_opt has no option ${unknown}`, { path, hint: 'the only one is size' });
  }
  return size === undefined ? undefined : readDiskSize(String(size), `the disk of service ${name}`, [...path, 'size']);
};
