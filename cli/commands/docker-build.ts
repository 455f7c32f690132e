import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import type { BuildRequest } from '../../engine/types.ts';
import type { CliContext } from '../context.ts';
import { createBuildRenderer } from '../render/build.ts';
import type { Handler, Invocation } from '../spec/types.ts';
import { parseBytes, parseHosts, parseKeyValues, parseSecrets } from './build-arguments.ts';
import { BuildWarnings, isRaw, printCheck } from './build-warnings.ts';

const MAX_DOCKERFILE = 4 << 20;

/** `hypr build -t app .`, as docker build: one image from one Dockerfile. Prints its id. `--check` only looks at the Dockerfile. */
export const runDockerBuild: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const request = await buildRequest(invocation);
  const images = await (await context.engine()).openImages();
  if (flags.bool('check')) {
    return printCheck(context, await images.check(request));
  }
  const quiet = flags.bool('quiet');
  const renderer = await createBuildRenderer(context, flags, quiet);
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
    );
    renderer.close();
    await report(invocation, result.imageId, request.tags);
    return 0;
  } finally {
    renderer.close();
    warnings.print();
  }
};

const report = async ({ context, flags }: Invocation, imageId: string, tags: readonly string[]): Promise<void> => {
  const idFile = flags.string('iidfile');
  if (idFile !== undefined) {
    await writeFile(resolve(context.cwd, idFile), imageId);
  }
  if (flags.bool('quiet')) {
    context.stdout.write(`${imageId}\n`);
  } else {
    context.stderr.write(`Built ${tags.length > 0 ? tags.join(', ') : imageId}\n`);
  }
};

const buildRequest = async ({ context, args, flags }: Invocation): Promise<BuildRequest> => {
  const { env, cwd } = context;
  const folder = contextFolder(args);
  const path = resolve(cwd, folder);
  const target = flags.string('target');
  const platform = flags.string('platform');
  const shmSize = flags.string('shm-size');
  return {
    context: path,
    dockerfile: await findDockerfile(context, path, flags.string('file')),
    tags: flags.list('tag'),
    buildArgs: parseKeyValues(flags.list('build-arg'), env),
    labels: Object.fromEntries(
      flags.list('label').map((label) => [label.split('=', 1)[0] ?? label, label.includes('=') ? label.slice(label.indexOf('=') + 1) : '']),
    ),
    noCache: flags.bool('no-cache'),
    pull: flags.bool('pull'),
    network: flags.choice('network', ['default', 'none']) ?? 'default',
    additionalContexts: parseContexts(flags.list('build-context'), cwd),
    extraHosts: parseHosts(flags.list('add-host')),
    secrets: parseSecrets(flags.list('secret'), env, cwd),
    ...(target ? { target } : {}),
    ...(platform ? { platform } : {}),
    ...(shmSize ? { shmSize: parseBytes(shmSize, 'shm-size') } : {}),
  };
};

const contextFolder = (args: readonly string[]): string => {
  const [folder, ...rest] = args;
  if (folder === undefined || rest.length > 0) {
    throw new HyprError('HYPR_USAGE', folder === undefined ? 'hypr build needs the folder to build' : 'hypr build builds one folder', {
      hint: 'for a Dockerfile here: hypr build -t NAME .   for the services of the Compose file: hypr compose build',
    });
  }
  if (folder === '-' || /^(https?|git|ssh):|^git@|^github\.com\//.test(folder)) {
    throw new HyprError('HYPR_UNSUPPORTED', `"${folder}" is not a folder: contexts from archives, URLs and git are not supported`, {
      hint: 'fetch it, then build the folder',
    });
  }
  return folder;
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
    Object.entries(parseKeyValues(pairs, {})).map(([name, source]) => [name, /^[a-z-]+:/.test(source) ? source : resolve(cwd, source)]),
  );
