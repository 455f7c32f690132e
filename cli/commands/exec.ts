import { HyprError } from '../../base/errors.ts';
import type { ExecOptions, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { findMachines } from '../core/machines.ts';
import { checkServices, findStack, openStack } from '../core/project.ts';
import { carrySession, sizeOf } from '../session/session.ts';
import { readVariables } from './run.ts';
import { servicesOf } from './verbs.ts';

/** `exec`: forwards bytes unchanged, with a raw terminal if there is one; exits with the command's exit code. */
export const runExec: Handler = async (invocation) => {
  const { context } = invocation;
  const options = await execOptions(invocation);
  const { machines, here } = await findMachines(invocation, [options.service]);
  const [machine] = machines;
  if (machine !== undefined) {
    const { service, number } = machine.status;
    return openStack(invocation, machine.stack, (stack) => execIn(stack, { ...options, service, index: number }, context));
  }
  const { name, project } = here ?? (await findStack(invocation));
  return openStack(invocation, name, async (stack) => {
    checkServices([options.service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    return execIn(stack, options, context);
  });
};

const execIn = async (stack: Stack, options: ExecOptions, context: CliContext): Promise<number> => {
  const session = await stack.exec(options, context.interrupts.signal).catch((error: unknown) => Promise.reject(withShell(error, options)));
  try {
    return options.detach ? 0 : await carrySession(session, { ...options, closeInput: true, detachKeys: undefined }, context);
  } finally {
    session.close();
  }
};

/** Small images have no bash, which is what is tried first. */
const withShell = (error: unknown, { service, args: [program] }: ExecOptions): unknown =>
  error instanceof HyprError && error.code === 'GUEST_EXEC' && error.hint === undefined && program === 'bash'
    ? new HyprError(error.code, error.message, {
        ...error.toJSON(),
        cause: error,
        hint: `most small images have sh: hypr exec ${service} sh`,
      })
    : error;

const execOptions = async ({ context, args, flags }: Invocation): Promise<ExecOptions> => {
  const [service = '', ...command] = args;
  const detach = flags.bool('detach');
  const tty = !detach && !flags.bool('no-tty') && context.stdin.isTTY === true && context.stdout.isTTY === true;
  const ofFiles = await readVariables(context, flags.list('env-file'), context.env);
  return {
    service,
    index: flags.int('index'),
    args: command,
    env: [
      ...Object.entries(ofFiles).map(([key, value]) => `${key}=${value}`),
      ...flags.list('env').map((entry) => withValue(entry, context.env)),
    ],
    user: flags.string('user'),
    workdir: flags.string('workdir'),
    tty,
    stdin: !detach && flags.tristate('interactive') !== false,
    detach,
    privileged: flags.bool('privileged'),
    size: tty ? sizeOf(context) : undefined,
  };
};

/** A bare name takes the caller's value; where there is none it stays bare, and the program gets no such variable. */
const withValue = (entry: string, env: NodeJS.ProcessEnv): string =>
  entry.includes('=') || env[entry] === undefined ? entry : `${entry}=${env[entry]}`;
