import { SyntaxFault } from '../dockerfile/errors.ts';
import { ExpandError } from '../dockerfile/expand.ts';
import type { ArgInstruction, Dockerfile, SourceRange, Stage } from '../dockerfile/instruction.ts';
import { expandMount, type Mount, type ParsedMount } from '../dockerfile/mount.ts';
import { findStage, findTarget, parseDockerfile } from '../dockerfile/parse.ts';
import type { BuildRequest } from '../model/types.ts';
import { resolveGlobals } from './frame/globals.ts';
import { resolveArg } from './frame/metadata.ts';
import { hostPlatform, parsePlatform } from './frame/platform.ts';
import { type LookOptions, readDefinition } from './sources/look.ts';

interface Location {
  readonly ranges: ReadonlyArray<{ readonly start: { readonly line: number }; readonly end: { readonly line: number } }>;
}

interface Described {
  readonly name: string;
  readonly description?: string;
  readonly location: Location;
}

/** `--call=outline`: what a target takes. The keys are those of BuildKit's `frontend.outline`. */
export interface BuildOutline {
  readonly name?: string;
  readonly description?: string;
  readonly args?: ReadonlyArray<Described & { readonly value?: string }>;
  readonly secrets?: ReadonlyArray<Described & { readonly required?: true }>;
  readonly ssh?: ReadonlyArray<Described & { readonly required?: true }>;
  readonly cache?: ReadonlyArray<{ readonly ID: string; readonly location: Location }>;
  /** The Dockerfile, base64. */
  readonly sources: readonly string[];
}

/** `--call=targets`: the stages. The keys are those of BuildKit's `frontend.targets`. */
export interface BuildTargets {
  readonly targets: ReadonlyArray<Partial<Described> & { readonly default?: true; readonly base?: string; readonly platform?: string }>;
  readonly sources: readonly string[];
}

/** Reads the Dockerfile only, which is fetched first when the context is no folder. Throws as readDefinition, DOCKERFILE_SYNTAX. */
export const describeTargets = async (request: BuildRequest, options: LookOptions): Promise<BuildTargets> => {
  const { dockerfile, source } = await load(request, options);
  const targets = dockerfile.stages.map(({ from, index }) => ({
    ...(from.name === undefined ? {} : { name: from.name }),
    ...(index === dockerfile.stages.length - 1 ? { default: true as const } : {}),
    ...describe(from.comments, from.name),
    base: from.image,
    ...(from.platform === undefined ? {} : { platform: from.platform }),
    location: locate(from.range),
  }));
  return { targets, sources: [source] };
};

/** The arguments, secrets and cache mounts of a target and of all stages it needs. Throws as describeTargets. */
export const outlineBuild = async (request: BuildRequest, options: LookOptions): Promise<BuildOutline> => {
  const { dockerfile, source } = await load(request, options);
  const target = findTarget(dockerfile, request.target);
  const stages = reachable(dockerfile, target);
  const mounts = stages.flatMap(mountsOf);
  const args = argsOf(dockerfile, request, stages);
  const secrets = unique(mounts.filter(({ mount }) => mount.type === 'secret').map(toNeed));
  const ssh = unique(mounts.filter(({ mount }) => mount.type === 'ssh').map(toNeed));
  const cache = mounts.flatMap(({ mount, location }) => (mount.type === 'cache' ? { ID: mount.id ?? mount.target ?? '', location } : []));
  return {
    ...(target.from.name === undefined ? {} : { name: target.from.name }),
    ...describe(target.from.comments, target.from.name),
    ...(args.length === 0 ? {} : { args }),
    ...(secrets.length === 0 ? {} : { secrets }),
    ...(ssh.length === 0 ? {} : { ssh }),
    ...(cache.length === 0 ? {} : { cache }),
    sources: [source],
  };
};

const load = async (request: BuildRequest, options: LookOptions): Promise<{ dockerfile: Dockerfile; source: string }> => {
  const { text, file } = await readDefinition(request, options);
  return { dockerfile: parseDockerfile(text, file), source: Buffer.from(text).toString('base64') };
};

const locate = ({ line, endLine }: SourceRange): Location => ({ ranges: [{ start: { line }, end: { line: endLine } }] });

