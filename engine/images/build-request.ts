import { stat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { BuildLimits, BuildRequest, SshForward } from '../../builder/model/types.ts';
import type { FileObject, FileReference } from '../../compose/model/model.ts';
import { parseBytes } from '../../compose/model/units.ts';
import type { BuildInput } from '../model/platform.ts';
import { fileSource } from '../resolve/file-content.ts';

/**
 * Turns a service's `build:` into a builder request, with absolute paths and the environment's values for arguments
 * without one. Throws HYPR_UNSUPPORTED for what a build machine cannot provide, COMPOSE_INVALID for a secret without a
 * value.
 */
export const buildRequest = async (input: BuildInput): Promise<BuildRequest> => {
  const { config } = input;
  refuseHostFeatures(config);
  const context = config.context ?? '.';
  if (context === '-' || !isRemoteSource(context)) {
    await requireFolder(context);
  }
  return {
    context,
    dockerfile: dockerfileOf(input, context),
    tags: input.tags,
    ...(config.target ? { target: config.target } : {}),
    buildArgs: buildArguments(input),
    ...resultOf(input),
    labels: input.labels,
    noCache: input.noCache,
    pull: input.pull,
    network: config.network === 'none' || config.network === 'proxy' ? config.network : 'default',
    ssh: await resolveSsh(input),
    limits: { ...resolveUlimits(config), ...input.limits },
    additionalContexts: config.additional_contexts ?? {},
    ...(input.serviceImages === undefined ? {} : { serviceImages: input.serviceImages }),
    extraHosts: config.extra_hosts ?? [],
    ...(input.platform ? { platform: input.platform } : {}),
    ...(config.shm_size === undefined ? {} : { shmSize: parseBytes(String(config.shm_size)) }),
    secrets: resolveSecrets(input),
  };
};

/** The file's arguments with the environment's values, and those of the command over them. */
export const buildArguments = (input: BuildInput): Record<string, string> => ({
  ...sourceDate(input),
  ...resolveArgs(input.config.args ?? {}, input.environment),
  ...input.buildArgs,
});

/** As in buildx: SOURCE_DATE_EPOCH from the environment, unless the build arguments set it. */
const sourceDate = ({ environment }: BuildInput): Record<string, string> =>
  environment.SOURCE_DATE_EPOCH ? { SOURCE_DATE_EPOCH: environment.SOURCE_DATE_EPOCH } : {};

/** Caches and outputs. Attestations are only made for pushed images. */
const resultOf = ({ config, push = false, provenance, folder }: BuildInput): Partial<BuildRequest> => {
  const attest = provenance ?? config.provenance;
  return {
    cacheFrom: config.cache_from ?? [],
    cacheTo: config.cache_to ?? [],
    noCacheFilter: config.no_cache_filter ?? [],
    ...(push ? { outputs: ['type=image,push=true'] } : {}),
    ...(push && attest !== undefined ? { provenance: String(attest) } : {}),
    ...(folder === undefined ? {} : { folder }),
  };
};

/** Refuses, before anything is built, what would give a build access to this host. */
const refuseHostFeatures = (config: BuildInput['config']): void => {
  if (config.network !== undefined && !['default', 'none', 'proxy'].includes(config.network)) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `build.network: ${config.network} cannot be used: a build runs in a machine with a network of its own`,
      {
        hint: 'leave it out: RUN reaches the outside; or write network: none, or network: proxy (package registries and HYPR_BUILD_PROXY_ALLOW)',
      },
    );
  }
};

/** `build.ssh`: `default` is the caller's agent, `id=path` another agent's socket or a private key. */
const resolveSsh = async ({ config, environment, ssh = {} }: BuildInput): Promise<NonNullable<BuildRequest['ssh']>> => {
  const wanted = (Array.isArray(config.ssh) ? config.ssh : []).map(String);
  const entries = await Promise.all(
    wanted.map(async (entry): Promise<[string, SshForward]> => {
      const equals = entry.indexOf('=');
      const id = equals < 0 ? entry : entry.slice(0, equals);
      const path = equals < 0 ? environment.SSH_AUTH_SOCK : entry.slice(equals + 1);
      if (path === undefined || path === '') {
        throw new HyprError('COMPOSE_INVALID', `build.ssh: ${id}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set`);
      }
      const info = await stat(path).catch(() => undefined);
      if (info === undefined) {
        throw new HyprError('COMPOSE_INVALID', `build.ssh: ${id} is ${path}, which does not exist`);
      }
      return [id, info.isSocket() ? { socket: path } : { keys: [path] }];
    }),
  );
  return { ...Object.fromEntries(entries), ...ssh };
};

/** `build.ulimits`, as in a service: one number or soft and hard. */
const resolveUlimits = ({ ulimits }: BuildInput['config']): BuildLimits =>
  ulimits === undefined || ulimits === null || typeof ulimits !== 'object'
    ? {}
    : {
        ulimits: Object.fromEntries(
          Object.entries(ulimits as Record<string, number | { soft: number; hard: number }>).map(([name, value]) => [
            name,
            typeof value === 'number' ? { soft: value, hard: value } : { soft: Number(value.soft), hard: Number(value.hard) },
          ]),
        ),
      };

/** `build.secrets`: the Dockerfile knows them by their target, or by their name without one. */
const resolveSecrets = ({ config, secrets = {}, environment }: BuildInput): BuildRequest['secrets'] => {
  const wanted = Array.isArray(config.secrets) ? (config.secrets as Array<string | FileReference>) : [];
  return Object.fromEntries(
    wanted.map((entry) => {
      const { source, target } = typeof entry === 'string' ? { source: entry, target: undefined } : entry;
      return [basename(target ?? source), secretValue(source, secrets[source], environment)];
    }),
  );
};

const secretValue = (
  name: string,
  secret: FileObject | undefined,
  environment: Readonly<Record<string, string>>,
): BuildRequest['secrets'][string] => {
  const source = secret === undefined ? undefined : fileSource(secret);
  if (source === undefined) {
    throw new HyprError('COMPOSE_INVALID', `build.secrets: the secret ${name} has neither a file nor a variable`);
  }
  if ('file' in source) {
    return source;
  }
  const value = 'content' in source ? source.content : environment[source.environment];
  if (value === undefined) {
    throw new HyprError('COMPOSE_INVALID', `build.secrets: the secret ${name} needs the variable ${secret?.environment}, which is not set`);
  }
  return { value };
};

const requireFolder = async (context: string): Promise<void> => {
  const info = await stat(context).catch(() => undefined);
  if (info?.isDirectory() !== true) {
    throw new HyprError('DOCKERFILE_NOT_FOUND', `build context ${context} ${info === undefined ? 'does not exist' : 'is not a folder'}`, {
      hint: 'name a folder in `build:`; it is looked for from the folder of the Compose file',
    });
  }
};

const dockerfileOf = ({ config }: BuildInput, context: string): BuildRequest['dockerfile'] => {
  if (config.dockerfile_inline !== undefined) {
    return { text: config.dockerfile_inline, name: 'dockerfile_inline' };
  }
  const file = config.dockerfile ?? 'Dockerfile';
  return { path: isAbsolute(file) || isRemoteSource(context) ? file : join(context, file) };
};

const resolveArgs = (
  args: Readonly<Record<string, string | null>>,
  environment: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(args).flatMap(([name, given]) => {
      const value = given ?? environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
