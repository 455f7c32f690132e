import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import type { Invocation } from '../core/command-spec.ts';
import { createRenderer } from '../render/create.ts';
import type { ProgressRenderer } from '../render/types.ts';
import { findProvider, type ProviderCommand, type ProviderMessage, readMetadata, runProvider } from './provider-program.ts';

/**
 * Runs the providers of a project (`provider: {type, options}`), as docker compose does: programs of this host that make what a service
 * stands for and give its dependents variables. Returns the project as the engine gets it, without them. A Compose file is often a
 * stranger's, and with this it chooses a program of the host: only those run therefore that the user names in HYPR_PROVIDERS. Without
 * `run` none does, and the services that they stand for are left out (`run --no-deps`).
 * Throws HYPR_UNSUPPORTED without consent, PROVIDER_FAILED.
 */
export const startProviders = async (invocation: Invocation, project: Project, { run = true } = {}): Promise<Project> => {
  const providers = providersOf(project);
  if (providers.length === 0) {
    return project;
  }
  for (const provider of run ? providers : []) {
    refuseUnwanted(provider, invocation, project);
  }
  if (!run || invocation.flags.bool('dry-run')) {
    return withoutProviders(project, new Map());
  }
  const variables = new Map<string, readonly ProviderMessage[]>();
  await withRenderer(invocation, async (renderer) => {
    for (const provider of providers) {
      variables.set(provider.name, await runOne(invocation, { project, provider, command: 'up', renderer }));
    }
    warnOverrides(project, variables, renderer);
  });
  return withoutProviders(project, variables);
};

/** `stop` and `down` of the providers that the user lets run; the others never ran. */
export const endProviders = async (invocation: Invocation, project: Project | undefined, command: 'stop' | 'down'): Promise<void> => {
  const { args, context } = invocation;
  const chosen = (project === undefined ? [] : providersOf(project)).filter(
    ({ name, type }) => consented(context.env).has(type) && (args.length === 0 || args.includes(name)),
  );
  if (project === undefined || chosen.length === 0) {
    return;
  }
  await withRenderer(invocation, async (renderer) => {
    for (const provider of chosen.reverse()) {
      await runOne(invocation, { project, provider, command, renderer });
    }
  });
};

interface Provider {
  readonly name: string;
  readonly type: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly service: Service;
}

const providersOf = ({ services }: Project): Provider[] =>
  Object.entries(services).flatMap(([name, service]) => {
    const provider = service.provider as { type?: string; options?: Record<string, unknown> } | undefined;
    return provider === undefined ? [] : [{ name, type: provider.type ?? '', options: provider.options ?? {}, service }];
  });

const consented = (env: NodeJS.ProcessEnv): ReadonlySet<string> =>
  new Set(
    (env.HYPR_PROVIDERS ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean),
  );

