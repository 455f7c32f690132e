import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { BuildInput } from '../model/platform.ts';
import type { ImageAction } from './images.ts';

/** A longer file is left to the build itself, which refuses it. */
const MAX_DOCKERFILE = 1024 * 1024;

/**
 * Of the builds that come before one, those whose image its Dockerfile starts from or copies from by name: docker's classic builder went
 * through the services in the order of their dependencies, and a stack may count on it. Names with variables are not looked into. What
 * cannot be read is found out by the build.
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
  const stages = attempt(() => parseDockerfile(text, 'Dockerfile').stages) ?? [];
  const named = new Set(
    stages
      .flatMap(({ from, instructions }) => [from.image, ...instructions.map((each) => (each.kind === 'copy' ? each.from : undefined))])
      .flatMap((name) => (name === undefined ? [] : (whole(name) ?? []))),
  );
  return builds.filter(({ reference }) => named.has(whole(reference) ?? '')).map(({ service }) => service);
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
