import { create } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import { pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import { type AttachInput, type AttachOutput, AttachOutputSchema } from '../gen/hypr_pb.ts';
import { carryWorkload } from './carry-workload.ts';
import { toConnectError } from './errors.ts';
import { placeOf } from './requests.ts';

/** Streams a workload's output from now on. The workload keeps running when the client leaves. */
export async function* attachStream(
  supervisor: StackSupervisor,
  input: AsyncIterable<AttachInput>,
  signal: AbortSignal,
): AsyncIterable<AttachOutput> {
  const messages = input[Symbol.asyncIterator]();
  try {
    const first = await messages.next();
    if (first.done || first.value.input.case !== 'start') {
      throw new HyprError('HYPR_USAGE', 'the first message of an attach must say what to attach to');
    }
    const replica = pickRunning(supervisor, placeOf(first.value.input.value));
    const tap = replica.attach();
    const { tty, stdin } = replica.row.spec.process;
    yield create(AttachOutputSchema, { output: { case: 'attached', value: { replica: replica.row.name, tty, stdin } } });
    for await (const output of carryWorkload({ supervisor, replica, tap, messages, signal })) {
      yield create(AttachOutputSchema, { output });
    }
  } catch (error) {
    throw toConnectError(error);
  }
}
