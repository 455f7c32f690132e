import { sanitiseName } from '../../base/sanitise.ts';
import { imageRepository } from '../../engine/docker/shapes/names.ts';
import type { Handler } from '../core/command-spec.ts';
import { loadProject } from '../core/project.ts';
import { createQuietableRenderer } from '../render/create.ts';

/** `compose push`: images of services with `build:` and `image:`. */
export const runComposePush: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const options = { services: args, includeDeps: flags.bool('include-deps'), ignoreFailures: flags.bool('ignore-push-failures') };
  const project = await loadProject(invocation, args);
  const engine = await context.engine();
  const renderer = await createQuietableRenderer(invocation, 'push');
  try {
    await engine.pushProject(project, options, renderer.onProgress, context.interrupts.signal);
  } finally {
    renderer.close();
  }
  return 0;
};

/** `hypr push NAME`, as docker push: repository and digests on stdout, with -q full names. */
export const runDockerPush: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const images = await (await context.engine()).openImages();
  const renderer = await createQuietableRenderer(invocation, 'push');
  try {
    const options = { allTags: flags.bool('all-tags') };
    const pushed = await images.push(args, options, renderer.onProgress, context.interrupts.signal);
    renderer.close();
    const lines = flags.bool('quiet')
      ? pushed.map(({ reference }) => reference)
      : [
          `The push refers to repository [${withoutTag(pushed[0]?.reference ?? '')}]`,
          ...pushed.map(({ reference, digest, size }) => `${imageRepository(reference).tag}: digest: ${digest} size: ${size}`),
        ];
    context.stdout.write(lines.map((line) => `${sanitiseName(line)}\n`).join(''));
  } finally {
    renderer.close();
  }
  return 0;
};

const withoutTag = (reference: string): string => reference.replace(/:[^/:]*$/, '');
