import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { describeOneOff } from '../../../engine/resolve/one-off.ts';
import type { Handler, Invocation } from '../../core/command-spec.ts';
import { findStack, isWithoutFile, openStack } from '../../core/project.ts';
import { prepare } from '../docker-run.ts';
import { runCreate } from './up.ts';

/** docker's `create IMAGE`; without an image, or with the name of a service of this place, docker compose's. */
export const runDockerCreate: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [first] = args;
  if (first === undefined || (await isServiceHere(invocation, first))) {
    return runCreate(invocation);
  }
  const { project, options } = await prepare(invocation);
  const whole = describeOneOff(project, options).project;
  const name = project.name;
  const service = { ...whole.services[name], container_name: name };
  const { pull } = options;
  return openStack(invocation, name, async (stack) => {
    const upOptions = { ...UP_DEFAULTS, noStart: true, pull: pull === 'always' || pull === 'never' ? pull : ('policy' as const) };
    await stack.up({ ...whole, services: { [name]: service } }, upOptions, () => {}, context.interrupts.signal);
    const [replica] = await stack.ps();
    context.stdout.write(`${replica?.id ?? ''}\n`);
    return 0;
  });
};

const isServiceHere = async (invocation: Invocation, name: string): Promise<boolean> => {
  if (invocation.path.includes('container')) {
    return false;
  }
  try {
    const { project } = await findStack(invocation);
    return project !== undefined && (Object.hasOwn(project.services, name) || Object.hasOwn(project.disabledServices, name));
  } catch (error) {
    if (isWithoutFile(error)) {
      return false;
    }
    throw error;
  }
};
