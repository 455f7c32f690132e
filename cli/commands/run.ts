import { resolve } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { readNamedFile } from '../../base/host/read-named.ts';
import { envFileOf, mountOf, portsOf } from '../../compose/index.ts';
import { splitWords } from '../../compose/model/shell-words.ts';
import type { RunOptions } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { isSet, loadBuildable, projectEnv } from '../core/project.ts';
import { parseLabels } from '../format/filters.ts';
import { runOneOff } from '../session/run-session.ts';
import { sizeOf } from '../session/session.ts';
import { startProviders } from './providers.ts';
import { confirmRemoteStack } from './remote-stack.ts';

const PULL = ['always', 'missing', 'never', 'policy', 'build'] as const;

/** `compose run`: a one-off replica of a service, beside those that `up` makes. */
export const runComposeRun: Handler = async (invocation) => {
  const { args, flags } = invocation;
  if (flags.bool('service-ports') && flags.list('publish').length > 0) {
    throw new HyprError('HYPR_USAGE', '--service-ports and --publish cannot be given together');
  }
  const [service = ''] = args;
  const asWritten = await loadBuildable(invocation, [service]);
  if (!(await confirmRemoteStack(invocation, asWritten, false))) {
    return 1;
  }
  const project = await startProviders(invocation, asWritten, { run: !flags.bool('no-deps') });
  const options = await runOptionsOf(invocation, projectEnv(invocation.context, project));
  const quiet = flags.bool('quiet');
  const quietLayers = flags.bool('quiet-pull');
  return runOneOff(invocation, {
    project,
    options,
    detachKeys: undefined,
    shows: (event) =>
      event.type === 'warning' ||
      event.type === 'refusal' ||
      (event.type === 'build'
        ? !quiet && !flags.bool('quiet-build')
        : event.type === 'progress' && !quiet && !(quietLayers && event.progress.parentId !== undefined)),
  });
};

const runOptionsOf = async ({ context, args, flags }: Invocation, env: NodeJS.ProcessEnv): Promise<RunOptions> => {
  const [service = '', ...command] = args;
  const detach = flags.bool('detach');
  const interactive = !detach && flags.tristate('interactive') !== false;
  // -t is docker's, and the default; -T says no.
  const tty = interactive && flags.tristate('no-tty') !== true && context.stdin.isTTY === true && context.stdout.isTTY === true;
  if ((flags.tristate('tty') === true || flags.tristate('no-tty') === false) && interactive && context.stdin.isTTY !== true) {
    throw new HyprError('HYPR_USAGE', 'cannot attach stdin to a TTY-enabled container because stdin is not a terminal', {
      hint: 'leave --tty away, or add --interactive=false',
    });
  }
  const pull = flags.choice('pull', PULL);
  return {
    service,
    name: flags.string('name'),
    args: command,
    ...sharedOptions(context, flags),
    env: await environmentOf(context, flags, env),
    servicePorts: flags.bool('service-ports'),
    useAliases: flags.bool('use-aliases'),
    tty,
    // Of a detached one nobody writes to it, and it stays open, as docker compose leaves it.
    stdin: flags.tristate('interactive') !== false,
    size: tty ? sizeOf(context) : undefined,
    detach,
    remove: flags.bool('rm') ? 'replica' : 'no',
    ordinary: false,
    noDeps: flags.bool('no-deps'),
    build: flags.bool('build') || pull === 'build',
    pull: pull === undefined || pull === 'build' ? 'policy' : pull,
    removeOrphans: flags.bool('remove-orphans') || isSet(env, 'COMPOSE_REMOVE_ORPHANS'),
    ignoreOrphans: isSet(env, 'COMPOSE_IGNORE_ORPHANS'),
  };
};

/** What `compose run` and `run` read alike. */
export const sharedOptions = (
  context: CliContext,
  flags: Flags,
): Pick<RunOptions, 'entrypoint' | 'labels' | 'volumes' | 'ports' | 'user' | 'workdir' | 'capAdd' | 'capDrop'> => {
  const { cwd, home } = context;
  return {
    entrypoint: entrypointOf(flags.string('entrypoint')),
    labels: parseLabels([...flags.list('label'), ...flags.list('labels')]),
    volumes: [...flags.list('volume'), ...flags.list('volumes')].map((spec) => mountOf(spec, { cwd, home })),
    ports: flags.list('publish').flatMap(portsOf),
    user: flags.string('user'),
    workdir: flags.string('workdir'),
    capAdd: flags.list('cap-add'),
    capDrop: flags.list('cap-drop'),
  };
};

/** A line of words, as a shell splits it; an empty one takes the image's away. */
const entrypointOf = (text: string | undefined): readonly string[] | undefined => {
  const words = text === undefined ? undefined : splitWords(text);
  if (text !== undefined && words === undefined) {
    throw new HyprError('HYPR_USAGE', `--entrypoint has a quote, backtick or parenthesis that is not closed: ${text}`);
  }
  return words;
};

/** Env files first, then `-e`; a bare name takes the value that the command has, or is left out. */
export const environmentOf = async (
  context: CliContext,
  flags: Flags,
  lookup: NodeJS.ProcessEnv,
  fileFlag = 'env-from-file',
): Promise<Record<string, string>> => {
  const result = await readVariables(context, flags.list(fileFlag), lookup);
  for (const entry of flags.list('env')) {
    const value = entry.includes('=') ? entry.slice(entry.indexOf('=') + 1) : lookup[entry];
    if (value !== undefined) {
      result[entry.split('=', 1)[0] ?? ''] = value;
    }
  }
  return result;
};

/** `KEY=VALUE` of files, the last of a key; a bare name takes the value of `lookup`. */
export const readVariables = async (
  context: CliContext,
  paths: readonly string[],
  lookup: NodeJS.ProcessEnv,
): Promise<Record<string, string>> => {
  const result: Record<string, string> = {};
  for (const path of paths) {
    const text = await readEnvFile(resolve(context.cwd, path), context.interrupts.signal);
    for (const [key, value] of envFileOf({ path, text }, lookup)) {
      result[key] = value;
    }
  }
  return result;
};

const MAX_ENV_FILE = 8 << 20;

const readEnvFile = async (path: string, signal: AbortSignal): Promise<string> => {
  try {
    return (await readNamedFile(path, { what: 'env file', maxBytes: MAX_ENV_FILE, pipes: true, signal })).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) {
      throw new HyprError('COMPOSE_ENV_FILE', `the env file ${path} cannot be read (${error.code})`, { cause: error });
    }
    throw error;
  }
};
