import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { Handler } from '../core/command-spec.ts';
import { parallelLimit } from '../core/parallel.ts';
import { loadProject } from '../core/project.ts';
import { createQuietableRenderer } from '../render/create.ts';

/** `compose pull`: images of the services that are not only built. */
export const runComposePull: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const options = {
    services: args,
    includeDeps: flags.bool('include-deps'),
    policy: flags.choice('policy', ['missing', 'always']),
    ignoreFailures: flags.bool('ignore-pull-failures'),
    ignoreBuildable: flags.bool('ignore-buildable'),
    ...parallelLimit(flags, context.env),
    onNotice: (text: string) => void context.stderr.write(`warning: ${text}\n`),
  } as const;
  const project = await loadProject(invocation, args);
  const engine = await context.engine();
  const renderer = await createQuietableRenderer(invocation, 'pull');
  try {
    await engine.pullProject(project, options, renderer.onProgress, context.interrupts.signal);
  } finally {
    renderer.close();
  }
  return 0;
};

/** `hypr pull IMAGE`, as docker pull; prints the full reference on stdout. */
export const runDockerPull: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  if (args.length === 0) {
    throw new HyprError('HYPR_USAGE', 'hypr pull needs the name of an image', {
      hint: 'an image: hypr pull nginx   the images of the Compose file: hypr compose pull',
    });
  }
  const platform = flags.string('platform') ?? (context.env.DOCKER_DEFAULT_PLATFORM || undefined);
  const images = await (await context.engine()).openImages();
  const renderer = await createQuietableRenderer(invocation, 'pull');
  try {
    const options = { policy: 'always' as const, ...(platform ? { platform } : {}) };
    const pulled = await images.pull(args, options, renderer.onProgress, context.interrupts.signal);
    renderer.close();
    context.stdout.write(pulled.map((image, index) => `${sanitiseName(referenceOf(image.references, args[index] ?? ''))}\n`).join(''));
  } finally {
    renderer.close();
  }
  return 0;
};

/** Of all names of an image, the one that was asked for. */
const referenceOf = (references: readonly string[], asked: string): string =>
  references.find((reference) => reference === asked || reference.endsWith(`/${asked}`) || reference.endsWith(`/${asked}:latest`)) ??
  references[0] ??
  asked;
