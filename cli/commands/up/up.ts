import { HyprError, isAbort } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { Stack, UpOptions } from '../../../engine/model/types.ts';
import type { Handler, Invocation } from '../../core/command-spec.ts';
import { movesPorts, withMovablePorts } from '../../core/move-ports.ts';
import { parallelLimit } from '../../core/parallel.ts';
import { checkServices, isSet, loadBuildable, openStack, projectEnv } from '../../core/project.ts';
import { settingOf } from '../../core/settings.ts';
import { canAnimate } from '../../core/style.ts';
import { checkUpFlags, createOptions, parseScale, upOptions } from '../../core/up-options.ts';
import { createBuildingRenderer } from '../../render/with-builds.ts';
import type { AttachedUp } from '../../session/attached-up.ts';
import { interruptedUp } from '../../session/interrupted-up.ts';
import { ensureSetUp } from '../first-setup.ts';
import { startProviders } from '../providers.ts';
import { confirmRemoteStack } from '../remote-stack.ts';
import { tellMovedPorts, upEvents } from './events.ts';
import { recreatedVolumes } from './volume-changes.ts';

/** Flags with which `up` does not stay. */
const DETACHED = ['detach', 'wait', 'no-start', 'dry-run'] as const;

/** `up`: in the background, as a stream of logs, or as the dashboard. */
export const runUp: Handler = async (invocation) => {
  const { flags } = invocation;
  checkUpFlags(flags);
  // Before anything is set up, which may take minutes.
  const isDashboard = !DETACHED.some((name) => flags.bool(name)) && wantsDashboard(invocation);
  const begun = await begin(invocation);
  if ('code' in begun) {
    return begun.code;
  }
  const { loaded, project, services } = begun;
  const asked = withEnvironment(upOptions(flags, services), invocation, project);
  const options = { ...asked, ...(await recreatedVolumes(invocation, project)) };
  checkServices([...Object.keys(options.scale), ...flags.list('attach'), ...flags.list('no-attach')], project.services);
  const from = flags.string('exit-code-from');
  checkServices(from ? [from] : [], project.services);
  return openStack(invocation, project.name, async (stack) => {
    if (flags.bool('dry-run')) {
      return printPlan(invocation, stack, project, options);
    }
    if (flags.bool('detach') || options.wait || options.noStart) {
      return upDetached({ invocation, stack, project, loaded, options });
    }
    if (isDashboard) {
      const { runDashboard } = await import('../../dashboard/run-dashboard.tsx');
      return runDashboard({ invocation, stack, project, loaded, options });
    }
    const { upAttached } = await import('./attached.ts');
    return upAttached({ invocation, stack, project, loaded, options });
  });
};

/** The model, once the user has agreed to it and its providers run; or the exit code where there is nothing to do. */
const begin = async (
  invocation: Invocation,
): Promise<{ readonly code: number } | (Pick<AttachedUp, 'project' | 'loaded'> & { readonly services: string[] })> => {
  const { args, flags } = invocation;
  const { project: asWritten, loaded } = await loadMovable(invocation, args);
  if (!(await confirmRemoteStack(invocation, loaded, flags.bool('yes') || flags.bool('dry-run')))) {
    return { code: 1 };
  }
  const project = await startProviders(invocation, asWritten);
  const services = args.filter((name) => asWritten.services[name]?.provider === undefined);
  return services.length === 0 && args.length > 0 ? { code: 0 } : { loaded, project, services };
};

const loadMovable = async (invocation: Invocation, services: readonly string[]): Promise<Pick<AttachedUp, 'project' | 'loaded'>> => {
  const moves = movesPorts(invocation.flags, invocation.context);
  const loaded = await loadBuildable(invocation, services);
  if (!invocation.flags.bool('dry-run')) {
    await ensureSetUp(invocation.context, invocation.flags);
  }
  return { loaded, project: moves ? withMovablePorts(loaded) : loaded };
};

