import { HyprError } from '../../base/errors.ts';
import type { Service } from '../../compose/model/model.ts';
import { isKvm } from '../../compose/model/nested.ts';
import { refuseMounts } from './mounts.ts';
import { refuseBesideSharedMachine } from './shared-machine.ts';
import { refuseForeignVolumes } from './volumes-from.ts';

/** Throws HYPR_UNSUPPORTED for attributes that a machine per service cannot support. */
export const refuseUnsupported = (name: string, service: Service): void => {
  for (const { attribute, applies, reason, hint } of REFUSED) {
    const value = service[attribute];
    if (applies(value)) {
      throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ${attribute}: ${show(value)} is not supported: ${reason}`, {
        path: ['services', name, attribute],
        hint: hint(value),
      });
    }
  }
  refuseBesideSharedMachine(name, service);
  refuseForeignVolumes(name, service);
  refuseMounts(name, service);
};

/** What names a service of the model may share its machine (shared-machine.ts). */
const isService = (value: unknown): boolean => typeof value === 'string' && value.startsWith('service:');

const hasItems = (value: unknown): boolean => Array.isArray(value) && value.length > 0;

interface Refused {
  readonly attribute: keyof Service & string;
  readonly applies: (value: unknown) => boolean;
  readonly reason: string;
  /** What to write instead. */
  readonly hint: (value: unknown) => string;
}

const KERNEL = 'services do not share a kernel';
const always = (value: unknown): boolean => value !== undefined;
const remove = (attribute: string) => (): string => `remove ${attribute}`;

/** Of `container:NAME`, which docker compose takes too. */
const containerOf = (value: unknown): string | undefined => /^container:(.+)$/s.exec(String(value))?.[1];

const insteadOfNetworkMode = (value: unknown): string => {
  const container = containerOf(value);
  return container === undefined
    ? 'remove network_mode: ports publishes what the host should reach, and the service reaches the host as host.docker.internal'
    : `${container} is no container of this file: take its file in with include: and write network_mode: service:NAME; or give both a network: hypr network create NAME, and networks with external: true`;
};

const insteadOfPid = (value: unknown): string => {
  const service = /^service:(.+)$/s.exec(String(value))?.[1];
  return service === undefined
    ? 'remove pid'
    : `remove pid, and run a program that must see or signal those of ${service} in it: hypr exec ${service} …, hypr kill -s SIGNAL ${service}`;
};

/** Attributes that reach into another container or the host, with the reason why they are not supported. */
const REFUSED: readonly Refused[] = [
  {
    attribute: 'network_mode',
    applies: (v) => v !== undefined && v !== 'none' && v !== 'bridge' && v !== 'default' && !isService(v),
    reason:
      'every service has a machine and a network of its own, that of another service of this file (service:NAME or its first container, container:NAME), or none',
    hint: insteadOfNetworkMode,
  },
  {
    attribute: 'ipc',
    applies: (v) => typeof v === 'string' && v !== 'private' && v !== 'shareable' && !isService(v),
    reason: KERNEL,
    hint: () =>
      'remove ipc; shm_size makes /dev/shm larger, and ipc: service:NAME with network_mode: service:NAME (services of this file) shares it',
  },
  { attribute: 'pid', applies: always, reason: KERNEL, hint: insteadOfPid },
  { attribute: 'uts', applies: always, reason: KERNEL, hint: () => 'remove uts; hostname gives the service a name' },
  {
    attribute: 'devices',
    applies: (v) => Array.isArray(v) && !v.every(isKvm),
    reason: 'a machine has /dev/kvm and whole PCI cards of the host, not its device files',
    hint: () => 'remove devices; a GPU: gpus: all; another card: x-hypr: {pci: [ADDRESS]} (hypr gpu list --all)',
  },
  {
    attribute: 'provider',
    applies: always,
    reason: 'up, create, run and watch run it, and only if HYPR_PROVIDERS names its program',
    hint: (v) => `if you trust this file with it: HYPR_PROVIDERS=${(v as { type?: string }).type ?? 'NAME'}`,
  },
  {
    attribute: 'external_links',
    applies: hasItems,
    reason: 'machines reach those of their own stack only',
    hint: () => 'put both on a network that is made with: hypr network create NAME, and named in each file with external: true',
  },
  { attribute: 'credential_spec', applies: always, reason: 'that is for Windows containers', hint: remove('credential_spec') },
  {
    attribute: 'use_api_socket',
    applies: (v) => v === true,
    reason: 'it would give the credentials of this user with the socket',
    hint: () => 'mount the socket alone: volumes: ["/var/run/docker.sock:/var/run/docker.sock"]',
  },
];

const show = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

/** Enforces docker's rule for names, because names become parts of paths here. */
export const refuseBadName = (service: string, name: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new HyprError('COMPOSE_INVALID', `service ${service}: the name "${name}" is not valid`, {
      hint: 'letters, digits, "_", "." and "-", beginning with a letter or digit',
    });
  }
};

/** What a machine without a NIC cannot have; `own-keys.ts` refuses the rest with its place in the file. */
export const refuseBesideIsolation = (name: string, service: Service): void => {
  const udp = service.ports?.findIndex((port) => port.protocol === 'udp') ?? -1;
  if (udp >= 0) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${name}: an isolated service cannot publish UDP: only TCP goes through its supervisor`,
      {
        path: ['services', name, 'ports', String(udp)],
      },
    );
  }
  const needless = (['mac_address', 'dns', 'dns_search', 'dns_opt'] as const).find((key) => service[key]?.length);
  if (needless !== undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ${needless} is not supported: an isolated service has no NIC`, {
      path: ['services', name, needless],
    });
  }
  const gateway = service.extra_hosts?.findIndex((entry) => /[:=]host-gateway$/.test(entry)) ?? -1;
  if (gateway >= 0) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: host-gateway is not supported: an isolated service reaches no address`, {
      path: ['services', name, 'extra_hosts', String(gateway)],
    });
  }
};
