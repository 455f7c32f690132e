import { HyprError } from '../../base/errors.ts';
import { type Discovered, discover, projectName } from '../files/discover.ts';
import { substitute, TemplateError } from '../interpolate/template.ts';
import { Budget } from '../model/limits.ts';
import type { Project } from '../model/model.ts';
import type { LoadedProject, LoadOptions } from '../model/options.ts';
import { Warnings } from '../model/warnings.ts';
import { buildProject } from '../project/build-project.ts';
import type { Locate } from '../project/check.ts';
import { alignReplicas } from '../project/check-limits.ts';
import { checkBuildCircle, checkConsistency, checkContainerNames } from '../project/consistency.ts';
import { resolveEnvFiles, resolveLabelFiles } from '../project/env-files.ts';
import { normalize } from '../project/normalize.ts';
import { dependOnContainers } from '../project/own-containers.ts';
import { warnDuplicatePorts } from '../project/port-warnings.ts';
import { applyProfiles, dropUnused, selectServices } from '../project/select.ts';
import { describeKind, type MapNode, type Node, nearestNode, stringOf, withEntries } from '../source/node.ts';
import { errorAt, type Mark, placeOfMark } from '../source/source.ts';
import type { LoadContext } from './load-context.ts';
import { loadModel, readParsed } from './model-loader.ts';

export { checkOwnKeys } from '../schema/own-keys.ts';

/**
 * Loads a project as docker compose does: finds the files, merges them into one canonical model, binds
 * it, applies profiles, checks it, selects the requested services, reads their env files.
 * @throws HyprError with a COMPOSE_… code, the place, and a hint
 */
export const loadProject = async (options: LoadOptions): Promise<LoadedProject> => {
  const warnings = new Warnings();
  const { tree, name, found } = await loadTree(options, warnings);
  const locate = locator(tree);
  const profiles = found.profiles;
  const owners = (project: Project) => (options.dependOnContainers === true ? dependOnContainers(project) : project);
  const steps: Array<(project: Project) => Project | Promise<Project>> = [
    (project) => applyProfiles(project, profiles),
    owners,
    (project) => check(options, () => checkConsistency(project, locate), project),
    (project) => (options.builds === true ? check(options, () => checkBuildCircle(project, locate), project) : project),
    (project) => (options.consistency === false ? project : alignReplicas(project)),
    (project) => selectServices(project, options.services ?? [], { profiles }),
    // Naming a service may have switched its profile on, after those that join its container were looked at.
    owners,
    (project) => (options.allResources === true ? project : dropUnused(project)),
    (project) => (options.resolveEnv === false ? project : resolveEnvFiles(project, { cwd: options.cwd, locate, signal: options.signal })),
    (project) =>
      options.resolveEnv === false ? project : resolveLabelFiles(project, { cwd: options.cwd, locate, signal: options.signal }),
    (project) => (options.uniqueNames === false ? project : check(options, () => checkContainerNames(project, locate), project)),
  ];
  let project = buildProject(tree, { name, found });
  for (const step of steps) {
    options.signal?.throwIfAborted();
    project = await step(project);
  }
  warnDuplicatePorts(project, tree, warnings);
  return { project, warnings: warnings.all, tree, origins: found.origins, placeOf: (path) => locate(path).where };
};

/**
 * The merged, canonical and (unless switched off) normalised model, before binding: what
 * `config --no-interpolate` prints.
 */
