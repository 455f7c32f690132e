import { isIPv4 } from 'node:net';
import { HyprError } from '../../base/errors.ts';
import type { FileOrders, InterfaceOrders, MachineOrders, MountOrders, NameTable, ProcessSpec, StepContent, StepMount } from '../types.ts';
import { bytesField, intField, listField, textField } from './protocol.ts';

/** Orders as lists of fields; the tags are those of guest/agent/requests. */

const MOUNT_KIND = { disk: 1, share: 2, tmpfs: 3 } as const;

export const encodeMachine = (orders: MachineOrders): Buffer =>
  Buffer.concat([
    textField(1, orders.hostname),
    ...optional(orders.domainname, (name) => textField(2, name)),
    textField(3, orders.machineId),
    bytesField(4, orders.entropy),
    intField(5, Math.floor(orders.clock)),
    textField(6, orders.root.disk),
    ...optional(orders.root.upper, (upper) => textField(7, upper)),
    intField(8, orders.root.readOnly),
    ...orders.mounts.map((mount) => listField(10, encodeMount(mount))),
    ...orders.interfaces.map((card) => listField(11, encodeInterface(card))),
    encodeNames(orders.resolver.names),
    ...orders.resolver.search.map((suffix) => textField(13, suffix)),
    ...orders.resolver.upstreams.map((upstream) => textField(14, upstream)),
    ...orders.resolver.options.map((option) => textField(15, option)),
    ...orders.hosts.map(({ address, names }) => listField(16, [textField(1, address), ...names.map((name) => textField(2, name))])),
    encodeFiles(orders.files),
    ...Object.entries(orders.sysctls).map(([key, value]) => listField(18, [textField(1, key), textField(2, value)])),
  ]);

/** Of the orders only the root. */
export const encodeRoot = (root: { readonly disk: string; readonly upper: string }): Buffer =>
  Buffer.concat([textField(6, root.disk), textField(7, root.upper)]);

const encodeMount = (mount: MountOrders): Buffer[] => {
  const common = [intField(1, MOUNT_KIND[mount.kind]), textField(3, mount.target), intField(4, mount.readOnly)];
  if (mount.kind === 'tmpfs') {
    return [
      ...common,
      ...optional(mount.size, (size) => intField(7, Math.floor(size))),
      ...optional(mount.mode, (mode) => intField(8, mode)),
    ];
  }
  return [
    ...common,
    textField(2, mount.kind === 'disk' ? mount.disk : mount.tag),
    ...optional(mount.subpath, (subpath) => textField(5, subpath)),
    intField(6, mount.seed),
    ...(mount.kind === 'share' ? optional(mount.file, (file) => textField(9, file)) : []),
  ];
};

const encodeInterface = (card: InterfaceOrders): Buffer[] => [
  bytesField(1, encodeMac(card.mac)),
  textField(2, card.name),
  bytesField(3, encodeAddress(card.address)),
  intField(4, card.prefix),
  ...optional(card.gateway, (gateway) => bytesField(5, encodeAddress(gateway))),
  intField(6, card.mtu),
];

export const encodeNames = (names: NameTable): Buffer =>
  Buffer.concat(
    Object.entries(names).map(([name, addresses]) =>
      listField(12, [textField(1, name), ...addresses.map((address) => bytesField(2, encodeAddress(address)))]),
    ),
  );

export const encodeFiles = (files: readonly FileOrders[]): Buffer =>
  Buffer.concat(
    files.map((file) =>
      listField(17, [
        textField(1, file.path),
        bytesField(2, file.content),
        intField(3, file.mode),
        intField(4, file.uid),
        intField(5, file.gid),
      ]),
    ),
  );

