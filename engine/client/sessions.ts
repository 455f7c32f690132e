import { type LinkedController, linkedController } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { AsyncQueue } from '../../base/queue.ts';
import type { Project } from '../../compose/model/model.ts';
import { fromCallError } from '../api/call-error.ts';
import type { ApiClient, CopyInput, ExecInput } from '../api/client/client.ts';
import type { EventJson } from '../api/gen/hypr_pb.ts';
import { eventFrom } from '../api/messages/events.ts';
import { execJson, runJson } from '../api/messages/requests.ts';
import { needed, neededText, type Sent } from '../api/messages/values.ts';
import type { EngineEvent } from '../model/events.ts';
import type { AttachOptions, AttachSession, CopyPlace, ExecOptions, ExecSession, RunOptions, RunSession } from '../model/types.ts';

/** Programs and files of replicas over an open connection to the supervisor, one call each. */

/** Messages from a client to a running program; the same for exec, attach and run. */
type Input = Sent<Omit<ExecInput, 'start'>>;

/** Messages from a program. */
interface Output {
  readonly stdout?: Uint8Array;
  readonly stderr?: Uint8Array;
  readonly exitCode?: number;
  readonly started?: number;
  readonly event?: EventJson;
}

/** Starts another program in a replica. Resolves once it runs; rejects if it cannot be started. */
export const openExec = async ({ rpc }: ApiClient, options: ExecOptions, signal?: AbortSignal): Promise<ExecSession> => {
  const { inputs, call } = openInputs<Sent<ExecInput>>(signal);
  void inputs.push({ start: execJson(options) });
  const messages = rpc.exec(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  needed((await firstOf(messages, inputs, call.signal)).started, 'the start of the program');
  return sessionOf({ messages, inputs, call, detached: options.detach, started: true });
};

/** The workload of a replica. */
export const openAttach = async ({ rpc }: ApiClient, options: AttachOptions, signal?: AbortSignal): Promise<AttachSession> => {
  const { inputs, call } = openInputs<Input | { readonly start: AttachOptions }>(signal);
  void inputs.push({ start: options });
  const messages = rpc.attach(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  const first = await firstOf(messages, inputs, call.signal);
  const { replica, tty = false, stdin = false } = needed(first.attached, 'what was attached to');
  const session = sessionOf({ messages, inputs, call, detached: false, started: true });
  return { ...session, replica: neededText(replica, 'the name of what was attached to'), tty, stdin };
};

/** Runs a one-off. Resolves once it exists; it starts when its output is first read. */
export const openRun = async (
  { rpc }: ApiClient,
  run: { project: Project; options: RunOptions; onEvent: (event: EngineEvent) => void },
  signal?: AbortSignal,
): Promise<RunSession> => {
  const { inputs, call } = openInputs<Input | { readonly start: ReturnType<typeof runJson> }>(signal);
  const { options, onEvent } = run;
  void inputs.push({ start: runJson(run.project, options) });
  const messages = rpc.run(inputs, { signal: call.signal })[Symbol.asyncIterator]();
  for (;;) {
    const { event, created } = await firstOf(messages, inputs, call.signal);
    tell(event, onEvent);
    if (created !== undefined) {
      const start = Promise.withResolvers<boolean>();
      const session = sessionOf({ messages, inputs, call, onEvent, detached: options.detach, started: false, onStart: start.resolve });
      return {
        ...session,
        started: start.promise,
        id: neededText(created.id, 'the id of what was made'),
        name: neededText(created.name, 'its name'),
      };
    }
  }
};

/** Unpacks a tar into a folder of a replica. */
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
  try {
    for await (const { data } of rpc.copyFrom(place, { signal: call.signal })) {
      if (data !== undefined) {
        yield data;
      }
    }
  } catch (error) {
    throw fromCallError(error, call.signal);
  } finally {
    call.abort();
  }
}

/** Ends the call with a local read error instead of "cancelled". */
async function* copyInputs(
  { service, index, path, durable = false }: CopyPlace,
  tar: AsyncIterable<Uint8Array>,
  call: LinkedController,
): AsyncGenerator<Sent<CopyInput>> {
  yield { start: { service, index, path, durable } };
  try {
    for await (const data of tar) {
      yield { data };
    }
  } catch (error) {
    call.abort(error);
    throw error;
  }
}

const openInputs = <T>(signal: AbortSignal | undefined) => {
  // The queue holds nothing, so a fast writer waits until each message has been sent.
  return { inputs: new AsyncQueue<T>({ limit: 0 }), call: linkedController(signal) };
};

/** The first message of a call. If there is none, ends the inputs and throws. */
const firstOf = async <T>(messages: AsyncIterator<T>, inputs: { end(): void }, signal: AbortSignal): Promise<T> => {
  try {
    const first = await messages.next();
    if (first.done) {
      throw lostError('before it began');
    }
    return first.value;
  } catch (error) {
    inputs.end();
    throw lossOf(fromCallError(error, signal));
  }
};

const tell = (message: EventJson | undefined, onEvent: ((event: EngineEvent) => void) | undefined): void => {
  const event = message && eventFrom(message);
  if (event !== undefined) {
    onEvent?.(event);
  }
};

interface SessionCall {
  readonly messages: AsyncIterator<Output>;
  readonly inputs: { push(message: Input): Promise<void>; end(): void };
  readonly call: LinkedController;
  readonly onEvent?: (event: EngineEvent) => void;
  /** Only the start is awaited; no exit code follows. */
  readonly detached: boolean;
  /** Its start has already been reported. */
  readonly started: boolean;
  /** Called when it is, and with false at the end of what never was. */
  readonly onStart?: (started: boolean) => void;
}

const sessionOf = (opened: SessionCall): ExecSession => {
  const { inputs, call } = opened;
  let resolveExit: (code: number) => void = () => {};
  let rejectExit: (error: unknown) => void = () => {};
  const exitCode = new Promise<number>((resolve, reject) => {
    resolveExit = resolve;
    rejectExit = reject;
  });
  exitCode.catch(() => {});
  async function* output(): AsyncIterable<{ stream: 'stdout' | 'stderr'; data: Uint8Array }> {
    try {
      resolveExit(yield* programOutput(opened));
    } catch (error) {
      const failure = lossOf(fromCallError(error, call.signal));
      rejectExit(failure);
      throw failure;
    } finally {
      opened.onStart?.(false);
      inputs.end();
    }
  }
  return {
    output: output(),
    exitCode,
    write: (data) => inputs.push({ stdin: data }),
    closeStdin: () => void inputs.push({ closeStdin: true }),
    resize: ({ columns, rows }) => void inputs.push({ resize: { columns, rows } }),
    signal: (signal) => void inputs.push({ signal }),
    close: () => {
      inputs.end();
      call.abort();
    },
  };
};

/** Returns the exit code, or 0 for a detached program that was started. A stream that ends with neither has lost its program. */
async function* programOutput({
  messages,
  onEvent,
  detached,
  started: wasStarted,
  onStart,
}: SessionCall): AsyncGenerator<{ stream: 'stdout' | 'stderr'; data: Uint8Array }, number> {
  let code = detached && wasStarted ? 0 : undefined;
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    const { stdout, stderr, exitCode, started, event } = next.value;
    if (stdout !== undefined) {
      yield { stream: 'stdout', data: stdout };
    } else if (stderr !== undefined) {
      yield { stream: 'stderr', data: stderr };
    } else if (exitCode !== undefined) {
      code = exitCode;
    } else if (started !== undefined && detached) {
      code = 0;
      onStart?.(true);
    }
    tell(event, onEvent);
  }
  if (code === undefined) {
    throw lostError('without its exit code');
  }
  return code;
}

const lostError = (how: string, cause?: HyprError): HyprError =>
  new HyprError('SUPERVISOR_LOST', `the output of the program ended ${how}: its supervisor is gone`, {
    hint: 'what runs goes on without it, and the next command takes it over: hypr compose ps',
    ...(cause && { cause }),
  });

/** A supervisor that went away could not report how the program ended. One that failed says why. */
const lossOf = (error: HyprError): HyprError => (error.code === 'SUPERVISOR_GONE' ? lostError('without its exit code', error) : error);
