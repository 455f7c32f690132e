import { constants } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { onAbort } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import type { GuestProcess } from '../../../guest/types.ts';
import type { ExecOptions } from '../../model/types.ts';
import { execProcess } from '../../replica/exec-process.ts';
import { pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type ExecInput, type ExecOutput, ExecOutputSchema } from '../gen/hypr_pb.ts';
import { fromStruct } from './convert.ts';
import { toConnectError } from './errors.ts';
import { execOptions } from './requests.ts';

const { SIGHUP, SIGKILL } = constants.signals;

/** One exec: the first message starts it, later ones feed it; its output and exit code come back. Ends with the client. */
export async function* execStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<ExecInput>,
  signal: AbortSignal,
): AsyncIterable<ExecOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const first = await messages.next();
    if (first.done || first.value.input.case !== 'start') {
      throw new HyprError('HYPR_USAGE', 'the first message of an exec must say what to run');
    }
    const options = execOptions(fromStruct<Partial<ExecOptions>>(first.value.input.value));
    const { run, row } = pickRunning(supervisor, options);
    const process = await run.guest.spawn(execProcess(row.spec.process, options), signal);
    yield create(ExecOutputSchema, { output: { case: 'started', value: process.pid } });
    if (options.detach) {
      void drain(process);
      return;
    }
    yield* carryBoth({ process, messages, hangUpSignal: options.tty ? SIGHUP : SIGKILL, signal });
  } catch (error) {
    throw toConnectError(error);
  }
}

/** Both ways until the program ends; it is ended when the client goes away. */
async function* carryBoth(input: {
  process: GuestProcess;
  messages: AsyncIterator<ExecInput>;
  hangUpSignal: number;
  signal: AbortSignal;
}): AsyncIterable<ExecOutput> {
  const { process, messages, signal } = input;
  const leave = onAbort(signal, () => void process.signal(input.hangUpSignal).catch(() => {}));
  try {
    void feedProcess(process, messages);
    for await (const chunk of process.output) {
      yield create(ExecOutputSchema, { output: { case: chunk.stream, value: chunk.data } });
    }
    const exit = await process.exited;
    yield create(ExecOutputSchema, { output: { case: 'exitCode', value: exit.code } });
  } finally {
    leave();
  }
}

/** The output of a detached exec goes nowhere, but must be read for the program to go on. */
const drain = async (process: GuestProcess): Promise<void> => {
  try {
    for await (const _ of process.output) {
      // Discarded.
    }
  } catch {
    // Its machine is gone, and with it whoever could care.
  }
};

/** What a client sends, to a program. Never rejects. */
export const feedProcess = async (process: GuestProcess, messages: AsyncIterator<ExecInput>): Promise<void> => {
  try {
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      // Input that nobody reads any more must not keep signals from arriving.
      await carry(process, next.value).catch(() => {});
    }
  } catch {
    // The client is gone; the output side says so.
  }
};

const carry = async (process: GuestProcess, { input }: ExecInput): Promise<void> => {
  switch (input.case) {
    case 'stdin':
      return process.write(input.value);
    case 'closeStdin':
      return process.closeStdin();
    case 'resize':
      return process.resize(input.value);
    case 'signal':
      return process.signal(input.value);
    default:
      return;
  }
};
