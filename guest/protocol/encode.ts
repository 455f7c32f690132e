import { isIPv4, isIPv6 } from 'node:net';
import { parseIpv6 } from '../../base/ipv6.ts';
import type {
  FileSpec,
  MachineConfig,
  MachineMount,
  NameTable,
  NicConfig,
  ProcessSpec,
  ResolverConfig,
  ShareEdits,
  StepContent,
  StepMount,
} from '../types.ts';
import { bytesField, intField, listField, textField } from './protocol.ts';
import { refused } from './refusal.ts';
import { MOUNT, STEP_SOURCE, TAG } from './tags.ts';

/** Requests as lists of fields. */

export const encodeMachine = (config: MachineConfig): Buffer =>
  Buffer.concat([
    textField(TAG.machine.hostname, config.hostname),
    ...optional(config.domainname, (name) => textField(TAG.machine.domainname, name)),
    textField(TAG.machine.machineId, config.machineId),
    bytesField(TAG.machine.entropy, config.entropy),
    intField(TAG.machine.clock, Math.floor(config.clock)),
    textField(TAG.machine.rootDisk, config.root.disk),
    ...optional(config.root.upper, (upper) => textField(TAG.machine.upperDisk, upper)),
    intField(TAG.machine.readOnly, config.root.readOnly),
    ...config.mounts.map((mount) => listField(TAG.machine.mount, encodeMount(mount))),
    ...config.nics.map((nic) => listField(TAG.machine.nic, encodeNic(nic))),
    encodeNames(config.resolver.names),
    ...config.resolver.search.map((suffix) => textField(TAG.machine.search, suffix)),
    ...config.resolver.upstreams.map((upstream) => textField(TAG.machine.upstream, upstream)),
    ...config.resolver.options.map((option) => textField(TAG.machine.option, option)),
    ...config.hosts.map(({ address, names }) =>
      listField(TAG.machine.host, [textField(TAG.host.address, address), ...names.map((name) => textField(TAG.host.name, name))]),
    ),
    encodeFiles(config.files),
    ...Object.entries(config.sysctls).map(([key, value]) =>
      listField(TAG.machine.sysctl, [textField(TAG.sysctl.key, key), textField(TAG.sysctl.value, value)]),
    ),
  ]);

/** NICs that come while a machine runs, and the rest of what its resolver is told besides names. */
export const encodeNics = (nics: readonly NicConfig[], resolver: Pick<ResolverConfig, 'search' | 'upstreams'>): Buffer =>
  Buffer.concat([
    ...nics.map((nic) => listField(TAG.machine.nic, encodeNic(nic))),
    ...resolver.search.map((suffix) => textField(TAG.machine.search, suffix)),
    ...resolver.upstreams.map((upstream) => textField(TAG.machine.upstream, upstream)),
  ]);

/** Only the root of a MachineConfig. */
export const encodeRoot = (root: { readonly disk: string; readonly upper: string }): Buffer =>
  Buffer.concat([textField(TAG.machine.rootDisk, root.disk), textField(TAG.machine.upperDisk, root.upper)]);

const encodeMount = (mount: MachineMount): Buffer[] => {
  const common = [
    intField(TAG.mount.kind, MOUNT[mount.kind]),
    textField(TAG.mount.target, mount.target),
    intField(TAG.mount.readOnly, mount.readOnly),
  ];
  if (mount.kind === 'tmpfs') {
    return [
      ...common,
      ...optional(mount.size, (size) => intField(TAG.mount.size, Math.floor(size))),
      ...optional(mount.mode, (mode) => intField(TAG.mount.mode, mode)),
    ];
  }
  return [
    ...common,
    textField(TAG.mount.source, mount.kind === 'disk' ? mount.disk : mount.tag),
    ...optional(mount.subpath, (subpath) => textField(TAG.mount.subpath, subpath)),
    intField(TAG.mount.seed, mount.seed),
    ...(mount.kind === 'disk' && mount.image === true ? [intField(TAG.mount.image, true)] : []),
    ...(mount.kind === 'share' ? optional(mount.file, (file) => textField(TAG.mount.file, file)) : []),
    ...(mount.kind === 'share' && mount.synced === true ? [intField(TAG.mount.synced, true)] : []),
  ];
};

