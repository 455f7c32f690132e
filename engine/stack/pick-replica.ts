import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import type { ExecOptions } from '../model/types.ts';
import type { Run } from '../replica/boot/run.ts';
import type { Replica } from '../replica/replica.ts';
import { unknownService } from '../resolve/dependencies.ts';

/** What to pick from. */
export interface Replicas {
  readonly replicas: ReadonlyMap<string, Replica>;
  /** The model of the stack, if it is known. */
  project(): Project | undefined;
}

type Place = Pick<ExecOptions, 'service' | 'index'>;

/** The replica that a command like exec or cp means; it has to run. Throws STACK_NOT_RUNNING, COMPOSE_NO_SERVICE, or GUEST_SILENT. */
export const pickRunning = (from: Replicas, place: Place): Replica & { readonly run: Run } => needRunning(pickReplica(from, place));

/** Throws STACK_NOT_RUNNING, GUEST_SILENT. */
export const needRunning = (replica: Replica): Replica & { readonly run: Run } => {
  const { run, row } = replica;
  replica.adoption.refuse();
  if (run?.process === undefined || row.state === 'paused') {
    throw new HyprError('STACK_NOT_RUNNING', `service "${row.service}" is not running`, {
      hint: HINTS[row.state] ?? `start it: hypr up -d ${row.service}`,
    });
  }
  return replica as Replica & { readonly run: Run };
};

const HINTS: Readonly<Record<string, string>> = {
  paused: 'it is paused: hypr compose unpause',
  suspended: 'it is suspended: hypr compose resume',
};

/** Prefers the service's own replicas to its one-offs; `--index` picks by number. */
export const pickReplica = (from: Replicas, options: Place): Replica => {
  const all = [...from.replicas.values()].filter(({ row }) => row.service === options.service);
  const candidates = all
    .filter(({ row }) => options.index === undefined || (row.number === options.index && !row.oneOff))
    .sort((a, b) => Number(a.row.oneOff) - Number(b.row.oneOff) || a.row.number - b.row.number);
  const picked = candidates.find(({ run }) => run?.process !== undefined) ?? candidates[0];
  if (picked === undefined) {
    const project = from.project();
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