export const loadTree = async (options: LoadOptions, warnings: Warnings): Promise<{ tree: MapNode; name: string; found: Discovered }> => {
  const found = await discover(options, warnings);
  const context: LoadContext = {
    budget: new Budget(),
    warnings,
    stdin: options.stdin ?? noStdin,
    fetchFile: options.fetchFile,
    signal: options.signal,
    interpolate: options.interpolate !== false,
    validate: options.validate !== false,
    cache: new Map(),
    extended: new WeakMap(),
    objectVariables: new Map(),
  };
  const name = await finalName(options, found, context);
  const environment = new Map([...found.environment, ['COMPOSE_PROJECT_NAME', name] as const]);
  const model = await loadModel(
    {
      files: found.files,
      folder: found.workingDir,
      base: found.workingDir,
      environment,
      including: [],
      resolvePaths: options.resolvePaths !== false,
    },
    context,
  );
  if (model.entries.size === 0) {
    throw new HyprError('COMPOSE_INVALID', `${found.files.join(', ')}: the Compose file is empty`, { hint: 'start with "services:"' });
  }
  const all = { ...found, environment: new Map([...context.objectVariables, ...found.environment]) };
  if (options.normalize === false) {
    const named = options.projectName || environmentName(found) ? undefined : stringOf(model.entries.get('name'));
    return { tree: withEntries(model, { name: undefined }), name: named || name, found: all };
  }
  return { tree: normalize(model, { name, environment: context.interpolate ? environment : new Map() }), name, found: all };
};

const environmentName = (found: Discovered): string | undefined => found.environment.get('COMPOSE_PROJECT_NAME');

const finalName = async (options: LoadOptions, found: Discovered, context: LoadContext): Promise<string> => {
  const name = projectName(options, found, options.projectName ? undefined : await nameInFiles(found, context));
  if (options.nameFor === undefined || options.projectName || environmentName(found) || found.files.includes('-')) {
    return name;
  }
  const services = new Set<string>();
  for (const file of found.files) {
    for (const { root } of (await readParsed(file, context)).documents) {
      const node = root.kind === 'map' ? root.entries.get('services') : undefined;
      for (const service of node?.kind === 'map' ? node.entries.keys() : []) {
        services.add(service);
      }
    }
  }
  return options.nameFor({ name, workingDir: found.workingDir, services: [...services].sort() });
};

/** The last `name:` of the project's own files, with its variables filled in. */
const nameInFiles = async (found: Discovered, context: LoadContext): Promise<{ text: string; mark: Mark } | undefined> => {
  let last: { text: string; mark: Mark } | undefined;
  for (const file of found.files) {
    for (const [index, { root }] of (await readParsed(file, context)).documents.entries()) {
      const node = root.kind === 'map' ? root.entries.get('name') : undefined;
      const text = stringOf(node);
      if (node !== undefined && index === 0 && last === undefined) {
        refuseNoName(node);
      }
      if (node !== undefined && text) {
        last = { text: context.interpolate ? fillName(text, node.mark, found.environment) : text, mark: node.mark };
      }
    }
  }
  return last;
};

/** What no text can be made of, as docker compose does it: also where the structure of the file is not checked (`config --variables`). */
const refuseNoName = (node: Node): void => {
  if (node.kind !== 'scalar' || node.date === true) {
    const found = node.kind === 'scalar' ? 'a date' : describeKind(node);
    throw errorAt('COMPOSE_INVALID', `name: must be a string, not ${found}`, { mark: node.mark });
  }
};

const fillName = (text: string, mark: Mark, environment: ReadonlyMap<string, string>): string => {
  try {
    return substitute(text, { lookup: (variable) => environment.get(variable) });
  } catch (error) {
    if (error instanceof TemplateError) {
      throw errorAt('COMPOSE_INTERPOLATION', `name: ${error.message}`, { mark });
    }
    throw error;
  }
};

const check = (options: LoadOptions, run: () => void, project: Project): Project => {
  if (options.consistency !== false) {
    run();
  }
  return project;
};

const locator =
  (tree: MapNode): Locate =>
  (path) => {
    const { node, depth } = nearestNode(tree, path);
    const mark = depth === path.length && node.kind !== 'scalar' ? (node.keyMark ?? node.mark) : node.mark;
    return mark.offset < 0 ? { where: placeOfMark(mark) } : { where: placeOfMark(mark), details: mark.source.excerptAt(mark.offset) };
  };

const noStdin = (): Promise<Uint8Array> =>
  Promise.reject(new HyprError('HYPR_USAGE', '-f - reads the Compose file from standard input, which is closed'));
