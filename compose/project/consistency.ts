import { HyprError } from '../../base/errors.ts';
import type { Project } from '../model/model.ts';
import { didYouMean } from '../model/suggest.ts';
import { circleOfBuilds, contextService, contextServices } from './build-contexts.ts';
import { type Check, invalid, type Locate } from './check.ts';
import { checkLimits, checkScale } from './check-limits.ts';
import { findCycle } from './cycles.ts';

/**
 * Checks that what services refer to exists and that their attributes go together.
 * @throws COMPOSE_INVALID
 */
export const checkConsistency = (project: Project, locate: Locate): void => {
  for (const [name, service] of Object.entries(project.services)) {
    const check: Check = { name, service, project, locate };
    for (const rule of RULES) {
      rule(check);
    }
  }
  for (const [name, secret] of Object.entries(project.secrets)) {
    if (secret.external !== true && secret.file === undefined && secret.environment === undefined) {
      throw new HyprError('COMPOSE_INVALID', `the secret "${name}" says nothing of where its content comes from`, {
        ...locate(['secrets', name]),
        hint: 'add file: or environment:',
      });
    }
  }
  const cycle = findCycle(project.services);
  if (cycle !== undefined) {
    const [first = '', second = ''] = cycle;
    throw new HyprError('COMPOSE_INVALID', `the dependencies go in a circle: ${cycle.join(' → ')}`, {
      ...locate(['services', first, 'depends_on', second]),
      hint: 'remove one of these dependencies',
    });
  }
};

/**
 * Builds that read one another in a cycle could never start. Checked only for commands that build: printing or stopping
 * such services is fine.
 * @throws COMPOSE_INVALID
 */
export const checkBuildCircle = ({ services }: Project, locate: Locate): void => {
  const cycle = findCycle(services, (all, name) => contextServices(all[name]).reverse());
  if (cycle === undefined) {
    return;
  }
  const [first = '', second = ''] = cycle;
  const contexts = Object.entries(services[first]?.build?.additional_contexts ?? {});
  const context = contexts.find(([, value]) => contextService(value) === second)?.[0] ?? '';
  throw new HyprError('COMPOSE_INVALID', circleOfBuilds(cycle), {
    ...locate(['services', first, 'build', 'additional_contexts', context]),
    hint: 'remove one of these additional_contexts, or move what both need into a service of its own',
  });
};

const checkSource = (check: Check): void => {
  const { name, service } = check;
  if (service.build === undefined && service.image === undefined && service.provider === undefined) {
    throw invalid(check, `service "${name}" has neither an image nor a build context`, { at: [], hint: 'add "image:" or "build:"' });
  }
};

const checkBuild = (check: Check): void => {
  const { name, service, project } = check;
  const { build } = service;
  if (build === undefined) {
    return;
  }
  if (build.dockerfile !== undefined && build.dockerfile_inline !== undefined) {
    throw invalid(check, `service "${name}" has a dockerfile and a dockerfile_inline`, {
      at: ['build', 'dockerfile_inline'],
      hint: 'keep one of them',
    });
  }
  for (const [context, value] of Object.entries(build.additional_contexts ?? {})) {
    const target = contextService(value);
    const at = ['build', 'additional_contexts', context];
    if (target !== undefined && project.services[target] === undefined) {
      throw missingService(check, target, `uses the build of service "${target}"`, at);
    }
    if (target !== undefined && project.services[target]?.build === undefined) {
      throw invalid(check, `service "${name}" uses the build of service "${target}", which is not built`, { at });
    }
  }
  if (service.platform !== undefined && build.platforms !== undefined && !build.platforms.includes(service.platform)) {
    throw invalid(check, `service "${name}": build.platforms must include the platform ${service.platform}`, {
      at: ['build', 'platforms'],
    });
  }
};

const checkNetworks = (check: Check): void => {
  const { name, service, project } = check;
  const networks = Object.keys(service.networks ?? {});
  if (service.network_mode !== undefined && networks.length > 0) {
    throw invalid(check, `service "${name}" has network_mode and networks; only one of them is possible`, { at: ['network_mode'] });
  }
  for (const network of networks) {
    requireResource(check, { kind: 'network', name: network, known: project.networks, at: ['networks', network] });
  }
  const shared = /^service:(.*)$/s.exec(service.network_mode ?? '')?.[1];
  if (shared !== undefined && project.services[shared] === undefined) {
    throw missingService(check, shared, `shares the network of service "${shared}"`, ['network_mode']);
  }
};

const checkHealth = (check: Check): void => {
  const first = check.service.healthcheck?.test?.[0];
  if (first !== undefined && !['CMD', 'CMD-SHELL', 'NONE'].includes(first)) {
    throw invalid(check, `service "${check.name}": healthcheck.test must start with CMD, CMD-SHELL or NONE, not "${first}"`, {
      at: ['healthcheck', 'test'],
      hint: 'write the command as one string, or put CMD before its words',
    });
  }
};

