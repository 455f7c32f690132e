import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Dockerfile } from '../../builder/dockerfile/instruction.ts';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { BuildInput } from '../model/platform.ts';
import { buildArguments } from './build-request.ts';
import type { ImageAction } from './images.ts';

/** A longer file is left to the build itself, which refuses it. */
const MAX_DOCKERFILE = 1024 * 1024;

/**
 * Of the builds that come before one, those whose image it reads by name: in FROM, COPY --from, RUN --mount=from= or a context
 * `docker-image://`. docker's classic builder went through the services in the order of their dependencies, and a stack may count on
 * it. What cannot be read is found out by the build.
 */
export const baseBuilds = async (input: BuildInput, earlier: readonly ImageAction[]): Promise<string[]> => {
  const builds = earlier.filter(({ action }) => action === 'build');
  if (builds.length === 0) {
    return [];
  }
  const [{ parseDockerfile }, { parseReference, formatReference }, text] = await Promise.all([
    import('../../builder/dockerfile/parse.ts'),
    import('../../builder/registry/config/reference.ts'),
    readText(input),
  ]);
  const whole = (name: string): string | undefined => attempt(() => formatReference(parseReference(name)));
  const dockerfile = attempt(() => parseDockerfile(text, 'Dockerfile'));
  const names = [...contextImages(input), ...(dockerfile === undefined ? [] : await namesIn(dockerfile, input))];
  const named = new Set(names.flatMap((name) => whole(name) ?? []));
  return builds.filter(({ reference }) => named.has(whole(reference) ?? '')).map(({ service }) => service);
};

const IMAGE = 'docker-image://';

const contextImages = ({ config }: BuildInput): string[] =>
  Object.values(config.additional_contexts ?? {}).flatMap((value) => (value.startsWith(IMAGE) ? [value.slice(IMAGE.length)] : []));

/** What the stages start from, with the arguments of this build filled in, copy from and mount. */
const namesIn = async (dockerfile: Dockerfile, input: BuildInput): Promise<string[]> => {
  const [{ expandWord }, { resolveGlobals }, { hostPlatform, parsePlatform }] = await Promise.all([
    import('../../builder/dockerfile/expand.ts'),
    import('../../builder/solver/frame/globals.ts'),
    import('../../builder/solver/frame/platform.ts'),
  ]);
  const { target } = input.config;
  const request = { buildArgs: buildArguments(input), ...(target === undefined ? {} : { target }) };
  const platform = input.platform === undefined ? hostPlatform() : attempt(() => parsePlatform(input.platform ?? ''));
  const globals = attempt(() => resolveGlobals(dockerfile, request, platform ?? hostPlatform()));
  const expand = (text: string) => attempt(() => expandWord(text, (name) => globals?.get(name), { escape: dockerfile.directives.escape }));
  return dockerfile.stages.flatMap(({ from, instructions }) => [
    expand(from.image) ?? '',
    ...instructions.flatMap((each) => {
      const read = each.kind === 'run' ? each.mounts.map((mount) => mount.from) : each.kind === 'copy' ? [each.from] : [];
      return read.filter((name) => name !== undefined);
    }),
  ]);
};

const readText = async ({ config }: BuildInput): Promise<string> => {
  if (config.dockerfile_inline !== undefined) {
    return config.dockerfile_inline;
  }
  const { context = '.', dockerfile = 'Dockerfile' } = config;
  if (isRemoteSource(context)) {
    return '';
  }
  const path = resolve(context, dockerfile);
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() === true && info.size <= MAX_DOCKERFILE ? await readFile(path, 'utf8').catch(() => '') : '';
};

const attempt = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {
    return undefined;
  }
};