const refuseUnwanted = ({ name, type, service }: Provider, { context, path }: Invocation, { services }: Project): void => {
  const at = { path: ['services', name, 'provider'] };
  if (type === 'compose' || !/^[\w][\w.-]*$/.test(type)) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: "${type}" is not a valid provider type`, at);
  }
  const before = Object.keys(service.depends_on ?? {}).find((dependency) => services[dependency]?.provider === undefined);
  if (before !== undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: a provider runs before all services, and this one depends on ${before}`, at);
  }
  if (!consented(context.env).has(type)) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${name}: its provider is the program ${type} of this host, which runs only if you say so`,
      {
        ...at,
        hint: `if you trust this file with it: HYPR_PROVIDERS=${type} ${path.join(' ')}`,
      },
    );
  }
};

interface Run {
  readonly project: Project;
  readonly provider: Provider;
  readonly command: ProviderCommand;
  readonly renderer: ProgressRenderer;
}

const WORDS = { up: ['Creating', 'Created'], down: ['Removing', 'Removed'], stop: ['Stopping', 'Stopped'] } as const;

/** Gives the variables that it set. The file's `.env` is not for it: it could name a library to load. */
const runOne = async ({ context }: Invocation, { project, provider, command, renderer }: Run): Promise<ProviderMessage[]> => {
  const { name, type, options } = provider;
  const program = await findProvider(type, context);
  if (program === undefined) {
    throw new HyprError(
      'PROVIDER_FAILED',
      `service ${name}: there is no provider ${type}: neither docker's plug-in docker-${type} nor a program in PATH`,
      {
        path: ['services', name, 'provider'],
      },
    );
  }
  const metadata = await readMetadata(program, context);
  const parameters = metadata?.[command];
  if (command === 'stop' && parameters === undefined) {
    return [];
  }
  const missing = parameters?.find((parameter) => parameter.required && options[parameter.name] === undefined);
  if (missing !== undefined) {
    throw new HyprError('COMPOSE_INVALID', `required parameter "${missing.name}" is missing from provider "${type}" definition`, {
      path: ['services', name, 'provider'],
    });
  }
  const flags = Object.entries(options).flatMap(([key, value]) =>
    parameters === undefined || parameters.some((parameter) => parameter.name === key)
      ? (Array.isArray(value) ? value : [value]).map((each) => `--${key}=${String(each)}`)
      : [],
  );
  const [doing, done] = WORDS[command];
  const said: ProviderMessage[] = [];
  renderer.onProgress({ id: name, status: 'working', text: doing });
  await runProvider(program, ['compose', `--project-name=${project.name}`, command, ...flags, name], {
    ...{ env: context.env, cwd: context.cwd, interrupts: context.interrupts },
    onMessage: (message) => {
      if (message.type === 'info') {
        renderer.onProgress({ id: name, status: 'working', text: sanitiseName(message.message.split('\n')[0] ?? '') });
      }
      if (message.type === 'setenv' || message.type === 'rawsetenv') {
        said.push(message);
      }
    },
    onError: (line) => renderer.printAbove(() => context.stderr.write(`${name}: ${line}\n`)),
  });
  renderer.onProgress({ id: name, status: 'done', text: done });
  return said;
};

/** `setenv` gets the service's name before it, `rawsetenv` does not. */
const variablesFrom = (name: string, said: readonly ProviderMessage[]): Array<readonly [string, string]> =>
  said.map(({ type, message }) => {
    const at = message.indexOf('=');
    if (at < 1) {
      throw new HyprError('PROVIDER_FAILED', `service ${name}: its provider sets no variable with "${message}"`);
    }
    const key = message.slice(0, at);
    return [type === 'setenv' ? `${name.toUpperCase()}_${key}` : key, message.slice(at + 1)] as const;
  });

const warnOverrides = (project: Project, said: ReadonlyMap<string, readonly ProviderMessage[]>, renderer: ProgressRenderer): void => {
  for (const [service, { depends_on: needs = {}, environment = {} }] of Object.entries(project.services)) {
    for (const [name, messages] of said) {
      const raw = Object.hasOwn(needs, name) ? messages.filter(({ type }) => type === 'rawsetenv') : [];
      for (const [key, value] of variablesFrom(name, raw)) {
        if (Object.hasOwn(environment, key) && environment[key] !== value) {
          renderer.onWarning(`provider "${name}" overrides environment variable "${key}" in service "${service}"`);
        }
      }
    }
  }
};

const withoutProviders = (project: Project, said: ReadonlyMap<string, readonly ProviderMessage[]>): Project => {
  const gone = new Set(providersOf(project).map(({ name }) => name));
  const services = Object.entries(project.services).flatMap(([name, service]) => {
    if (gone.has(name)) {
      return [];
    }
    const needs = Object.entries(service.depends_on ?? {});
    const given = needs.flatMap(([needed]) => variablesFrom(needed, said.get(needed) ?? []));
    return [
      [
        name,
        {
          ...service,
          ...(needs.some(([needed]) => gone.has(needed))
            ? { depends_on: Object.fromEntries(needs.filter(([needed]) => !gone.has(needed))) }
            : {}),
          ...(given.length === 0 ? {} : { environment: { ...service.environment, ...Object.fromEntries(given) } }),
        },
      ] as const,
    ];
  });
  return { ...project, services: Object.fromEntries(services) };
};

const withRenderer = async (invocation: Invocation, work: (renderer: ProgressRenderer) => Promise<void>): Promise<void> => {
  const renderer = await createRenderer(invocation.context, invocation.flags, invocation.command.name);
  try {
    await work(renderer);
  } finally {
    renderer.close();
  }
};