const checkDependencies = (check: Check): void => {
  const { service, project } = check;
  for (const [name, dependency] of Object.entries(service.depends_on ?? {})) {
    const optional = project.disabledServices[name] !== undefined && !dependency.required;
    if (project.services[name] === undefined && !optional) {
      throw missingService(check, name, `depends on service "${name}"`, ['depends_on', name]);
    }
  }
};

const missingService = (check: Check, target: string, relation: string, at: readonly string[]): HyprError => {
  const disabled = check.project.disabledServices[target];
  if (disabled !== undefined) {
    const profiles = disabled.profiles ?? [];
    return invalid(check, `service "${check.name}" ${relation}, which is only in the inactive profile ${profiles.join(', ')}`, {
      at,
      hint: `add --profile ${profiles[0]}, or make the dependency optional with "required: false"`,
    });
  }
  const names = Object.keys(check.project.services).filter((name) => name !== check.name);
  return invalid(check, `service "${check.name}" ${relation}, which does not exist`, {
    at,
    hint: didYouMean(target, names) ?? `define "${target}" under "services:", or leave it out here`,
  });
};

const checkResources = (check: Check): void => {
  const { service, project } = check;
  for (const [i, volume] of (service.volumes ?? []).entries()) {
    if (volume.type === 'volume' && volume.source !== undefined) {
      requireResource(check, { kind: 'volume', name: volume.source, known: project.volumes, at: ['volumes', `[${i}]`] });
    }
  }
  for (const kind of ['secret', 'config'] as const) {
    // An empty name is dropped from the project like every empty text.
    for (const [i, { source = '' }] of (service[`${kind}s`] ?? []).entries()) {
      requireResource(check, { kind, name: source, known: project[`${kind}s`], at: [`${kind}s`, `[${i}]`] });
    }
  }
  const buildSecrets = (service.build?.secrets ?? []) as Array<{ source?: string }>;
  for (const [i, { source = '' }] of buildSecrets.entries()) {
    requireResource(check, { kind: 'secret', name: source, known: project.secrets, at: ['build', 'secrets', `[${i}]`] });
  }
  for (const model of Object.keys((service.models as object | undefined) ?? {})) {
    requireResource(check, { kind: 'model', name: model, known: project.models ?? {}, at: ['models', model] });
  }
};

const requireResource = (check: Check, need: { kind: string; name: string; known: object; at: readonly string[] }): void => {
  if (!Object.hasOwn(need.known, need.name)) {
    throw invalid(check, `service "${check.name}" uses the ${need.kind} "${need.name}", which is not defined`, {
      at: need.at,
      hint: didYouMean(need.name, Object.keys(need.known)) ?? `define it under "${need.kind}s:" at the top level`,
    });
  }
};

const checkWatch = (check: Check): void => {
  const develop = check.service.develop as { watch?: Array<{ action: string; target?: string }> } | undefined;
  for (const [i, { action, target }] of (develop?.watch ?? []).entries()) {
    if (target === undefined && action !== 'rebuild' && action !== 'restart') {
      throw invalid(check, `service "${check.name}": develop.watch[${i}] needs a target for ${action}`, {
        at: ['develop', 'watch', `[${i}]`],
      });
    }
  }
};

const checkMounts = (check: Check): void => {
  const { name, service } = check;
  const taken = new Map<string, string>();
  const claim = (target: string, at: string[]) => {
    const other = taken.get(target);
    if (other !== undefined) {
      throw invalid(check, `service "${name}" mounts ${target} twice: ${other} and ${at.join('')}`, { at });
    }
    taken.set(target, at.join(''));
  };
  for (const [i, tmpfs] of (service.tmpfs ?? []).entries()) {
    claim(tmpfs.split(':')[0] ?? '', ['tmpfs', `[${i}]`]);
  }
  for (const [i, volume] of (service.volumes ?? []).entries()) {
    claim(volume.target, ['volumes', `[${i}]`]);
  }
};

/** Two services cannot have one container name. */
export const checkContainerNames = (project: Project, locate: Locate): void => {
  const owners = new Map<string, string>();
  for (const [name, { container_name: container }] of Object.entries(project.services)) {
    const owner = container === undefined ? undefined : owners.get(container);
    if (owner !== undefined) {
      throw new HyprError('COMPOSE_INVALID', `services.${name}: container name "${container}" is already in use by service ${owner}`, {
        ...locate(['services', name, 'container_name']),
        hint: 'give one of them another name, or leave container_name out',
      });
    }
    if (container !== undefined) {
      owners.set(container, name);
    }
  }
};

const RULES: ReadonlyArray<(check: Check) => void> = [
  checkSource,
  checkBuild,
  checkNetworks,
  checkHealth,
  checkDependencies,
  checkResources,
  checkScale,
  checkLimits,
  checkWatch,
  checkMounts,
];
