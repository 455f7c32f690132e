import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { readEnvSource } from '../files/discover.ts';
import { parseDotenv, parseRawEnv } from '../interpolate/dotenv.ts';
import { LIMITS, limitError } from '../model/limits.ts';
import type { Project, Service } from '../model/model.ts';
import type { Locate } from './check.ts';

/** Paths that were left relative (`--no-path-resolution`) start from where the command was called. */
interface Resolving {
  readonly signal?: AbortSignal | undefined;
  readonly cwd: string;
  readonly locate: Locate;
}

/**
 * Reads the `env_file`s of enabled services into `environment` (which wins) and removes the attribute.
 * @throws COMPOSE_ENV_FILE if one is missing or malformed
 */
export const resolveEnvFiles = async (project: Project, { cwd, locate, signal }: Resolving): Promise<Project> =>
  mapServices(project, 'env_file', async (service, name) => {
    const files = service.env_file as Array<{ path?: string; required?: boolean; format?: string }>;
    const own = new Map(Object.entries(service.environment ?? {}));
    const values = new Map<string, string | null>();
    for (const [i, file] of files.entries()) {
      const lookup = (variable: string): string | undefined => project.environment[variable] ?? own.get(variable) ?? undefined;
      const earlier = (variable: string): string | undefined => values.get(variable) ?? undefined;
      const source = await readOptional(file, { cwd, signal, what: 'env file' }, () => locate(['services', name, 'env_file', `[${i}]`]));
      if (source !== undefined) {
        const parsed =
          checkFormat(file.format) === 'raw'
            ? parseRawEnv(source, (name) => lookup(name) ?? earlier(name))
            : parseDotenv(source, lookup, { fallback: earlier });
        addAll(values, parsed);
      }
    }
    addAll(values, own);
    const { env_file: _, ...rest } = service;
    return values.size === 0 ? rest : { ...rest, environment: Object.fromEntries(values) };
  });

/** Reads the `label_file`s of enabled services into `labels`, which win. The attribute stays, as docker compose prints it. */
export const resolveLabelFiles = async (project: Project, { cwd, locate, signal }: Resolving): Promise<Project> =>
  mapServices(project, 'label_file', async (service, name) => {
    const labels = new Map<string, string>();
    for (const [i, path] of (service.label_file as string[]).entries()) {
      const source = await readOptional({ path }, { cwd, signal, what: 'label file' }, () =>
        locate(['services', name, 'label_file', `[${i}]`]),
      );
      if (source !== undefined) {
        addAll(
          labels,
          parseDotenv(source, (variable) => project.environment[variable]),
        );
      }
    }
    addAll(labels, new Map(Object.entries(service.labels ?? {})));
    return labels.size === 0 ? service : { ...service, labels: Object.fromEntries(labels) };
  });

const mapServices = async (
  project: Project,
  attribute: string,
  change: (service: Service, name: string) => Promise<Service>,
): Promise<Project> => {
  const services: Array<readonly [string, Service]> = [];
  let values = 0;
  for (const [name, service] of Object.entries(project.services)) {
    const changed = service[attribute] === undefined ? service : await change(service, name);
    if (changed !== service) {
      values += Object.keys((attribute === 'env_file' ? changed.environment : changed.labels) ?? {}).length;
    }
    if (values > LIMITS.envValues) {
      throw limitError(`the files of ${attribute} give more than ${LIMITS.envValues} values to the services`, undefined);
    }
    services.push([name, changed]);
  }
  return { ...project, services: Object.fromEntries(services) };
};

const readOptional = async (
  file: { path?: string; required?: boolean },
  { cwd, signal, what }: Pick<Resolving, 'cwd' | 'signal'> & { readonly what: string },
  locate: () => ReturnType<Locate>,
) => {
  if (!file.path) {
    if (file.required === false) {
      return undefined;
    }
    throw new HyprError('COMPOSE_ENV_FILE', 'the path of this file is empty', {
      ...locate(),
      hint: 'if it comes from a variable, give that a value or a default: ${NAME:-app.env}',
    });
  }
  try {
    return await readEnvSource(resolve(cwd, file.path), {
      signal,
      what,
      ...(what === 'env file' ? { missingHint: 'create it, or mark it optional with "required: false"' } : {}),
    });
  } catch (error) {
    const missing = error instanceof HyprError && error.code === 'COMPOSE_ENV_FILE';
    if (missing && file.required === false) {
      return undefined;
    }
    if (missing) {
      throw new HyprError('COMPOSE_ENV_FILE', error.message, { ...locate(), hint: error.hint ?? '', cause: error });
    }
    if (error instanceof HyprError && error.where === undefined && PLACED.includes(error.code)) {
      throw new HyprError(error.code, error.message, { ...locate(), hint: error.hint ?? '', cause: error });
    }
    throw error;
  }
};

/** About the file itself, so that who named it has to be told. */
const PLACED: readonly string[] = ['HYPR_FILE', 'HYPR_PERMISSION', 'COMPOSE_LIMIT'];

const checkFormat = (format: string | undefined): string | undefined => {
  if (format !== undefined && format !== 'raw') {
    throw new HyprError('COMPOSE_ENV_FILE', `the env file format "${format}" is not known`, { hint: 'leave it out, or write raw' });
  }
  return format;
};

const addAll = <T>(target: Map<string, T>, values: ReadonlyMap<string, T>): void => {
  for (const [key, value] of values) {
    target.set(key, value);
  }
};
