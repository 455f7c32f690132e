import { resolve } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import { exists, writeFileAtomic } from '../../../base/host/files.ts';
import { isRemoteSource } from '../../../engine/model/build-source.ts';
import type { BuildRequest, BuildResult } from '../../../engine/model/types.ts';
import type { Handler, Invocation } from '../../core/command-spec.ts';
import type { CliContext } from '../../core/context.ts';
import { createBuildRenderer } from '../../render/build.ts';
import { BuildWarnings, isRaw } from '../../render/build-warnings.ts';
import { parseBytes, parseHosts, parseKeyValues, parseLimits, parseSecrets, parseSsh } from './arguments.ts';
import { parseCall, runCall } from './call.ts';
import { debugShell, needTerminal } from './debug.ts';
import { parseAttestFlags, parseOutputFlags, withSourceDate } from './outputs.ts';

const MAX_DOCKERFILE = 4 << 20;

/** `hypr build -t app .`, as docker build: one image from one Dockerfile. Prints its id. `--check` only looks at the Dockerfile. */
export const runDockerBuild: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const request = await buildRequest(invocation);
  if (flags.bool('debug')) {
    needTerminal(context);
  }
  const images = await (await context.engine()).openImages();
  const call = parseCall(flags);
  if (call.method !== 'build') {
    return await runCall(context, { call, request, images });
  }
  const quiet = flags.bool('quiet');
  const renderer = await createBuildRenderer(context, flags, { quiet });
  const warnings = new BuildWarnings(context, isRaw(flags) ? undefined : quiet);
  try {
    const result = await images.build(
      request,
      (event) => {
        if (!warnings.take('', event)) {
          renderer.onEvent('', event);
        }
      },
      context.interrupts.signal,
      flags.bool('debug') ? { onFailedStep: debugShell(context, renderer) } : {},
    );
    renderer.close();
    await report(invocation, result, request);
    return 0;
  } finally {
    renderer.close();
    warnings.print();
  }
};

const report = async ({ context, flags }: Invocation, result: BuildResult, request: BuildRequest): Promise<void> => {
  const { imageId } = result;
  const write = async (flag: string, text: string) => {
    const file = flags.string(flag);
    if (file !== undefined) {
      await writeFileAtomic(resolve(context.cwd, file), text, 0o644);
    }
  };
  // A result that is no image has no id.
  await (imageId === '' ? undefined : write('iidfile', imageId));
  await write('metadata-file', `${JSON.stringify(result.metadata ?? {}, undefined, 2)}\n`);
  if (!flags.bool('quiet')) {
    const name = request.tags.join(', ') || imageId;
    context.stderr.write(name === '' ? 'Built\n' : `Built ${name}\n`);
  } else if (imageId !== '' && !flags.list('output').some(goesToStdout)) {
    context.stdout.write(`${imageId}\n`);
  }
};

const goesToStdout = (spec: string): boolean =>
  spec === '-' || /(^|,)dest=-(,|$)/.test(spec) || (/(^|,)type=(tar|oci)(,|$)/.test(spec) && !spec.includes('dest='));

const buildRequest = async ({ context, args, flags }: Invocation): Promise<BuildRequest> => {
  const { env, cwd } = context;
  const folder = contextFolder(args);
  const isRemote = isRemoteSource(folder);
  const path = isRemote ? folder : resolve(cwd, folder);
  const target = flags.string('target');
  const platform = flags.string('platform') ?? (env.DOCKER_DEFAULT_PLATFORM || undefined);
  const shmSize = flags.string('shm-size');
  return {
    context: path,
    dockerfile: isRemote
      ? await remoteDockerfile(context, folder, flags.string('file'))
      : await findDockerfile(context, path, flags.string('file')),
    ...(folder === '-' ? { stdin: context.stdin } : {}),
    tags: flags.list('tag'),
    buildArgs: withSourceDate(parseKeyValues(flags.list('build-arg'), env), env),
    labels: Object.fromEntries(
      flags.list('label').map((label) => [label.split('=', 1)[0] ?? label, label.includes('=') ? label.slice(label.indexOf('=') + 1) : '']),
    ),
    noCache: flags.bool('no-cache'),
    pull: flags.bool('pull'),
    network: flags.choice('network', ['default', 'none', 'proxy']) ?? 'default',
    additionalContexts: parseContexts(flags.list('build-context'), cwd),
    extraHosts: parseHosts(flags.list('add-host')),
    secrets: parseSecrets(flags.list('secret'), env, cwd),
    ...outputsOf({ context, flags }),
    ssh: await parseSsh(flags.list('ssh'), env, cwd),
    limits: parseLimits(flags, flags.list('ulimit')),
    ...(target ? { target } : {}),
    ...(platform ? { platform } : {}),
    ...(shmSize ? { shmSize: parseBytes(shmSize, 'shm-size') } : {}),
  };
};

