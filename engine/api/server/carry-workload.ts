import { onAbort } from '../../../base/abort.ts';
import type { OutputTap } from '../../logs/output-tap.ts';
import type { Replica } from '../../replica/replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { feedProcess, type ProgramInput } from './feed-process.ts';

/** The output messages that attach and run share. */
export type WorkloadOutput =
  | { readonly case: 'stdout' | 'stderr'; readonly value: Uint8Array }
  | { readonly case: 'started' | 'exitCode'; readonly value: number };

/** Yields output until the workload ends, then its exit code once that is recorded (and, with --rm, the replica removed). */
export async function* carryWorkload(input: {
  supervisor: StackSupervisor;
  replica: Replica;
  tap: OutputTap;
  messages: AsyncIterator<ProgramInput>;
  signal: AbortSignal;
}): AsyncIterable<WorkloadOutput> {
  const { replica, tap, messages, signal } = input;
  const leave = onAbort(signal, () => tap.close());
  try {
    const process = replica.run?.process;
    yield { case: 'started', value: process?.pid ?? 0 };
    if (process !== undefined) {
      void feedProcess(process, messages);
    }
    for await (const chunk of tap) {
      yield { case: chunk.stream, value: chunk.data };
    }
    if (!signal.aborted) {
      const exitCode = await replica.ended();
      if (replica.row.spec.autoRemove !== undefined) {
        await input.supervisor.oneOffs.remove(replica.row.name);
      }
      yield { case: 'exitCode', value: exitCode };
    }
  } finally {
    leave();
    tap.close();
  }
}
