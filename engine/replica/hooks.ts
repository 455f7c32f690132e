import { constants } from 'node:os';
import { onAbort } from '../../base/abort.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { GuestProcess, ProcessExit } from '../../guest/types.ts';
import type { EventBus } from '../logs/bus.ts';
import type { LogStore } from '../logs/logs.ts';
import { newRun } from '../logs/new-run.ts';
import { withVariables } from '../machine/authority.ts';
import { execProcess } from '../machine/exec-process.ts';
import type { LogRecord } from '../model/events.ts';
import type { HookSpec } from '../model/spec.ts';
import type { Replica } from './replica.ts';

export interface HookContext {
  readonly logs: LogStore;
  readonly bus: EventBus;
}

const { SIGKILL } = constants.signals;
const LAST_LINES = 10;

/**
 * Runs the `post_start` hooks one after the other in a replica whose workload was just started. Their output goes to the log of
 * the service. Throws SERVICE_FAILED for the first that does not end with 0; the workload runs on, as with docker compose.
 */
export const runPostStart = async (replica: Replica, context: HookContext, signal: AbortSignal): Promise<void> => {
  for (const hook of replica.row.spec.hooks?.postStart ?? []) {
    await runHook({ replica, hook, kind: 'post_start', context }, signal);
  }
};

/**
 * Runs the `pre_stop` hooks before a requested stop; there are none before the workload ends on its own or by `kill`. Throws
 * SERVICE_FAILED, and the replica runs on. The remaining hooks are skipped once the replica has ended.
 */
export const runPreStop = async (replica: Replica, context: HookContext, signal: AbortSignal): Promise<void> => {
  const hooks = replica.row.spec.hooks?.preStop ?? [];
  if (hooks.length === 0) {
    return;
  }
  await wake(replica, signal);
  const end = watchEnd(replica);
  for (const hook of hooks) {
    if (end.isOver) {
      return;
    }
    try {
      await runHook({ replica, hook, kind: 'pre_stop', context }, signal);
    } catch (error) {
      if (signal.aborted || !end.isOver) {
        throw error;
      }
    }
  }
};

/** Resumes a guest that is paused or on disk, because it cannot run hooks. */
const wake = async (replica: Replica, signal: AbortSignal): Promise<void> => {
  if (replica.row.state === 'suspended') {
    await replica.suspension.resume(signal, { giveUp: true });
  } else if (replica.row.state === 'paused') {
    await replica.unpause();
  }
};

interface HookRun {
  readonly replica: Replica;
  readonly hook: HookSpec;
  readonly kind: 'post_start' | 'pre_stop';
  readonly context: HookContext;
}

const runHook = async (run: HookRun, signal: AbortSignal): Promise<void> => {
  const { replica, hook } = run;
  const { name, spec } = replica.row;
  const title = `the ${run.kind} hook "${hook.args.join(' ')}" of ${name}`;
  const { guest, env } = replica.run ?? {};
  if (guest === undefined) {
    throw new HyprError('SERVICE_FAILED', `${title} was not run: the service had ended already`);
  }
  const lines: LogRecord[] = [];
  let exit: ProcessExit;
  try {
    const workload = withVariables(spec.process, env);
    const process = await guest.spawn(execProcess(workload, { ...hook, tty: false, stdin: false, size: undefined }), signal);
    exit = await followHook({ process, run, lines, signal });
    signal.throwIfAborted();
  } catch (error) {
    signal.throwIfAborted();
    throw new HyprError('SERVICE_FAILED', `${title} could not be run: ${messageOf(error)}`, { details: lastOf(lines), cause: error });
  }
  if (exit.code !== 0) {
    throw new HyprError('SERVICE_FAILED', `${replica.row.service} hook exited with status ${exit.code}: ${title}`, {
      details: lastOf(lines),
      hint: hints[run.kind],
    });
  }
};

const hints: Readonly<Record<HookRun['kind'], string>> = {
  post_start: 'the service itself runs; correct the hook and run up again, or take it down',
  pre_stop: 'the service runs on; correct the hook, or end it without: hypr kill SERVICE',
};

/** Writes the output of a hook to the log until it ends; kills it when the operation is interrupted. */
const followHook = async (following: {
  process: GuestProcess;
  run: HookRun;
  lines: LogRecord[];
  signal: AbortSignal;
}): Promise<ProcessExit> => {
  const { process, lines, signal } = following;
  const { replica, context } = following.run;
  const { name, service } = replica.row;
  const leave = onAbort(signal, () => void process.signal(SIGKILL).catch(() => {}));
  // The hook has its own writer, so that its lines do not mix with those of the service.
  const writer = await context.logs.writer(name, service);
  await writer.begin(newRun(), { resumed: false });
  const tell = (records: readonly LogRecord[]) => {
    for (const record of records) {
      lines.push(record);
      context.bus.emit({ type: 'log', record });
    }
    lines.splice(0, Math.max(0, lines.length - LAST_LINES));
  };
  try {
    for await (const chunk of process.output) {
      tell(writer.write(chunk));
    }
    tell(writer.flush());
    return await process.exited;
  } finally {
    leave();
    await writer.close();
  }
};

const lastOf = (lines: readonly LogRecord[]): string[] => lines.map(({ line }) => line);

/** `isOver` becomes true when the workload or its machine ends. */
const watchEnd = ({ run }: Replica): { readonly isOver: boolean } => {
  const end = { isOver: run?.process === undefined };
  void Promise.race([run?.process?.exited.catch(() => {}), run?.machine.exited]).then(() => {
    end.isOver = true;
  });
  return end;
};
