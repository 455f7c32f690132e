import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { onAbort } from '../../../base/abort.ts';
import { HyprError, toHyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { OutputTap } from '../../logs/output-tap.ts';
import type { AttachOptions, RunOptions } from '../../model/types.ts';
import type { Replica } from '../../replica/replica.ts';
import { pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type ExecInput, type ExecOutput, ExecOutputSchema, type RunInput, type RunOutput, RunOutputSchema } from '../gen/hypr_pb.ts';
import { fromStruct } from './convert.ts';
import { toConnectError } from './errors.ts';
import { eventMessage } from './event-messages.ts';
import { feedProcess } from './exec-stream.ts';
import { operationEvents } from './operation.ts';
import { needProject, runOptions } from './requests.ts';

/** The workload of a replica: its output from now on. It runs on when the client goes. */
export async function* attachStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<ExecInput>,
  signal: AbortSignal,
): AsyncIterable<ExecOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const first = await messages.next();
    if (first.done || first.value.input.case !== 'start') {
      throw new HyprError('HYPR_USAGE', 'the first message of an attach must say what to attach to');
    }
    const options = fromStruct<Partial<AttachOptions>>(first.value.input.value);
    const replica = pickRunning(supervisor, { service: options.service ?? '', index: options.index });
    const tap = replica.attach();
    const { tty, stdin } = replica.row.spec.process;
    yield output({ case: 'attached', value: { replica: replica.row.name, tty, stdin } });
    yield* carryWorkload({ supervisor, replica, tap, messages, signal });
  } catch (error) {
    throw toConnectError(error);
  }
}

/**
 * A one-off: what happens until it is ready, then its output and exit code. A client that goes away
 * before the start takes it back; after that it runs on.
 */
export async function* runStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<RunInput>,
  signal: AbortSignal,
): AsyncIterable<RunOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const first = await messages.next();
    if (first.done || first.value.input.case !== 'start') {
      throw new HyprError('HYPR_USAGE', 'the first message of a run must say what to run');
    }
    const { project, options } = first.value.input.value;
    yield* runOneOff({
      supervisor,
      project: needProject(project),
      options: runOptions(fromStruct<Partial<RunOptions>>(options)),
      messages: execInputs(messages),
      signal,
    });
  } catch (error) {
    throw toConnectError(error);
  }
}

async function* runOneOff(run: {
  supervisor: StackSupervisor;
  project: Project;
  options: RunOptions;
  messages: AsyncIterator<ExecInput>;
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
    const event = eventMessage({ type: 'error', time: Date.now(), error: toHyprError(error).toJSON() });
    yield create(RunOutputSchema, { output: { case: 'event', value: event } });
    yield inRun(output({ case: 'exitCode', value: replica.row.exitCode || 1 }));
    return;
  }
  if (options.detach) {
    tap.close();
    yield inRun(output({ case: 'started', value: replica.run?.process?.pid ?? 0 }));
    return;
  }
  for await (const message of carryWorkload({ supervisor, replica, tap, messages: run.messages, signal })) {
    yield inRun(message);
  }
}

/** Output until the workload ends, then its exit code, once it is on record (and, with --rm, removed). */
async function* carryWorkload(input: {
  supervisor: StackSupervisor;
  replica: Replica;
  tap: OutputTap;
  messages: AsyncIterator<ExecInput>;
  signal: AbortSignal;
}): AsyncIterable<ExecOutput> {
  const { replica, tap, messages, signal } = input;
  const leave = onAbort(signal, () => tap.close());
  try {
    const process = replica.run?.process;
    yield output({ case: 'started', value: process?.pid ?? 0 });
    if (process !== undefined) {
      void feedProcess(process, messages);
    }
    for await (const chunk of tap) {
      yield output({ case: chunk.stream, value: chunk.data });
    }
    if (!signal.aborted) {
      const exitCode = await replica.ended();
      if (replica.row.spec.autoRemove !== undefined) {
        await input.supervisor.oneOffs.remove(replica.row.name);
      }
      yield output({ case: 'exitCode', value: exitCode });
    }
  } finally {
    leave();
    tap.close();
  }
}

async function* execInputs(messages: AsyncIterator<RunInput>): AsyncGenerator<ExecInput> {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    if (next.value.input.case === 'exec') {
      yield next.value.input.value;
    }
  }
}

const output = (value: NonNullable<MessageInitShape<typeof ExecOutputSchema>['output']>): ExecOutput =>
  create(ExecOutputSchema, { output: value });

const inRun = (message: ExecOutput): RunOutput => create(RunOutputSchema, { output: { case: 'exec', value: message } });
