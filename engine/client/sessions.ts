import { type LinkedController, linkedController } from '../../base/abort.ts';
import { AsyncQueue } from '../../base/queue.ts';
import type { Project } from '../../compose/model/model.ts';
import { fromCallError } from '../api/call-error.ts';
import type { ApiClient, CopyInput, ExecInput, ExecOutput, RunInput, RunOutput } from '../api/client/client.ts';
import { eventFrom, toStruct } from '../api/server/convert.ts';
import type { EngineEvent } from '../model/events.ts';
import type { AttachOptions, AttachSession, CopyPlace, ExecOptions, ExecSession, RunOptions, RunSession } from '../model/types.ts';

/** Programs and files of replicas, over an open connection to the supervisor: one call each. */

type Input = ExecInput['input'];
type Outputs = AsyncIterator<ExecOutput>;

/** A further program in a replica. Resolves once it runs; a failure to start it comes instead. */
export const openExec = async ({ rpc }: ApiClient, options: ExecOptions, signal?: AbortSignal): Promise<ExecSession> => {
  const { inputs, call } = openInputs<ExecInput>(signal);
  const send = (input: Input) => inputs.push({ input });
  void send({ case: 'start', value: toStruct(options) });
  const messages = rpc.exec(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  await firstOf(messages, inputs, call.signal);
  return sessionOf({ messages, inputs, send, call });
};

/** The workload of a replica. */
export const openAttach = async ({ rpc }: ApiClient, options: AttachOptions, signal?: AbortSignal): Promise<AttachSession> => {
  const { inputs, call } = openInputs<ExecInput>(signal);
  const send = (input: Input) => inputs.push({ input });
  void send({ case: 'start', value: toStruct(options) });
  const messages = rpc.attach(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  const first = await firstOf(messages, inputs, call.signal);
  const attached = first?.output.case === 'attached' ? first.output.value : undefined;
  return {
    ...sessionOf({ messages, inputs, send, call }),
    replica: attached?.replica ?? options.service,
    tty: attached?.tty === true,
    stdin: attached?.stdin === true,
  };
};

/** A one-off. Resolves once it exists; its output begins with its start. */
export const openRun = async (
  { rpc }: ApiClient,
  run: { project: Project; options: RunOptions; onEvent: (event: EngineEvent) => void },
  signal?: AbortSignal,
): Promise<RunSession> => {
  const { inputs, call } = openInputs<RunInput>(signal);
  const send = (input: Input) => inputs.push({ input: { case: 'exec', value: { input } } });
  const start = { project: toStruct(run.project), options: toStruct(run.options) };
  void inputs.push({ input: { case: 'start', value: start } });
  const messages = rpc.run(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  try {
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      const { output } = next.value;
      if (output.case === 'event') {
        run.onEvent(eventFrom(output.value));
      } else if (output.case === 'created') {
        const { id, name } = output.value;
        return { ...sessionOf({ messages: runOutputs(messages, run.onEvent), inputs, send, call }), id, name };
      }
    }
    throw new Error('the call ended before anything was made');
  } catch (error) {
    inputs.end();
    throw fromCallError(error, call.signal);
  }
};

/** Unpacks a tar in a folder of a replica. */
export const copyInto = async (
  { rpc }: ApiClient,
  place: CopyPlace,
  tar: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> => {
  const call = linkedController(signal);
  try {
    await rpc.copyTo(copyInputs(place, tar, call), { signal: call.signal });
  } catch (error) {
    throw call.own.aborted ? call.own.reason : fromCallError(error, call.signal);
  }
};

/** A path of a replica as a tar. */
export async function* copyOut({ rpc }: ApiClient, place: CopyPlace, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const call = linkedController(signal);
  const { service, index, path, followLinks = false } = place;
  try {
    for await (const { data } of rpc.copyFrom(
      { service, path, followLinks, ...(index === undefined ? {} : { index }) },
      { signal: call.signal },
    )) {
      yield data;
    }
  } catch (error) {
    throw fromCallError(error, call.signal);
  } finally {
    call.abort();
  }
}

/** A local read error ends the call with that error instead of "cancelled". */
async function* copyInputs(place: CopyPlace, tar: AsyncIterable<Uint8Array>, call: LinkedController): AsyncGenerator<CopyInput> {
  const { service, index, path } = place;
  const start = { service, path, followLinks: false, ...(index === undefined ? {} : { index }) };
  yield { input: { case: 'start', value: start } };
  try {
    for await (const data of tar) {
      yield { input: { case: 'data', value: data } };
    }
  } catch (error) {
    call.abort(error);
    throw error;
  }
}

const openInputs = <T>(signal: AbortSignal | undefined) => {
  // With room for nothing: a fast writer waits until each message is on its way.
  return { inputs: new AsyncQueue<T>({ limit: 0 }), call: linkedController(signal) };
};

const firstOf = async <T>(messages: AsyncIterator<T>, inputs: { end(): void }, signal: AbortSignal): Promise<T | undefined> => {
  try {
    const first = await messages.next();
    return first.done ? undefined : first.value;
  } catch (error) {
    inputs.end();
    throw fromCallError(error, signal);
  }
};

async function* runOutputs(messages: AsyncIterator<RunOutput>, onEvent: (event: EngineEvent) => void): AsyncGenerator<ExecOutput> {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    const { output } = next.value;
    if (output.case === 'exec') {
      yield output.value;
    } else if (output.case === 'event') {
      onEvent(eventFrom(output.value));
    }
  }
}

const sessionOf = (opened: {
  messages: Outputs;
  inputs: { end(): void };
  send: (input: Input) => Promise<void>;
  call: LinkedController;
}): ExecSession => {
  const { messages, inputs, send, call } = opened;
  let resolveExit: (code: number) => void = () => {};
  let rejectExit: (error: unknown) => void = () => {};
  const exitCode = new Promise<number>((resolve, reject) => {
    resolveExit = resolve;
    rejectExit = reject;
  });
  exitCode.catch(() => {});
  async function* output(): AsyncIterable<{ stream: 'stdout' | 'stderr'; data: Uint8Array }> {
    try {
      for (let next = await messages.next(); !next.done; next = await messages.next()) {
        const message = next.value.output;
        if (message.case === 'stdout' || message.case === 'stderr') {
          yield { stream: message.case, data: message.value };
        } else if (message.case === 'exitCode') {
          resolveExit(message.value);
        }
      }
      resolveExit(0);
    } catch (error) {
      const failure = fromCallError(error, call.own);
      rejectExit(failure);
      throw failure;
    } finally {
      inputs.end();
    }
  }
  return {
    output: output(),
    exitCode,
    write: (data) => send({ case: 'stdin', value: data }),
    closeStdin: () => void send({ case: 'closeStdin', value: true }),
    resize: ({ columns, rows }) => void send({ case: 'resize', value: { columns, rows } }),
    signal: (signal) => void send({ case: 'signal', value: signal }),
    close: () => {
      inputs.end();
      call.abort();
    },
  };
};
