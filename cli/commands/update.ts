import { HyprError } from '../../base/errors.ts';
import { parseBytes } from '../../compose/model/units.ts';
import { ApiError } from '../../engine/docker/http/errors.ts';
import { restartOf } from '../../engine/docker/machines/service-of.ts';
import type { ReplicaUpdate } from '../../engine/model/types.ts';
import { readRestart } from '../../engine/resolve/limits.ts';
import type { Handler } from '../core/command-spec.ts';
import type { Flags } from '../core/flags.ts';
import { needMachine } from '../core/machines.ts';
import { throwFailures } from '../core/print-error.ts';

/** `update NAME…`: each that can be changed is, whatever becomes of the others; prints their names. */
export const runUpdate: Handler = async ({ context, args, flags }) => {
  const update = readUpdate(flags);
  if (Object.keys(update).length === 0 && !hasOther(flags)) {
    throw new HyprError('HYPR_USAGE', 'you must provide one or more flags when using this command');
  }
  const objects = await (await context.engine()).openObjects();
  const failures: unknown[] = [];
  for (const name of args) {
    try {
      await objects.updateReplica(needMachine(objects, name).status.id, update);
      context.stdout.write(`${name}\n`);
    } catch (error) {
      failures.push(error);
    }
  }
  throwFailures(failures, `${failures.length} machines were not updated`);
  return 0;
};

/** What docker takes and a machine does not have, or what changes nothing: `--cpu-quota 0`. */
const hasOther = (flags: Flags): boolean =>
  ['memory-swap', 'memory-reservation'].some((name) => flags.string(name) !== undefined) ||
  ['cpu-quota', 'cpu-period'].some((name) => flags.int(name) !== undefined);

const readUpdate = (flags: Flags): ReplicaUpdate => {
  const [memory, restart, cpus] = [flags.string('memory'), flags.string('restart'), readProcessors(flags)];
  return {
    ...(memory === undefined ? {} : { memory: readBytes(memory) }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(restart === undefined ? {} : { restart: readRestart(readPolicy(restart)) }),
  };
};

const LEAST_MEMORY = 6 * 2 ** 20;

const readBytes = (text: string): number => {
  let bytes: number;
  try {
    bytes = parseBytes(text);
  } catch {
    throw new HyprError('HYPR_USAGE', `invalid argument "${text}" for "-m, --memory" flag: invalid size: '${text}'`);
  }
  if (bytes < LEAST_MEMORY) {
    throw new HyprError('HYPR_USAGE', 'Minimum memory limit allowed is 6MB');
  }
  return bytes;
};

const readPolicy = (text: string): string => {
  const [name = '', retries, ...rest] = text.split(':');
  if ((retries !== undefined && !/^\d+$/.test(retries)) || rest.length > 0) {
    throw new HyprError('HYPR_USAGE', 'invalid restart policy format: maximum retry count must be an integer');
  }
  try {
    return restartOf({ Name: name, MaximumRetryCount: Number(retries ?? 0) });
  } catch (error) {
    throw error instanceof ApiError ? new HyprError('HYPR_USAGE', error.message, { cause: error }) : error;
  }
};

const PERIOD_US = 100_000;

const readProcessors = (flags: Flags): number | undefined => {
  const [cpus, quota] = [flags.string('cpus'), flags.int('cpu-quota')];
  if (cpus !== undefined && !(/^\d*\.?\d+$/.test(cpus) && Number(cpus) > 0)) {
    throw new HyprError('HYPR_USAGE', `invalid argument "${cpus}" for "--cpus" flag: failed to parse ${cpus} as a rational number`);
  }
  if (cpus !== undefined) {
    return Number(cpus);
  }
  if (quota !== undefined && quota < 0) {
    throw new HyprError('HYPR_UNSUPPORTED', 'a machine has a number of processors, and cannot be without a limit of them', {
      hint: 'say how many: --cpus 4',
    });
  }
  // A period of 0 is docker's default.
  return quota === undefined || quota === 0 ? undefined : quota / (flags.int('cpu-period') || PERIOD_US);
};
