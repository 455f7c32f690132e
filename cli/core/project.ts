import { HyprError } from '../../base/errors.ts';
import { NO_COMPOSE_FILE } from '../../compose/files/file-names.ts';
import type { Project } from '../../compose/model/model.ts';
import { closest } from '../../compose/model/suggest.ts';
import type { Stack } from '../../engine/model/types.ts';
import type { CommandSpec, Invocation } from './command-spec.ts';
import type { CliContext, ProjectOptions } from './context.ts';
import { warn } from './output.ts';

/** Commands that bring a stack up: its name is this folder's from then on (engine/client/checkouts.ts). */
const CLAIMING: ReadonlySet<string> = new Set(['up', 'create', 'run', 'watch']);

/** The global flags in the loader's form. */
export const projectOptions = ({ context, command, flags }: Invocation, services: readonly string[] = []): ProjectOptions => ({
  files: flags.list('file'),
  projectName: flags.string('project-name'),
  projectDirectory: flags.string('project-directory') ?? (hasOwn(command, 'workdir') ? undefined : flags.string('workdir')),
  envFiles: flags.list('env-file'),
  profiles: flags.list('profile'),
  services,
  allResources: flags.bool('all-resources'),
  compatibility: flags.bool('compatibility') || isSet(context.env, 'COMPOSE_COMPATIBILITY'),
  insecureRegistries: flags.list('insecure-registry'),
  claimsName: CLAIMING.has(command.name),
  env: context.env,
  cwd: context.cwd,
});

/** `exec -w` is a folder in the service, while the global flag of that name is an old one for the project's folder. */
const hasOwn = (command: CommandSpec, flag: string): boolean => command.flags?.some((spec) => spec.name === flag) === true;

/** Loads the model; unknown services are an error with a suggestion. */
export const loadProject = (invocation: Invocation, services: readonly string[] = []): Promise<Project> =>
  loadWith(invocation, projectOptions(invocation, services));

/** Like loadProject, for commands that may build: what cannot be built is refused with its location. */
export const loadBuildable = (invocation: Invocation, services: readonly string[] = []): Promise<Project> =>
  loadWith(invocation, { ...projectOptions(invocation, services), builds: true });

const loadWith = async ({ context }: Invocation, options: ProjectOptions): Promise<Project> => {
  const { services } = options;
  const project = await context.loadProject(options);
  checkServices(services, { ...project.services, ...project.disabledServices });
  return project;
};

/** `project` is undefined where the stack is known by name only. */
export interface FoundStack {
  readonly name: string;
  readonly project: Project | undefined;
}

/**
 * The stack a command refers to. As in docker compose, `-p NAME` (or COMPOSE_PROJECT_NAME, without a file) is enough;
 * then there is no model, only the recorded state.
 */
export const findStack = async (invocation: Invocation, services: readonly string[] = []): Promise<FoundStack> => {
  const { context, flags } = invocation;
  const name = flags.string('project-name');
  if (name && flags.list('file').length === 0) {
    return { name: checkStackName(name), project: undefined };
  }
  try {
    const project = await context.loadProject({ ...projectOptions(invocation, services), resolveEnv: false, uniqueNames: false });
    return { name: project.name, project };
  } catch (error) {
    const fromEnv = context.env.COMPOSE_PROJECT_NAME;
    if (fromEnv && error instanceof HyprError && error.code === 'COMPOSE_NOT_FOUND') {
      return { name: checkStackName(fromEnv), project: undefined };
    }
    throw error;
  }
};

/** Whether no Compose file was named and there is none here. One that is named and missing is a mistake. */
export const isWithoutFile = (error: unknown): boolean =>
  error instanceof HyprError && error.code === 'COMPOSE_NOT_FOUND' && error.reason === NO_COMPOSE_FILE;

/** Only the name, for commands that need nothing else of the model. */
export const findStackName = async (invocation: Invocation): Promise<string> => (await findStack(invocation)).name;

/** Opens the stack of a command that needs no model, runs `work`, closes it on every path. */
export const withStack = async <T>(
  invocation: Invocation,
  work: (stack: Stack, project: Project | undefined) => Promise<T>,
  /** Named on the command line: their profiles are switched on. */
  services: readonly string[] = [],
): Promise<T> => {
  const { name, project } = await findStack(invocation, services);
  return openStack(invocation, name, (stack) => work(stack, project));
};

export const openStack = async <T>({ context }: Invocation, name: string, work: (stack: Stack) => Promise<T>): Promise<T> => {
  const engine = await context.engine();
  const stack = await engine.openStack({ name, onNotice: (message) => warn(context.stderr, message) });
  try {
    return await work(stack);
  } finally {
    await stack.close();
  }
};

/** Throws COMPOSE_NO_SERVICE for the first name that is not a key of `known`. */
export const checkServices = (names: readonly string[], known: Readonly<Record<string, unknown>>): void => {
  for (const name of names) {
    if (!Object.hasOwn(known, name)) {
      const guess = closest(name, Object.keys(known));
      const there = Object.keys(known).sort().join(', ');
      throw new HyprError('COMPOSE_NO_SERVICE', `no such service: ${name}`, {
        hint: guess ? `did you mean ${guess}?` : there ? `services are: ${there}` : 'the stack has no services',
      });
    }
  }
};

const checkStackName = (name: string): string => {
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(name)) {
    throw new HyprError('HYPR_USAGE', `"${name}" cannot be the name of a stack`, {
      hint: 'use lower-case letters, digits, "-" and "_", starting with a letter or digit',
    });
  }
  return name;
};

/** Whether a COMPOSE_* switch is on. */
export const isSet = (env: NodeJS.ProcessEnv, name: string): boolean => /^(1|true)$/i.test(env[name] ?? '');

/** Variables of the command, and those of the project's .env that it does not have. */
export const projectEnv = ({ env }: Pick<CliContext, 'env'>, project: Pick<Project, 'environment'> | undefined): NodeJS.ProcessEnv => ({
  ...project?.environment,
  ...env,
});
