import { HyprError } from '../../base/errors.ts';
import type { Service } from '../../compose/model/model.ts';
import { isKvm } from '../../compose/model/nested.ts';
import { refuseMounts } from './mounts.ts';
import { refuseBesideSharedMachine } from './shared-machine.ts';
import { refuseForeignVolumes } from './volumes-from.ts';

/** Throws HYPR_UNSUPPORTED for attributes that a machine per service cannot support. */
export const refuseUnsupported = (name: string, service: Service): void => {
  for (const [attribute, applies, reason] of REFUSED) {
    if (applies(service[attribute])) {
      throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ${attribute}: ${show(service[attribute])} is not supported: ${reason}`, {
        path: ['services', name, attribute],
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

/** Attributes that reach into another container or the host, with the reason why they are not supported. */
const REFUSED: ReadonlyArray<readonly [keyof Service & string, (value: unknown) => boolean, string]> = [
  [
    'network_mode',
    (v) => v !== undefined && v !== 'none' && v !== 'bridge' && v !== 'default' && !isService(v),
    'every service has a machine and a network of its own, that of another service of this file (service:NAME), or none',
  ],
  ['ipc', (v) => typeof v === 'string' && v !== 'private' && v !== 'shareable' && !isService(v), 'services do not share a kernel'],
  ['pid', (v) => v !== undefined, 'services do not share a kernel'],
  ['uts', (v) => v !== undefined, 'services do not share a kernel'],
  ['devices', (v) => Array.isArray(v) && !v.every(isKvm), 'devices of the host are not passed into a machine yet, but for /dev/kvm'],
  ['gpus', (v) => v !== undefined, 'GPUs of the host are not passed into a machine yet'],
  ['provider', (v) => v !== undefined, 'up, create, run and watch run it, and only if HYPR_PROVIDERS names its program'],
  ['external_links', hasItems, 'machines reach those of their own stack only'],
  ['credential_spec', (v) => v !== undefined, 'that is for Windows containers'],
  ['use_api_socket', (v) => v === true, 'there is no docker socket to give'],
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
