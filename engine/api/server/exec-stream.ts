import { constants } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { onAbort } from '../../../base/abort.ts';
import type { GuestProcess } from '../../../guest/types.ts';
import { withVariables } from '../../machine/authority.ts';
import { execProcess } from '../../machine/exec-process.ts';
import type { ExecOptions } from '../../model/types.ts';
import { pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type ExecInput, type ExecOutput, ExecOutputSchema } from '../gen/hypr_pb.ts';
import { toConnectError } from './errors.ts';
import { feedProcess } from './feed-process.ts';
import { execOptions } from './requests.ts';
import { startOf } from './start-of.ts';

const { SIGHUP, SIGKILL } = constants.signals;

/** One exec: the first message starts it, later ones are its input; output and exit code are streamed back. Ends with the client. */
export async function* execStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<ExecInput>,
  signal: AbortSignal,
): AsyncIterable<ExecOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const options = execOptions(await startOf(messages, 'an exec must say what to run'));
    const replica = pickRunning(supervisor, options);
    const process = await startExec(replica, options, signal);
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

const startExec = async (replica: ReturnType<typeof pickRunning>, options: ExecOptions, signal: AbortSignal): Promise<GuestProcess> => {
  const { run, row } = replica;
  using expected = replica.expectAnswer(signal);
  return await run.guest.spawn(execProcess(withVariables(row.spec.process, run.env), options), expected.signal);
};

/** Carries input and output until the program ends. When the client leaves, the program is ended. */
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

/** A detached exec's output is discarded, but it must be read for the program to go on. */
const drain = async (process: GuestProcess): Promise<void> => {
  try {
    for await (const _ of process.output) {
      // Discarded.
    }
  } catch {
    // The machine has gone, and with it the program.
  }
};
