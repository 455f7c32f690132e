import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { HyprError } from '../base/errors.ts';
import type { BuildRequest } from '../builder/types.ts';
import { parseBytes } from '../compose/index.ts';
import type { BuildInput } from './platform.ts';

/** A service's `build:` as the builder's request: paths absolute, arguments without a value taken from the environment. */
export const buildRequest = async (input: BuildInput): Promise<BuildRequest> => {
  const { config } = input;
  const context = config.context ?? '.';
  if (context.includes('://')) {
    throw new HyprError('HYPR_UNSUPPORTED', `build context ${context}: contexts from git or the web are not fetched yet`, {
      hint: 'clone it, and name the folder',
    });
  }
  await requireFolder(context);
  return {
    context,
    dockerfile: dockerfileOf(input, context),
    tags: input.tags,
    ...(config.target ? { target: config.target } : {}),
    buildArgs: { ...resolveArgs(config.args ?? {}, input.environment), ...input.buildArgs },
    labels: input.labels,
    noCache: input.noCache,
    pull: input.pull,
    network: config.network === 'none' ? 'none' : 'default',
    additionalContexts: config.additional_contexts ?? {},
    extraHosts: config.extra_hosts ?? [],
    ...(input.platform ? { platform: input.platform } : {}),
    ...(config.shm_size === undefined ? {} : { shmSize: parseBytes(String(config.shm_size)) }),
    secrets: {},
  };
};

const requireFolder = async (context: string): Promise<void> => {
  const info = await stat(context).catch(() => undefined);
  if (info?.isDirectory() !== true) {
    throw new HyprError('DOCKERFILE_NOT_FOUND', `build context ${context} ${info === undefined ? 'does not exist' : 'is not a folder'}`);
  }
};

const dockerfileOf = ({ config }: BuildInput, context: string): BuildRequest['dockerfile'] => {
  if (config.dockerfile_inline !== undefined) {
    return { text: config.dockerfile_inline, name: 'dockerfile_inline' };
  }
  const file = config.dockerfile ?? 'Dockerfile';
  return { path: isAbsolute(file) ? file : join(context, file) };
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
