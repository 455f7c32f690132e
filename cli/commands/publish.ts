import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import type { PublishedFile } from '../../compose/publish/publish-files.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { projectOptions } from '../core/project.ts';
import { openAnswers } from '../core/prompt.ts';
import { createRenderer } from '../render/create.ts';

/** `compose publish`: the Compose files as an artifact of a registry, which `-f oci://…` and `include` fetch. */
export const runPublish: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [reference = ''] = args;
  const { signal } = context.interrupts;
  const withEnv = flags.bool('with-env');
  const project = await context.loadProject({ ...projectOptions(invocation), profiles: ['*'] });
  if (project.files.includes('-')) {
    throw new HyprError('HYPR_USAGE', 'a Compose file from standard input cannot be published', { hint: 'write it to a file' });
  }
  const { publishQuestions } = await import('../../compose/publish/publish-questions.ts');
  await askAll(invocation, await publishQuestions(project, { withEnv, signal }));
  const files = await filesOf(invocation, project, withEnv);
  const renderer = await createRenderer(context, flags, 'publish');
  const say = (status: 'working' | 'done' | 'error', text: string) => renderer.onProgress({ id: reference, status, text });
  try {
    if (!flags.bool('dry-run')) {
      const push = { services: [], includeDeps: true, ignoreFailures: true };
      await (await context.engine()).pushProject(project, push, renderer.onProgress, signal);
    }
    say('working', 'publishing');
    if (!flags.bool('dry-run')) {
      await publish(invocation, { reference, files });
    }
    say('done', 'published');
  } catch (error) {
    say('error', 'publishing');
    throw error;
  } finally {
    renderer.close();
  }
  return 0;
};

const publish = async ({ context, flags }: Invocation, { reference, files }: { reference: string; files: PublishedFile[] }) => {
  const insecure = flags.bool('insecure-registry') ? [reference.split('/')[0] ?? ''] : [];
  const ociVersion = flags.choice('oci-version', ['1.0', '1.1'] as const);
  await (await context.engine()).pushArtifact({ reference, files, ociVersion, insecure }, context.interrupts.signal);
};

/** Throws HYPR_CANCELLED at the first no. */
const askAll = async ({ context, flags }: Invocation, questions: readonly string[]): Promise<void> => {
  const answers = openAnswers(context);
  try {
    for (const question of flags.bool('yes') ? [] : questions) {
      if (!(await answers.ask(question, false))) {
        throw new HyprError('HYPR_CANCELLED', 'nothing was published');
      }
    }
  } finally {
    answers.close();
  }
};

const filesOf = async ({ context, flags }: Invocation, project: Project, withEnv: boolean): Promise<PublishedFile[]> => {
  const { signal } = context.interrupts;
  const { collectFiles } = await import('../../compose/publish/publish-files.ts');
  const files = await collectFiles(project, { withEnv, signal });
  if (!flags.bool('resolve-image-digests')) {
    return files;
  }
  const { pinImages, lockedServices } = await import('../../compose/config/pin-images.ts');
  const { formatLock } = await import('../../compose/config/render.ts');
  const engine = await context.engine();
  const pinned = await pinImages(project, (image) => engine.resolveDigest(image, signal));
  return [...files, { kind: 'compose', name: 'image-digests.yaml', content: formatLock(lockedServices(pinned), 'yaml') }];
};