const encodeNic = (nic: NicConfig): Buffer[] => [
  bytesField(TAG.nic.mac, encodeMac(nic.mac)),
  textField(TAG.nic.name, nic.name),
  bytesField(TAG.nic.address, encodeAddress(nic.address)),
  intField(TAG.nic.prefix, nic.prefix),
  ...optional(nic.gateway, (gateway) => bytesField(TAG.nic.gateway, encodeAddress(gateway))),
  intField(TAG.nic.mtu, nic.mtu),
  ...optional(nic.ipv6, (ipv6) =>
    Buffer.concat([
      bytesField(TAG.nic.address6, encodeAddress6(ipv6.address)),
      intField(TAG.nic.prefix6, ipv6.prefix),
      ...optional(ipv6.gateway, (gateway) => bytesField(TAG.nic.gateway6, encodeAddress6(gateway))),
    ]),
  ),
];

export const encodeNames = (names: NameTable): Buffer =>
  Buffer.concat(
    Object.entries(names).map(([name, addresses]) =>
      listField(TAG.machine.name, [
        textField(TAG.name.name, name),
        ...addresses.map((address) =>
          isIPv6(address) ? bytesField(TAG.name.address6, encodeAddress6(address)) : bytesField(TAG.name.address, encodeAddress(address)),
        ),
      ]),
    ),
  );

export const encodeFiles = (files: readonly FileSpec[]): Buffer =>
  Buffer.concat(
    files.map((file) =>
      listField(TAG.machine.file, [
        textField(TAG.file.path, file.path),
        bytesField(TAG.file.content, file.content),
        intField(TAG.file.mode, file.mode),
        intField(TAG.file.uid, file.uid),
        intField(TAG.file.gid, file.gid),
        ...(file.readOnly === true ? [intField(TAG.file.readOnly, 1)] : []),
        ...(file.append === true ? [intField(TAG.file.append, 1)] : []),
      ]),
    ),
  );

export const encodeProcess = (spec: ProcessSpec): Buffer =>
  Buffer.concat([
    ...spec.args.map((arg) => textField(TAG.process.arg, arg)),
    ...spec.env.map((entry) => textField(TAG.process.env, entry)),
    textField(TAG.process.cwd, spec.cwd === '' ? '/' : spec.cwd),
    textField(TAG.process.user, spec.user),
    ...spec.groups.map((group) => textField(TAG.process.group, group)),
    intField(TAG.process.tty, spec.tty),
    ...optional(spec.size, (size) => Buffer.concat([intField(TAG.process.columns, size.columns), intField(TAG.process.rows, size.rows)])),
    intField(TAG.process.stdin, spec.stdin),
    ...Object.entries(spec.limits ?? {}).map(([name, { soft, hard }]) =>
      listField(TAG.process.limit, [textField(TAG.limit.name, name), intField(TAG.limit.soft, soft), intField(TAG.limit.hard, hard)]),
    ),
    intField(TAG.process.privileged, spec.privileged ?? false),
    ...(spec.capAdd ?? []).map((name) => textField(TAG.process.capAdd, name)),
    ...(spec.capDrop ?? []).map((name) => textField(TAG.process.capDrop, name)),
    intField(TAG.process.init, spec.init ?? false),
    intField(TAG.process.noNewPrivileges, spec.noNewPrivileges ?? false),
    ...(spec.mounts ?? []).map((mount) => listField(TAG.process.mount, encodeStepMount(mount))),
    intField(TAG.process.isolated, spec.isolated ?? false),
  ]);

const encodeStepMount = (mount: StepMount): Buffer[] => {
  const target = textField(TAG.stepMount.target, mount.target);
  const own = (kind: number, writable: boolean) => [intField(TAG.stepMount.kind, kind), target, intField(TAG.stepMount.writable, writable)];
  switch (mount.kind) {
    case 'cache':
      return [
        ...own(STEP_SOURCE.cache, !mount.readOnly),
        textField(TAG.stepMount.source, mount.disk),
        ...encodeOwner(mount),
        ...encodeSeed(mount.seed),
      ];
    case 'bind':
      return [
        ...own(contentKind(mount.content), !mount.readOnly),
        textField(TAG.stepMount.source, contentName(mount.content)),
        textField(TAG.stepMount.path, mount.content.path),
      ];
    case 'tmpfs':
      return [...own(STEP_SOURCE.tmpfs, true), ...optional(mount.size, (size) => intField(TAG.stepMount.size, Math.floor(size)))];
    case 'file':
      return [...own(STEP_SOURCE.file, false), bytesField(TAG.stepMount.content, mount.content), ...encodeOwner(mount)];
    case 'socket':
      return [...own(STEP_SOURCE.socket, true), textField(TAG.stepMount.source, mount.name)];
  }
};

