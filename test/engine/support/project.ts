import type { Image, ImageRuntime } from '../../../builder/model/types.ts';
import type { Project, Service } from '../../../compose/model/model.ts';
import type { Desired } from '../../../engine/plan/desired-state.ts';
import type { ObservedReplica, ObservedStack } from '../../../engine/plan/observe.ts';

export const projectOf = (services: Record<string, Service>, more: Partial<Project> = {}): Project => ({
  name: 'shop',
  workingDir: '/srv/shop',
  files: ['/srv/shop/compose.yaml'],
  services: Object.fromEntries(
    Object.entries(services).map(([name, service]) => [name, { image: `${name}:1`, networks: { default: null }, ...service }]),
  ),
  disabledServices: {},
  networks: { default: { name: 'shop_default' } },
  volumes: {},
  secrets: {},
  configs: {},
  extensions: {},
  environment: {},
  ...more,
});

export const needs = (
  ...services: Array<string | [string, 'service_healthy' | 'service_completed_successfully', boolean?]>
): NonNullable<Service['depends_on']> =>
  Object.fromEntries(
    services.map((entry) =>
      typeof entry === 'string'
        ? [entry, { condition: 'service_started', required: true }]
        : [entry[0], { condition: entry[1], required: entry[2] ?? true }],
    ),
  );

export const desiredOf = (
  project: Project,
  more: {
    scale?: Record<string, number>;
    hash?: Record<string, string>;
    volumes?: Record<string, string[]>;
    /** Those of the plan; all when absent. */
    services?: string[];
    /** Service → its networks. */
    on?: Record<string, string[]>;
    /** Network → hash of its configuration. */
    networks?: Record<string, string>;
  } = {},
): Desired => ({
  project,
  networks: more.networks ?? { default: 'n' },
  services: Object.fromEntries(
    (more.services ?? Object.keys(project.services)).map((name) => [
      name,
      {
        scale: more.scale?.[name] ?? 1,
        configHash: more.hash?.[name] ?? 'c',
        imageId: 'i',
        networks: more.on?.[name] ?? ['default'],
        volumes: more.volumes?.[name] ?? [],
        nameOf: (number: number) => `shop-${name}-${number}`,
      },
    ]),
  ),
});

export const replicaOf = (service: string, more: Partial<ObservedReplica> = {}): ObservedReplica => ({
  name: `shop-${service}-${more.number ?? 1}`,
  service,
  number: 1,
  oneOff: false,
  state: 'running',
  health: 'none',
  configHash: 'c',
  imageId: 'i',
  spec: { networks: [{ key: 'default' }] },
  ...more,
});

export const observedOf = (replicas: ObservedReplica[], more: Partial<ObservedStack> = {}): ObservedStack => ({
  replicas,
  networks: replicas.length > 0 ? { default: 'n' } : {},
  volumes: new Set(),
  ...more,
});

export const RUNTIME: ImageRuntime = {
  Env: [],
  Entrypoint: null,
  Cmd: ['/bin/true'],
  WorkingDir: '',
  User: '',
  ExposedPorts: {},
  Volumes: {},
  Labels: {},
};

export const imageOf = (config: Partial<ImageRuntime> = {}): Image => ({
  id: 'sha256:1111',
  manifestDigest: 'sha256:2222',
  references: [],
  platform: 'linux/amd64',
  created: 0,
  size: 0,
  config: { ...RUNTIME, ...config },
  layers: [],
});
