import { posix } from 'node:path';
import { SyntaxFault, syntaxError } from '../../dockerfile/errors.ts';
import { ExpandError, expandWord } from '../../dockerfile/expand.ts';
import type { Stage, StageInstruction, WordInstruction } from '../../dockerfile/instruction.ts';
import type { ParsedMount } from '../../dockerfile/mount.ts';
import { findStage } from '../../dockerfile/parse.ts';
import type { MachineScheduler } from '../../model/machine-scheduler.ts';
import type { BuildContext } from '../frame/build-context.ts';
import { type CacheRecord, makeKey } from '../frame/cache.ts';
import { applyMetadata, joinWorkdir, type MetadataInstruction } from '../frame/metadata.ts';
import { lookupIn, type StageState, withHistory, workdirOf } from '../frame/state.ts';
import { LayerPlan } from '../layer/layer-plan.ts';
import { excerptOf, StepFault, stepError } from '../layer/step-error.ts';
import { resolveOwner } from '../layer/users.ts';
import type { MachinePool, MachineSize } from '../machine/machine-pool.ts';
import { commandOfRun } from '../machine/run-command.ts';
import { StageMachine } from '../machine/stage-machine.ts';
import { describeCopy, expandCopy, runCopy, sourceOfCopy } from './copy-step.ts';
import { runFileStep } from './file-step.ts';
import { runRun } from './run-step.ts';
import { insteadOfStage, openBase } from './stage-base.ts';
import { countSteps, StepTitles, stageTitle, titleOf } from './step-title.ts';

interface StageRun {
  readonly build: BuildContext;
  readonly stage: Stage;
  readonly titles: StepTitles;
  readonly machine: StageMachine;
  readonly noCache: boolean;
  readonly current: Current;
}

/** The instruction that is being carried out. A proxy is a machine's; what it refuses, this instruction asked for. */
interface Current {
  line: number;
  /** `name:port` */
  refused: string[];
}

interface StageInput {
  readonly build: BuildContext;
  /** The machines of the build. */
  readonly pool: MachinePool;
  readonly scheduler: MachineScheduler;
}

/** Builds one stage from its FROM to its last instruction. Errors name the line they come from. */
export const runStage = async ({ build, pool, scheduler }: StageInput, written: Stage): Promise<StageState> => {
  const stage = insteadOfStage(build, written) === undefined ? written : { ...written, instructions: [] };
  const { dockerfile } = build;
  const name = stageTitle(dockerfile, stage.index);
  startSources(build, stage);
  const base = await openBase(build, stage, (triggers, hasImage) => {
    const total = countSteps(stage.instructions) + countSteps(triggers) + (hasImage ? 1 : 0);
    return new StepTitles({ stage: name, total });
  });
  build.baseEnvs.set(stage.index, new Set(base.state.env.keys()));
  const current: Current = { line: 1, refused: [] };
  const machine = new StageMachine({
    name: name === '' ? 'build' : `build-${name}`,
    pool,
    scheduler,
    size: machineSize(build, current),
  });
  const run: StageRun = { build, stage, titles: base.titles, machine, noCache: isFresh(build, stage) || base.state.rebuilt, current };
  try {
    let state = { ...base.state, rebuilt: run.noCache };
    for (const instruction of [...base.triggers, ...stage.instructions]) {
      build.signal.throwIfAborted();
      Object.assign(current, { line: instruction.range.line, refused: [] });
      state = await runInstruction(run, instruction, state);
    }
    await machine.end();
    return state;
  } catch (error) {
    await machine.close();
    throw error;
  }
};

/** `--no-cache`, or the stage is among those of `--no-cache-filter`, by name (in any case) or number. */
const isFresh = ({ request }: BuildContext, { index, from }: Stage): boolean => {
  const names = (request.noCacheFilter ?? []).map((name) => name.trim().toLowerCase());
  return request.noCache || names.includes(from.name ?? String(index)) || names.includes(String(index));
};

/** What every machine of a build has. */
const machineSize = ({ request, progress, dockerfile }: BuildContext, current: Current): MachineSize => {
  const { shmSize, limits = {}, proxyAllow = [] } = request;
  const { memoryMib, cpus, diskMib } = limits;
  const onRefused = (host: string) => {
    current.refused.push(host);
    progress.warn(`the proxy of this build refused ${host}: it is not on the list of allowed hosts (HYPR_BUILD_PROXY_ALLOW adds to it)`, {
      file: dockerfile.file,
      line: current.line,
    });
  };
  return {
    ...(shmSize === undefined ? {} : { shmSize }),
    ...(memoryMib === undefined ? {} : { memoryMib }),
    ...(cpus === undefined ? {} : { vcpus: cpus }),
    ...(diskMib === undefined ? {} : { diskMib }),
    proxy: { allow: proxyAllow, onRefused },
  };
};

/** Stages that are copied from start at once, beside this one; who needs them waits, and hears of their failure. */
const startSources = (build: BuildContext, stage: Stage): void => {
  for (const instruction of stage.instructions) {
    const from = instruction.kind === 'copy' ? instruction.from : undefined;
    const source = from === undefined ? undefined : findStage(build.dockerfile.stages.slice(0, stage.index), from);
    if (source !== undefined) {
      void build.buildStage(source.index).catch(() => undefined);
    }
  }
};