/** The comment above an instruction that begins with the name of what it describes. */
const describe = (comments: readonly string[], name: string | undefined): { description?: string } => {
  const line =
    name === undefined
      ? undefined
      : comments.map((text) => text.trim()).find((text) => text.toLowerCase().startsWith(`${name.toLowerCase()} `));
  return line === undefined || name === undefined ? {} : { description: line.slice(name.length + 1).trim() };
};

/** A stage and those it is made from, in the order of the file. */
const reachable = ({ stages }: Dockerfile, target: Stage): Stage[] => {
  const found = new Set<Stage>();
  const visit = (stage: Stage): void => {
    if (found.has(stage)) {
      return;
    }
    found.add(stage);
    const earlier = stages.slice(0, stage.index);
    const copies = stage.instructions.flatMap((each) => (each.kind === 'copy' && each.from !== undefined ? [each.from] : []));
    const names = [stage.from.image, ...copies, ...mountSources(stage)];
    for (const source of names.map((name) => findStage(earlier, name))) {
      if (source !== undefined) {
        visit(source);
      }
    }
  };
  visit(target);
  return stages.filter((stage) => found.has(stage));
};

const mountSources = (stage: Stage): string[] =>
  stage.instructions.flatMap((each) => (each.kind === 'run' ? each.mounts.flatMap(({ from }) => from ?? []) : []));

interface FoundMount {
  readonly mount: Mount;
  readonly location: Location;
}

/** Variables in mounts are left as they stand: their values are known only when the build runs. */
const mountsOf = (stage: Stage): FoundMount[] =>
  stage.instructions.flatMap((each) =>
    each.kind === 'run'
      ? each.mounts.flatMap((parsed) => readMount(parsed) ?? []).map((mount) => ({ mount, location: locate(each.range) }))
      : [],
  );

/** A mount whose values make no sense without its variables is left out. */
const readMount = (parsed: ParsedMount): Mount | undefined => {
  try {
    return expandMount(parsed, (value) => value);
  } catch (error) {
    if (error instanceof SyntaxFault) {
      return undefined;
    }
    throw error;
  }
};

const toNeed = ({ mount, location }: FoundMount): Described & { readonly required?: true } => ({
  name: mount.id ?? mount.source ?? (mount.type === 'ssh' ? 'default' : (mount.target?.replace(/^.*\//, '') ?? '')),
  ...(mount.required ? { required: true as const } : {}),
  location,
});

/** One entry per name; later entries fill in what the first leaves open. */
const unique = <T extends Described>(items: readonly T[]): T[] => {
  const found = new Map<string, T>();
  for (const item of items) {
    found.set(item.name, { ...found.get(item.name), ...item });
  }
  return [...found.values()];
};

/** ARGs of the stages, and those before the first FROM that a FROM names; with the value they would have. */
const argsOf = (dockerfile: Dockerfile, request: BuildRequest, stages: readonly Stage[]): Array<Described & { value?: string }> => {
  const platform = request.platform === undefined ? hostPlatform() : parsePlatform(request.platform);
  const globals = resolveGlobals(dockerfile, request, platform);
  const froms = stages.map(({ from }) => `${from.image} ${from.platform ?? ''}`).join(' ');
  const isNamed = (name: string) => froms.includes(`$${name}`) || froms.includes(`\${${name}`);
  const outer = dockerfile.globalArgs.flatMap((line) => entriesOf(line).filter(({ name }) => isNamed(name)));
  const inner = stages.flatMap((stage) => stage.instructions.flatMap((each) => (each.kind === 'arg' ? entriesOf(each) : [])));
  const values = new Map<string, string | undefined>();
  const context = { escape: dockerfile.directives.escape, buildArgs: request.buildArgs, globals };
  const found = [...outer, ...inner].map(({ name, value, line }) => {
    try {
      values.set(
        name,
        resolveArg({ name, value }, (other) => values.get(other) ?? globals.get(other), context),
      );
    } catch (error) {
      // A value that depends on unset variables is unknown.
      if (!(error instanceof ExpandError)) {
        throw error;
      }
    }
    const result = values.get(name);
    return { name, ...describe(line.comments, name), ...(result === undefined ? {} : { value: result }), location: locate(line.range) };
  });
  return unique(found);
};

const entriesOf = (line: ArgInstruction) => line.args.map(({ name, value }) => ({ name, value, line }));
