import { HyprError } from '../../base/errors.ts';
import type { GuestProcess, ProcessSpec } from '../../guest/types.ts';
import type { ExecOptions } from '../model/types.ts';
import type { Replica } from '../replica/replica.ts';
import type { Run } from '../replica/run.ts';
import { unknownService } from '../resolve/dependencies.ts';
import type { StackSupervisor } from './supervisor.ts';

/** Runs a further program in a replica of a service: its environment, user and folder are the workload's unless said otherwise. */
export const execInService = async (supervisor: StackSupervisor, options: ExecOptions, signal: AbortSignal): Promise<GuestProcess> => {
  const { run, row } = pickRunning(supervisor, options);
  return run.guest.spawn(execProcess(row.spec.process, options), signal);
};

type Place = Pick<ExecOptions, 'service' | 'index'>;

/** The replica that a command means, which has to run. Throws STACK_NOT_RUNNING or COMPOSE_NO_SERVICE. */
export const pickRunning = (supervisor: StackSupervisor, place: Place): Replica & { readonly run: Run } => {
  const replica = pickReplica(supervisor, place);
  const { run, row } = replica;
  if (run?.process === undefined || row.state === 'paused') {
    throw new HyprError('STACK_NOT_RUNNING', `service "${place.service}" is not running`, {
      hint: HINTS[row.state] ?? 'start it: hypr compose up -d',
    });
  }
  return replica as Replica & { readonly run: Run };
};

const HINTS: Readonly<Record<string, string>> = {
  paused: 'it is paused: hypr compose unpause',
  suspended: 'it is suspended: hypr compose resume',
};

/** The service's own replicas before its one-offs; `--index` picks by number. */
const pickReplica = (supervisor: StackSupervisor, options: Place): Replica => {
  const all = [...supervisor.replicas.values()].filter(({ row }) => row.service === options.service);
  const candidates = all
    .filter(({ row }) => options.index === undefined || row.number === options.index)
    .sort((a, b) => Number(a.row.oneOff) - Number(b.row.oneOff) || a.row.number - b.row.number);
  const picked = candidates.find(({ run }) => run?.process !== undefined) ?? candidates[0];
  if (picked === undefined) {
    const project = supervisor.project();
    if (all.length === 0 && project !== undefined && project.services[options.service] === undefined) {
      throw unknownService(project, options.service);
    }
    throw new HyprError(
      'STACK_NOT_RUNNING',
      `service "${options.service}" is not running${options.index === undefined ? '' : ` container #${options.index}`}`,
    );
  }
  return picked;
};

/** What runs beside a workload: as it, where nothing else is said. */
export const execProcess = (workload: ProcessSpec, options: Omit<ExecOptions, 'service' | 'index' | 'detach'>): ProcessSpec => {
  const names = new Set(options.env.map((entry) => entry.split('=', 1)[0]));
  return {
    ...workload,
    args: options.args,
    env: [...workload.env.filter((entry) => !names.has(entry.split('=', 1)[0])), ...options.env],
    cwd: options.workdir ?? workload.cwd,
    user: options.user ?? workload.user,
    tty: options.tty,
    stdin: options.stdin,
    ...(options.size ? { size: options.size } : {}),
    privileged: options.privileged || workload.privileged === true,
  };
};