const contentKind = (content: StepContent): number => ('staged' in content ? STEP_SOURCE.staged : STEP_SOURCE.image);
const contentName = (content: StepContent): string => ('staged' in content ? content.staged : content.disk);

const encodeOwner = ({ mode, uid, gid }: { mode?: number; uid?: number; gid?: number }): Buffer[] => [
  ...optional(mode, (value) => intField(TAG.stepMount.mode, value)),
  ...optional(uid, (value) => intField(TAG.stepMount.uid, value)),
  ...optional(gid, (value) => intField(TAG.stepMount.gid, value)),
];

const encodeSeed = (seed: StepContent | undefined): Buffer[] =>
  seed === undefined
    ? []
    : [
        intField(TAG.stepMount.seedKind, contentKind(seed)),
        textField(TAG.stepMount.seed, contentName(seed)),
        textField(TAG.stepMount.seedPath, seed.path),
      ];

/** The few numbers and one path that small requests have. */
export const encodeSimple = (request: {
  channel?: number;
  signal?: number;
  columns?: number;
  rows?: number;
  clock?: number;
  grace?: number;
  flush?: number | undefined;
  flag?: boolean;
  path?: string;
  port?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  count?: number;
  target?: string;
}): Buffer =>
  Buffer.concat([
    ...optional(request.channel, (value) => intField(TAG.simple.channel, value)),
    ...optional(request.signal, (value) => intField(TAG.simple.signal, value)),
    ...optional(request.columns, (value) => intField(TAG.simple.columns, value)),
    ...optional(request.rows, (value) => intField(TAG.simple.rows, value)),
    ...optional(request.clock, (value) => intField(TAG.simple.clock, Math.floor(value))),
    ...optional(request.grace, (value) => intField(TAG.simple.grace, Math.max(0, Math.floor(value)))),
    ...optional(request.flush, (value) => intField(TAG.simple.flush, Math.max(0, Math.floor(value)))),
    ...optional(request.flag, (value) => intField(TAG.simple.flag, value)),
    ...optional(request.path, (value) => textField(TAG.simple.path, value)),
    ...optional(request.port, (value) => intField(TAG.simple.port, value)),
    ...optional(request.mode, (value) => intField(TAG.simple.mode, value)),
    ...optional(request.uid, (value) => intField(TAG.simple.uid, value)),
    ...optional(request.gid, (value) => intField(TAG.simple.gid, value)),
    ...optional(request.count, (value) => intField(TAG.simple.count, value)),
    ...optional(request.target, (value) => textField(TAG.simple.target, value)),
  ]);

export const encodeEdits = ({ share, written, appeared, gone, folders }: ShareEdits): Buffer =>
  Buffer.concat([
    textField(TAG.edits.share, share),
    ...written.map((path) => textField(TAG.edits.written, path)),
    ...appeared.map((path) => textField(TAG.edits.appeared, path)),
    ...gone.map((path) => textField(TAG.edits.gone, path)),
    ...folders.map((path) => textField(TAG.edits.folder, path)),
  ]);

const optional = <T>(value: T | undefined, encode: (value: T) => Buffer): Buffer[] => (value === undefined ? [] : [encode(value)]);

const encodeAddress = (address: string): Buffer => {
  if (!isIPv4(address)) {
    throw refused('malformed', `${JSON.stringify(address)} is not an IPv4 address`);
  }
  return Buffer.from(address.split('.').map(Number));
};

const encodeAddress6 = (address: string): Buffer => {
  const value = parseIpv6(address);
  if (value === undefined) {
    throw refused('malformed', `${JSON.stringify(address)} is not an IPv6 address`);
  }
  return Buffer.from(value.toString(16).padStart(32, '0'), 'hex');
};

const encodeMac = (mac: string): Buffer => {
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(mac)) {
    throw refused('malformed', `${JSON.stringify(mac)} is not a MAC address`);
  }
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
};