/** What is only in the request when it was asked for. */
const outputsOf = ({ context, flags }: Pick<Invocation, 'context' | 'flags'>): Partial<BuildRequest> => {
  const outputs = parseOutputFlags(flags);
  const lists = {
    outputs,
    cacheFrom: flags.list('cache-from'),
    cacheTo: flags.list('cache-to'),
    annotations: flags.list('annotation'),
    noCacheFilter: flags.list('no-cache-filter').flatMap((names) => names.split(',')),
  };
  const given = Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
  const layouts = flags.list('build-context').filter((pair) => pair.includes('=oci-layout://'));
  const usesPaths = [...outputs, ...lists.cacheFrom, ...lists.cacheTo, ...layouts].length > 0;
  return {
    ...given,
    ...parseAttestFlags(flags, flags.list('attest')),
    ...(usesPaths ? { folder: context.cwd } : {}),
    ...(outputs.some(goesToStdout) ? { stdout: context.stdout } : {}),
  };
};

const contextFolder = (args: readonly string[]): string => {
  const [folder, ...rest] = args;
  if (folder === undefined || rest.length > 0) {
    throw new HyprError('HYPR_USAGE', folder === undefined ? 'hypr build needs the folder to build' : 'hypr build builds one folder', {
      hint: 'for a Dockerfile here: hypr build -t NAME .   for the services of the Compose file: hypr compose build',
    });
  }
  return folder;
};

/** `-f` of a context that is no folder is a path in it, unless it is `-`. */
const remoteDockerfile = async (context: CliContext, source: string, file = 'Dockerfile'): Promise<BuildRequest['dockerfile']> => {
  if (file === '-' && source === '-') {
    throw new HyprError('HYPR_USAGE', 'standard input cannot be both the Dockerfile and the build context');
  }
  return file === '-' ? { text: await readStdin(context), name: 'Dockerfile' } : { path: file };
};

/** `-f` is relative to the caller, the default is in the context; `-` reads the text from standard input. */
const findDockerfile = async (context: CliContext, folder: string, file: string | undefined): Promise<BuildRequest['dockerfile']> => {
  if (file === '-') {
    return { text: await readStdin(context), name: 'Dockerfile' };
  }
  const path = file === undefined ? resolve(folder, 'Dockerfile') : resolve(context.cwd, file);
  if (!(await exists(path))) {
    throw new HyprError('DOCKERFILE_NOT_FOUND', `there is no ${path}`, { hint: 'name it with: hypr build -f FILE .' });
  }
  return { path };
};

const readStdin = async ({ stdin }: CliContext): Promise<string> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stdin) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size > MAX_DOCKERFILE) {
      throw new HyprError('HYPR_USAGE', 'the Dockerfile on standard input is larger than 4 MiB');
    }
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString('utf8');
};

/** Paths become absolute; `docker-image://` and its like stay. */
const parseContexts = (pairs: readonly string[], cwd: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(parseKeyValues(pairs, {})).map(([name, source]) => [
      name,
      /^[a-z-]+:/.test(source) || isRemoteSource(source) ? source : resolve(cwd, source),
    ]),
  );
