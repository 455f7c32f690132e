import { create } from '@bufbuild/protobuf';
import { toHyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { RunOptions } from '../../model/types.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type RunInput, type RunOutput, RunOutputSchema } from '../gen/hypr_pb.ts';
import { carryWorkload } from './carry-workload.ts';
import { toConnectError } from './errors.ts';
import { eventMessage } from './event-messages.ts';
import { operationEvents } from './operation.ts';
import { needProject } from './projects.ts';
import { runOptions } from './requests.ts';
import { startOf } from './start-of.ts';

/**
 * Runs a one-off: streams events until it is ready, then its output and exit code. A client that leaves before the start
 * cancels it; afterwards it keeps running.
 */
export async function* runStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<RunInput>,
  signal: AbortSignal,
): AsyncIterable<RunOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const { project, options } = await startOf(messages, 'a run must say what to run');
    yield* runOneOff({ supervisor, project: needProject(project), options: runOptions(options), messages, signal });
  } catch (error) {
    throw toConnectError(error);
  }
}

async function* runOneOff(run: {
  supervisor: StackSupervisor;
  project: Project;
  options: RunOptions;
  messages: AsyncIterator<RunInput>;
  signal: AbortSignal;
}): AsyncIterable<RunOutput> {
  const { supervisor, options, signal } = run;
  const preparing = operationEvents(supervisor.bus, () => supervisor.oneOffs.create(run.project, options, signal));
  for await (const event of preparing.events) {
    yield create(RunOutputSchema, { output: { case: 'event', value: eventMessage(event) } });
  }
  const replica = await preparing.result;
  const { id, name } = replica.row;
  yield create(RunOutputSchema, { output: { case: 'created', value: { id, name } } });
  const tap = replica.attach();
  try {
    await supervisor.oneOffs.start(replica, signal);
  } catch (error) {
    tap.close();
    if (signal.aborted) {
      throw error;
    }
    yield* failed(error, replica.row.exitCode || 1);
    return;
  }
  const fault = supervisor.oneOffs.runHooks(replica).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (options.detach) {
    tap.close();
    // It is said to be there, so it outlives a power cut.
    await supervisor.settle();
    yield create(RunOutputSchema, { output: { case: 'started', value: replica.run?.process?.pid ?? 0 } });
    const hook = await fault;
    if (hook !== undefined) {
      yield* failed(hook.error, 1);
    }
    return;
  }
  for await (const output of carryWorkload({ supervisor, replica, tap, messages: run.messages, signal })) {
    const hook = output.case === 'exitCode' && output.value === 0 ? await fault : undefined;
    if (hook !== undefined) {
      yield* failed(hook.error, 1);
    } else {
      yield create(RunOutputSchema, { output });
    }
  }
}

function* failed(error: unknown, exitCode: number): Iterable<RunOutput> {
  const event = eventMessage({ type: 'error', time: Date.now(), error: toHyprError(error).toJSON() });
  yield create(RunOutputSchema, { output: { case: 'event', value: event } });
  yield create(RunOutputSchema, { output: { case: 'exitCode', value: exitCode } });
}