/** `create`: everything of `up` but the start. */
export const runCreate: Handler = async (invocation) => {
  const { flags } = invocation;
  if (flags.bool('build') && flags.bool('no-build')) {
    throw new HyprError('HYPR_USAGE', '--build and --no-build cannot be given together');
  }
  const begun = await begin(invocation);
  if ('code' in begun) {
    return begun.code;
  }
  const { loaded, project, services } = begun;
  const asked = withEnvironment(createOptions(flags, services), invocation, project);
  const options = { ...asked, ...(await recreatedVolumes(invocation, project)) };
  checkServices(Object.keys(options.scale), project.services);
  return openStack(invocation, project.name, (stack) =>
    flags.bool('dry-run') ? printPlan(invocation, stack, project, options) : upDetached({ invocation, stack, project, loaded, options }),
  );
};

/** `scale web=3`: an `up` of these services that leaves existing replicas as they are. */
export const runScale: Handler = async (invocation) => {
  const scale = parseScale(invocation.args);
  const services = Object.keys(scale);
  const { project, loaded } = await loadMovable(invocation, services);
  const options = { ...UP_DEFAULTS, services, scale, noRecreate: true, noDeps: invocation.flags.bool('no-deps') };
  return openStack(invocation, project.name, (stack) => upDetached({ invocation, stack, project, loaded, options }));
};

const upDetached = async ({ invocation, stack, project, loaded, options }: AttachedUp): Promise<number> => {
  const { context, flags } = invocation;
  const renderer = await createBuildingRenderer(context, flags, invocation.command.name);
  try {
    await stack.up(project, options, upEvents(renderer, flags), context.interrupts.signal);
    await tellMovedPorts(invocation, stack, loaded, renderer);
  } catch (error) {
    throw context.interrupts.signal.aborted && isAbort(error) ? interruptedUp(options.noStart, error) : error;
  } finally {
    renderer.close();
  }
  if (!options.noStart && context.stderr.isTTY) {
    const { saySummary } = await import('../../session/say-summary.ts');
    await saySummary(context, stack);
  }
  return 0;
};

const printPlan = async ({ context }: Invocation, stack: Stack, project: Project, options: UpOptions): Promise<number> => {
  const plan = await stack.plan(project, options);
  context.stdout.write(plan.endsWith('\n') || plan === '' ? plan : `${plan}\n`);
  return 0;
};

/** The dashboard needs a terminal on all sides; COMPOSE_MENU=0, --menu=false, the setting `up` and CI say no. */
const wantsDashboard = ({ context, flags }: Invocation): boolean => {
  const asked = flags.tristate('ui') ?? flags.tristate('menu');
  const refused = asked === false || flags.bool('no-ui') || flags.bool('stream') || usesStreamFlags(flags);
  const terminal = context.stdin.isTTY === true && canAnimate(context.stdout, context.env);
  if (asked === true && !terminal) {
    throw new HyprError('HYPR_USAGE', 'the dashboard needs a terminal for input and output', {
      hint: 'leave --ui away, or use: hypr up -d',
    });
  }
  if (refused || !terminal || flags.string('ansi') === 'never' || flags.bool('no-ansi')) {
    return false;
  }
  const { COMPOSE_MENU: menu, CI: inCi } = context.env;
  const wanted = menu ? !/^(0|false)$/i.test(menu) : settingOf(context.settings, 'up') === 'dashboard';
  return asked === true || (wanted && !inCi);
};

/** Flags that are about the stream of logs, or about ending with it. */
const usesStreamFlags = (flags: Invocation['flags']): boolean =>
  ['abort-on-container-exit', 'abort-on-container-failure', 'no-color', 'no-log-prefix', 'timestamps'].some((name) => flags.bool(name)) ||
  flags.string('exit-code-from') !== undefined;

/** What COMPOSE_* variables say, those of the project's .env included, and flags of all commands. */
const withEnvironment = (options: UpOptions, { context, flags }: Invocation, project: Project): UpOptions => {
  const env = projectEnv(context, project);
  return {
    ...options,
    ...(isSet(env, 'COMPOSE_REMOVE_ORPHANS') ? { removeOrphans: true } : {}),
    ...(isSet(env, 'COMPOSE_IGNORE_ORPHANS') ? { ignoreOrphans: true } : {}),
    ...parallelLimit(flags, env),
  };
};
