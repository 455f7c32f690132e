import { HyprError } from '../../base/errors.ts';
import type { Service } from '../../compose/model/model.ts';
import { parseBytes, parseDuration } from '../../compose/model/units.ts';
import type { RestartPolicy } from '../model/spec.ts';

/** `deploy.restart_policy` wins over `restart`, as in docker compose. */
export const resolveRestart = (service: Service): RestartPolicy => {
  const policy = service.deploy?.restart_policy;
  if (policy !== undefined) {
    const conditions: Record<string, RestartPolicy['condition']> = { none: 'no', 'on-failure': 'on-failure', any: 'always' };
    return {
      condition: conditions[policy.condition ?? 'any'] ?? 'always',
      maxAttempts: policy.max_attempts ?? 0,
      delay: policy.delay === undefined ? FIRST_PAUSE_MS : parseDuration(policy.delay),
    };
  }
  const [condition = 'no', attempts] = (service.restart ?? 'no').split(':');
  return { condition: condition as RestartPolicy['condition'], maxAttempts: Number(attempts ?? 0), delay: FIRST_PAUSE_MS };
};

const FIRST_PAUSE_MS = 100;

/** `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:N`. Throws HYPR_USAGE. */
export const readRestart = (text: string): RestartPolicy => {
  const [, condition, attempts = '0'] = /^(no|always|unless-stopped|on-failure)(?::(\d{1,9}))?$/.exec(text) ?? [];
  if (condition === undefined || (attempts !== '0' && condition !== 'on-failure')) {
    throw new HyprError('HYPR_USAGE', `invalid restart policy: "${text}"`, {
      hint: 'use no, always, unless-stopped, on-failure or on-failure:N',
    });
  }
  return { condition: condition as RestartPolicy['condition'], maxAttempts: Number(attempts), delay: FIRST_PAUSE_MS };
};

export const vcpusOf = (service: Service): number | undefined => {
  const wanted = service.cpus ?? service.deploy?.resources?.limits?.cpus ?? (service.cpu_count as number | undefined);
  return wanted === undefined ? undefined : wholeProcessors(Number(wanted));
};

/** A machine has whole processors, and one at least. */
export const wholeProcessors = (cpus: number): number => Math.max(1, Math.ceil(cpus));

export const memoryOf = (service: Service): number | undefined => {
  const limit = service.mem_limit ?? service.deploy?.resources?.limits?.memory;
  return limit === undefined || String(limit) === '0' ? undefined : machineMemory(parseBytes(String(limit)));
};

/** MiB of a machine: the workload's limit plus what the guest's kernel and agent need, rounded to 16 MiB. */
export const machineMemory = (bytes: number): number => {
  const guestOverheadMib = 96;
  return Math.ceil((bytes / 2 ** 20 + guestOverheadMib) / 16) * 16;
};
