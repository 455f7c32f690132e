import { HyprError } from '../../../base/errors.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { Replica } from '../../replica/replica.ts';
import { awaitReplicas } from './conditions.ts';

export interface PreStartRun {
  readonly service: string;
  readonly index: number;
  readonly replica: Replica;
  readonly bus: EventBus;
  readonly lastLines: (replica: Replica) => Promise<string[]>;
}

/**
 * Boots the machine of a `pre_start` hook, runs it and waits for its end. Throws SERVICE_FAILED with its last words when it does not
 * end with 0; its machine's disk and log stay then, to be looked at, and go with the next run, with orphans and with `down`.
 */
export const runPreStartHook = async (run: PreStartRun, signal: AbortSignal): Promise<void> => {
  const { replica, bus, service, index } = run;
  try {
    await replica.boot(signal);
    await replica.start(signal);
    await awaitReplicas({ replicas: () => [replica], bus, verdict: ended }, signal);
  } catch (error) {
    if (signal.aborted) {
      await replica.stop({ graceMs: 0, byUser: true });
    }
    throw error;
  }
  const { exitCode, name, reason } = replica.row;
  if (exitCode !== 0 || replica.row.state !== 'exited') {
    throw new HyprError('SERVICE_FAILED', `service "${service}" pre_start[${index}] exited with code ${exitCode}`, {
      details: [...(reason === undefined ? [] : [reason]), ...(await run.lastLines(replica))],
      hint: `${service} was not started; look at what is left of the hook: hypr inspect ${name}`,
    });
  }
};

const ended = ({ row }: Replica) => (row.state === 'exited' || row.state === 'dead' ? ({ ok: true } as const) : undefined);
