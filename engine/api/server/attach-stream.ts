import { create } from '@bufbuild/protobuf';
import type { Replica } from '../../replica/replica.ts';
import { pickReplica, pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type AttachInput, type AttachOutput, AttachOutputSchema } from '../gen/hypr_pb.ts';
import { carryWorkload } from './carry-workload.ts';
import { toConnectError } from './errors.ts';
import { placeOf, sizeOf } from './requests.ts';
import { startOf } from './start-of.ts';

/** Streams a workload's output from now on. The workload keeps running when the client leaves. */
export async function* attachStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<AttachInput>,
  signal: AbortSignal,
): AsyncIterable<AttachOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const value = await startOf(messages, 'an attach must say what to attach to');
    const replica = value.wait ? pickReplica(supervisor, placeOf(value)) : pickRunning(supervisor, placeOf(value));
    const size = sizeOf(value.size);
    if (size !== undefined) {
      await replica.run?.process?.resize(size);
    }
    const tap = replica.attach();
    const { tty, stdin } = replica.row.spec.process;
    yield create(AttachOutputSchema, { output: { case: 'attached', value: { replica: replica.row.name, tty, stdin } } });
    if (value.wait && !(await untilStarted(supervisor, replica, signal))) {
      tap.close();
      return;
    }
    for await (const output of carryWorkload({ supervisor, replica, tap, messages, signal })) {
      yield create(AttachOutputSchema, { output });
    }
  } catch (error) {
    throw toConnectError(error);
  }
}

/** False when the client left, or the replica was removed or could not be started, before that. */
const untilStarted = async (supervisor: StackSupervisor, replica: Replica, signal: AbortSignal): Promise<boolean> => {
  const { name } = replica.row;
  if (replica.run?.process !== undefined) {
    return true;
  }
  for await (const event of supervisor.bus.stream((each) => each.type === 'replica' && each.replica.name === name, signal)) {
    const { action, gone } = event as Extract<typeof event, { type: 'replica' }>;
    if (action === 'start' || action === 'die' || gone === true) {
      return action === 'start';
    }
  }
  return false;
};
