import { parsePatterns } from '../../context/ignore.ts';
import type { FileTree } from '../../context/tree.ts';
import { syntaxError } from '../../dockerfile/errors.ts';
import { ExpandError, expandWord } from '../../dockerfile/expand.ts';
import type { Stage, StageInstruction } from '../../dockerfile/instruction.ts';
import { findStage, parseTrigger } from '../../dockerfile/parse.ts';
import type { BuildContext } from '../frame/build-context.ts';
import { type CacheRecord, makeKey } from '../frame/cache.ts';
import { formatPlatform, parsePlatform } from '../frame/platform.ts';
import type { Vertex } from '../frame/progress.ts';
import { imageState, type StageState, scratchState, withHistory } from '../frame/state.ts';
import { planCopy } from '../layer/copy-plan.ts';
import { digestSelections, selectSources } from '../layer/copy-select.ts';
import { stepError } from '../layer/step-error.ts';
import { shownReference } from '../sources/shown-reference.ts';
import { findNamedImage, type NamedContext, namedContext } from '../sources/sources.ts';
import { runFileStep } from './file-step.ts';
import { withSteadyFiles } from './steady-files.ts';
import type { StepTitles } from './step-title.ts';

export interface StageBase {
  readonly state: StageState;
  /** ONBUILD of what the stage starts from, to be run first. */
  readonly triggers: readonly StageInstruction[];
  readonly titles: StepTitles;
}

type MakeTitles = (triggers: readonly StageInstruction[], hasImage: boolean) => StepTitles;

/** What a stage starts from: nothing, an earlier stage, a named context or an image. */
export const openBase = async (build: BuildContext, stage: Stage, makeTitles: MakeTitles): Promise<StageBase> => {
  const where = { file: build.dockerfile.file, line: stage.from.range.line };
  try {
    return await open(build, stage, makeTitles);
  } catch (error) {
    if (error instanceof ExpandError) {
      throw syntaxError(`failed to process ${JSON.stringify(stage.from.image)}: ${error.message}`, where);
    }
    throw stepError(error, where);
  }
};

const open = async (build: BuildContext, stage: Stage, makeTitles: MakeTitles): Promise<StageBase> => {
  const name = expandFrom(build, stage.from.image);
  if (name === '') {
    throw new ExpandError(`base name (${stage.from.image}) should not be blank`);
  }
  const instead = insteadOfStage(build, stage);
  if (instead !== undefined) {
    return instead.kind === 'local'
      ? await fromFolder(build, instead.name, makeTitles)
      : { ...(await fromImage(build, stage, instead, () => makeTitles([], true))), triggers: [] };
  }
  const earlier = findStage(build.dockerfile.stages.slice(0, stage.index), /^\d+$/.test(name) ? '' : name);
  if (earlier !== undefined) {
    return fromStage(build, stage, { ...(await build.buildStage(earlier.index)), hasOwnCmd: false }, makeTitles);
  }
  const named = namedContext(build, name);
  if (named?.kind === 'local') {
    return await fromFolder(build, named.name, makeTitles);
  }
  if (name === 'scratch') {
    return { state: scratchState(makeKey('scratch', {}), build.platform), triggers: [], titles: makeTitles([], false) };
  }
  return await fromImage(build, stage, named ?? { kind: 'image', reference: name }, makeTitles);
};

/** A context with the name of a stage takes the stage's place: nothing of the stage is carried out. */
export const insteadOfStage = (build: BuildContext, { from }: Stage): NamedContext | undefined =>
  from.name === undefined ? undefined : namedContext(build, from.name);

/** Only ARGs before the first FROM are known here. */
const expandFrom = (build: BuildContext, text: string): string =>
  expandWord(text, (name) => build.globals.get(name), { escape: build.dockerfile.directives.escape });

/** Triggers run once: the stage does not hand them on. */
const withTriggers = (build: BuildContext, stage: Stage, state: StageState): { state: StageState; triggers: StageInstruction[] } => {
  const triggers = (state.config.OnBuild ?? []).flatMap((text) =>
    parseTrigger(text, build.dockerfile.file).map((instruction) => ({ ...instruction, range: stage.from.range })),
  );
  const { OnBuild: _done, ...config } = state.config;
  return { state: { ...state, config }, triggers };
};

const fromStage = (build: BuildContext, stage: Stage, parent: StageState, makeTitles: MakeTitles): StageBase => {
  const { state, triggers } = withTriggers(build, stage, parent);
  return { state, triggers, titles: makeTitles(triggers, false) };
};

const fromImage = async (
  build: BuildContext,
  stage: Stage,
  named: Exclude<NamedContext, { kind: 'local' }>,
  makeTitles: MakeTitles,
): Promise<StageBase> => {
  const { platform } = stage.from;
  const wanted = platform === undefined ? build.platform : parsePlatform(expandFrom(build, platform) || formatPlatform(build.platform));
  const { image, blob, key } = await findNamedImage(build, named, formatPlatform(wanted));
  const { state, triggers } = withTriggers(build, stage, imageState(blob, key));
  const titles = makeTitles(triggers, true);
  const shown = named.kind === 'image' ? shownReference(named.reference) : named.name;
  const digest = shown.includes('@') ? '' : `@${image.manifestDigest}`;
  await build.progress.run(titles.next(`FROM ${shown}${digest}`), (vertex) => Promise.resolve(vertex.cached()));
  return { state, triggers, titles };
};

/** A named context that is a folder: its files on an empty root. */
const fromFolder = async (build: BuildContext, name: string, makeTitles: MakeTitles): Promise<StageBase> => {
  const titles = makeTitles([], true);
  const scratch = scratchState(makeKey('scratch', {}), build.platform);
  const tree = await build.openContext(name);
  const record = await build.progress.run(titles.next(`FROM ${name}`), (vertex) =>
    withSteadyFiles(build, () => copyFolder(build, vertex, tree)),
  );
  return { state: withHistory(scratch, `FROM ${name}`, record), triggers: [], titles };
};

const copyFolder = (build: BuildContext, vertex: Vertex, tree: FileTree): Promise<CacheRecord> => {
  const selections = selectSources({ tree, sources: ['/'], exclude: parsePatterns([], { file: '', line: 0 }), parents: false });
  return runFileStep(build, vertex, {
    layers: [],
    noCache: build.request.noCache,
    definitionKey: undefined,
    contentKey: async () => makeKey('folder', { digest: await digestSelections(tree, selections, build.signal) }),
    plan: (root) => {
      const sources = [{ tree, selections }];
      const rest = { owner: undefined, chmod: undefined, documents: [], target: '/', parents: false };
      return Promise.resolve(planCopy({ root, epoch: build.epoch, sources, ...rest }));
    },
  });
};