const runInstruction = async (run: StageRun, instruction: StageInstruction, state: StageState): Promise<StageState> => {
  const where = { file: run.build.dockerfile.file, line: instruction.range.line };
  try {
    switch (instruction.kind) {
      case 'copy':
      case 'add':
        return await runCopyInstruction(run, instruction, state);
      case 'run':
        return await runRunInstruction(run, instruction, state);
      case 'workdir':
        return await runWorkdir(run, { ...instruction, kind: 'workdir' }, state);
      default: {
        const { buildArgs } = run.build.request;
        const context = { escape: run.build.dockerfile.directives.escape, buildArgs, globals: run.build.globals };
        return applyMetadata(state, instruction as MetadataInstruction, context);
      }
    }
  } catch (error) {
    if (error instanceof ExpandError || error instanceof SyntaxFault) {
      throw syntaxError(`failed to process ${JSON.stringify(instruction.text)}: ${error.message}`, where);
    }
    // A trigger of the base image is not in this file.
    const isOwn = run.stage.instructions.includes(instruction);
    throw stepError(withWayOut(error, run), where, isOwn ? excerptOf(run.build.dockerfile.text, instruction.range) : []);
  }
};

/** A step that failed and was refused hosts by its proxy most likely failed for that: what lets it reach them comes first. */
const withWayOut = (error: unknown, { build, current }: StageRun): unknown => {
  if (!(error instanceof StepFault) || current.refused.length === 0) {
    return error;
  }
  // Without a port 80 and 443 are meant.
  const hosts = current.refused.map((host) => host.replace(/:(80|443)$/, ''));
  const allow = [...new Set([...(build.request.proxyAllow ?? []), ...hosts])].join(',');
  const hint = [`let the proxy reach what it asked for: HYPR_BUILD_PROXY_ALLOW=${allow}`, error.options.hint ?? ''].join('\n').trimEnd();
  return new StepFault(error.message, { ...error.options, hint });
};

const runCopyInstruction = async (
  run: StageRun,
  instruction: Extract<StageInstruction, { kind: 'copy' | 'add' }>,
  state: StageState,
): Promise<StageState> => {
  const { build, stage, noCache } = run;
  const copy = expandCopy(instruction, state, build.dockerfile.directives.escape);
  yieldForSources(run, instruction.kind === 'copy' ? [instruction.from] : []);
  const source = await sourceOfCopy(build, copy, stage.index);
  const title = run.titles.next(titleOf(instruction.text, state, build.dockerfile.directives.escape));
  const record = await build.progress.run(title, (vertex) => runCopy(build, vertex, { copy, state, index: stage.index, noCache, source }));
  return addHostLayer(run, state, `${describeCopy(copy)} # buildkit`, record);
};

const runRunInstruction = async (
  run: StageRun,
  instruction: Extract<StageInstruction, { kind: 'run' }>,
  state: StageState,
): Promise<StageState> => {
  const { build, stage, machine, noCache } = run;
  const command = commandOfRun(instruction, state);
  const text = command.summary === undefined ? instruction.text : `${instruction.text} ${command.summary}`;
  yieldForSources(
    run,
    instruction.mounts.map(({ from }) => from),
  );
  await waitForMountSources(build, stage, instruction.mounts);
  const title = run.titles.next(titleOf(text, state, build.dockerfile.directives.escape));
  const record = await build.progress.run(title, (vertex) =>
    runRun(build, vertex, { instruction, command, state, index: stage.index, noCache, machine }),
  );
  // One for each declaration, as BuildKit has it, also of the same name.
  const args = state.args.map(({ name, value }) => `${name}=${lookupIn(state)(name) ?? value ?? ''}`);
  const shown = args.length > 0 ? [`|${args.length}`, ...args] : [];
  return withHistory(state, ['RUN', ...shown, ...command.args, '# buildkit'].join(' '), record);
};

/** Another stage may have this one's turn while it waits for stages that it reads from. */
const yieldForSources = ({ build, stage, machine }: StageRun, from: ReadonlyArray<string | undefined>): void => {
  const sources = from.map((name) => (name === undefined ? undefined : findStage(build.dockerfile.stages.slice(0, stage.index), name)));
  if (sources.some((source) => source !== undefined && !build.isStageBuilt(source.index))) {
    machine.yieldTurn();
  }
};

/** Stages that mounts read from are built before the step counts as started. */
const waitForMountSources = async (build: BuildContext, stage: Stage, mounts: readonly ParsedMount[]): Promise<void> => {
  for (const { from } of mounts) {
    const source = from === undefined ? undefined : findStage(build.dockerfile.stages.slice(0, stage.index), from);
    if (source !== undefined) {
      await build.buildStage(source.index);
    }
  }
};

const runWorkdir = async (run: StageRun, instruction: WordInstruction & { kind: 'workdir' }, state: StageState): Promise<StageState> => {
  const { build, noCache } = run;
  const escapeChar = build.dockerfile.directives.escape;
  const value = expandWord(instruction.value, lookupIn(state), { escape: escapeChar });
  const path = joinWorkdir(workdirOf(state), value);
  const title = run.titles.next(titleOf(instruction.text, state, escapeChar));
  const user = state.config.User ?? '';
  const key = makeKey('workdir', { root: state.key, path, user });
  const record = await build.progress.run(title, (vertex) =>
    runFileStep(build, vertex, {
      layers: state.layers,
      noCache,
      definitionKey: undefined,
      contentKey: () => Promise.resolve(key),
      isLayer: path !== '/',
      plan: async (root) => {
        const plan = new LayerPlan({
          root,
          owner: user === '' ? undefined : await resolveOwner(user, root),
          chmod: undefined,
          epoch: build.epoch,
        });
        plan.makeFolder(posix.resolve('/', path));
        return plan.items();
      },
    }),
  );
  const next = { ...state, config: { ...state.config, WorkingDir: path } };
  return addHostLayer(run, next, `WORKDIR ${path}`, record);
};

const addHostLayer = (run: StageRun, state: StageState, createdBy: string, record: CacheRecord): StageState => {
  if (record.diffId !== null) {
    run.machine.addPlainLayer(record.diffId);
  }
  return withHistory(state, createdBy, record);
};