export const encodeProcess = (spec: ProcessSpec): Buffer =>
  Buffer.concat([
    ...spec.args.map((arg) => textField(1, arg)),
    ...spec.env.map((entry) => textField(2, entry)),
    textField(3, spec.cwd === '' ? '/' : spec.cwd),
    textField(4, spec.user),
    ...spec.groups.map((group) => textField(5, group)),
    intField(6, spec.tty),
    ...optional(spec.size, (size) => Buffer.concat([intField(7, size.columns), intField(8, size.rows)])),
    intField(9, spec.stdin),
    ...Object.entries(spec.limits ?? {}).map(([name, { soft, hard }]) =>
      listField(10, [textField(1, name), intField(2, soft), intField(3, hard)]),
    ),
    intField(11, spec.privileged ?? false),
    ...(spec.capAdd ?? []).map((name) => textField(12, name)),
    ...(spec.capDrop ?? []).map((name) => textField(13, name)),
    intField(14, spec.init ?? false),
    intField(15, spec.noNewPrivileges ?? false),
    ...(spec.mounts ?? []).map((mount) => listField(16, encodeStepMount(mount))),
    intField(17, spec.isolated ?? false),
  ]);

const STEP_SOURCE = { cache: 1, staged: 2, image: 3, tmpfs: 4, file: 5, socket: 6 } as const;

const encodeStepMount = (mount: StepMount): Buffer[] => {
  const target = textField(3, mount.target);
  const own = (kind: number, writable: boolean) => [intField(1, kind), target, intField(4, writable)];
  switch (mount.kind) {
    case 'cache':
      return [...own(STEP_SOURCE.cache, !mount.readOnly), textField(2, mount.disk), ...encodeOwner(mount), ...encodeSeed(mount.seed)];
    case 'bind':
      return [
        ...own(contentKind(mount.content), !mount.readOnly),
        textField(2, contentName(mount.content)),
        textField(5, mount.content.path),
      ];
    case 'tmpfs':
      return [...own(STEP_SOURCE.tmpfs, true), ...optional(mount.size, (size) => intField(7, Math.floor(size)))];
    case 'file':
      return [...own(STEP_SOURCE.file, false), bytesField(6, mount.content), ...encodeOwner(mount)];
    case 'socket':
      return [...own(STEP_SOURCE.socket, true), textField(2, mount.name)];
  }
};

const contentKind = (content: StepContent): number => ('staged' in content ? STEP_SOURCE.staged : STEP_SOURCE.image);
const contentName = (content: StepContent): string => ('staged' in content ? content.staged : content.disk);

const encodeOwner = ({ mode, uid, gid }: { mode?: number; uid?: number; gid?: number }): Buffer[] => [
  ...optional(mode, (value) => intField(8, value)),
  ...optional(uid, (value) => intField(9, value)),
  ...optional(gid, (value) => intField(10, value)),
];

const encodeSeed = (seed: StepContent | undefined): Buffer[] =>
  seed === undefined ? [] : [intField(11, contentKind(seed)), textField(12, contentName(seed)), textField(13, seed.path)];

/** The few numbers and the one path of the small orders. */
export const encodeSimple = (order: {
  channel?: number;
  signal?: number;
  columns?: number;
  rows?: number;
  clock?: number;
  grace?: number;
  flag?: boolean;
  path?: string;
  port?: number;
  mode?: number;
  uid?: number;
  gid?: number;
}): Buffer =>
  Buffer.concat([
    ...optional(order.channel, (value) => intField(1, value)),
    ...optional(order.signal, (value) => intField(2, value)),
    ...optional(order.columns, (value) => intField(3, value)),
    ...optional(order.rows, (value) => intField(4, value)),
    ...optional(order.clock, (value) => intField(5, Math.floor(value))),
    ...optional(order.grace, (value) => intField(6, Math.max(0, Math.floor(value)))),
    ...optional(order.flag, (value) => intField(7, value)),
    ...optional(order.path, (value) => textField(8, value)),
    ...optional(order.port, (value) => intField(9, value)),
    ...optional(order.mode, (value) => intField(10, value)),
    ...optional(order.uid, (value) => intField(11, value)),
    ...optional(order.gid, (value) => intField(12, value)),
  ]);

const optional = <T>(value: T | undefined, encode: (value: T) => Buffer): Buffer[] => (value === undefined ? [] : [encode(value)]);

const encodeAddress = (address: string): Buffer => {
  if (!isIPv4(address)) {
    throw new HyprError('GUEST_REFUSED', `${JSON.stringify(address)} is not an IPv4 address`);
  }
  return Buffer.from(address.split('.').map(Number));
};

const encodeMac = (mac: string): Buffer => {
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(mac)) {
    throw new HyprError('GUEST_REFUSED', `${JSON.stringify(mac)} is not a MAC address`);
  }
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
};
