import type { NetworkEvent } from '../types.ts';

/** A record, so that the compiler misses a kind that is not read. */
const EVERY_KIND: Readonly<Record<NetworkEvent['event'], true>> = {
  refused: true,
  limited: true,
  attached: true,
  detached: true,
  memory: true,
  names: true,
  edge: true,
};
const KINDS: ReadonlySet<unknown> = new Set(Object.keys(EVERY_KIND));
const TEXTS = ['machine', 'mac', 'protocol', 'to', 'name', 'why'] as const;
const MAX_TEXT = 512;

/**
 * An event of a gateway, with the fields of its type and no others: what a gateway says that was taken over is not believed to have any
 * shape. Undefined for what is none, or of a kind that is not known (a gateway may be newer than its reader). Pure.
 */
export const readEvent = (value: Readonly<Record<string, unknown>>): NetworkEvent | undefined => {
  const { event, count = 1, owners } = value;
  if (!KINDS.has(event) || typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) {
    return undefined;
  }
  const read: Record<string, unknown> = { event, count };
  for (const key of TEXTS) {
    const text = value[key];
    if (isText(text)) {
      read[key] = text.slice(0, MAX_TEXT);
    }
  }
  if (event === 'names') {
    const tables = readOwners(owners);
    if (tables === undefined) {
      return undefined;
    }
    read.owners = tables;
  }
  if (event === 'edge') {
    const { edge, from } = value;
    if (!Number.isSafeInteger(edge) || !isText(from) || read.to === undefined) {
      return undefined;
    }
    read.edge = edge;
    read.from = from.slice(0, MAX_TEXT);
  }
  return read as unknown as NetworkEvent;
};

/** Name tables by owner: `{"shop":{"web":["10.89.7.3"]}}`. */
const readOwners = (value: unknown): NetworkEvent['owners'] | undefined => {
  if (!isObject(value)) {
    return undefined;
  }
  const isTable = (table: unknown): boolean =>
    isObject(table) && Object.values(table).every((list) => Array.isArray(list) && list.every((address) => typeof address === 'string'));
  return Object.values(value).every(isTable) ? (value as NonNullable<NetworkEvent['owners']>) : undefined;
};

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
