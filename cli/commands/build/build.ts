import type { Progress } from '../../../base/progress.ts';
import type { BuildEvent, BuildProjectOptions } from '../../../engine/model/types.ts';
import type { Handler } from '../../core/command-spec.ts';
import { parallelLimit } from '../../core/parallel.ts';
import { loadBuildable } from '../../core/project.ts';
import { createBuildRenderer } from '../../render/build.ts';
import { BuildWarnings, isRaw } from '../../render/build-warnings.ts';
import { progressMode, progressStream } from '../../render/create.ts';
import { createPlainRenderer } from '../../render/plain.ts';
import { parseKeyValues, parseMib, parseSsh } from './arguments.ts';
import { bakeFile } from './compose-bake.ts';
import { parseAttestFlags } from './outputs.ts';

/** `compose build`: images of the services that have a `build:`. */
export const runComposeBuild: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const memory = flags.string('memory');
  const options: BuildProjectOptions = {
    services: args,
    withDependencies: flags.bool('with-dependencies'),
    noCache: flags.bool('no-cache'),
    pull: flags.bool('pull'),
    buildArgs: parseKeyValues(flags.list('build-arg'), context.env),
    ssh: await parseSsh(flags.list('ssh'), context.env, context.cwd),
    limits: memory === undefined ? {} : { memoryMib: parseMib(memory, 'memory') },
    ...parallelLimit(flags, context.env),
    ...(flags.bool('push') ? { push: true } : {}),
    ...(flags.string('provenance') === undefined ? {} : { provenance: flags.string('provenance') ?? 'false' }),
  };
  const project = await loadBuildable(invocation, args);
  const buildable = Object.keys(project.services).filter((service) => project.services[service]?.build !== undefined);
  if (buildable.length === 0) {
    context.stderr.write('No services to build\n');
    return 0;
  }
  parseAttestFlags(flags);
  if (flags.bool('print')) {
    context.stdout.write(`${JSON.stringify(bakeFile(project, args, options), undefined, 2)}\n`);
    return 0;
  }
  const engine = await context.engine();
  const quiet = flags.bool('quiet');
  const renderer = await createBuildRenderer(context, flags, { quiet, lines: context.stdout });
  const images = !quiet && progressMode(context, flags) === 'plain' ? createPlainRenderer(progressStream(context)) : undefined;
  const warnings = new BuildWarnings(context, isRaw(flags) ? undefined : quiet);
  const onEvent = (service: string, event: BuildEvent) => {
    if (!warnings.take(service, event)) {
      renderer.onEvent(service, event);
    }
  };
  try {
    const onProgress = (progress: Progress) => images?.onProgress(progress);
    await engine.buildProject(project, { ...options, onProgress }, onEvent, context.interrupts.signal);
  } finally {
    renderer.close();
    warnings.print();
  }
  return 0;
};
