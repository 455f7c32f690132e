import { create } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import { pickRunning } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import {
  type CopyChunk,
  CopyChunkSchema,
  type CopyInput,
  type CopyRequest,
  type CopyResponse,
  CopyResponseSchema,
} from '../gen/hypr_pb.ts';
import { toConnectError } from './errors.ts';
import { placeOf } from './requests.ts';
import { startOf } from './start-of.ts';

/** Unpacks the client's tar into a folder of a replica. */
export const copyTo = async (supervisor: StackSupervisor, input: AsyncIterable<CopyInput>, signal: AbortSignal): Promise<CopyResponse> => {
  const messages = input[Symbol.asyncIterator]();
  try {
    const start = await startOf(messages, 'a copy must say where to');
    const replica = replicaOf(supervisor, start);
    using expected = replica.expectAnswer(signal);
    await replica.run.guest.writeTar(start.path, dataOf(messages), expected.signal);
    return create(CopyResponseSchema, {});
  } catch (error) {
    throw toConnectError(error);
  }
};

/** Packs a path of a replica as a tar. */
export async function* copyFrom(supervisor: StackSupervisor, request: CopyRequest, signal: AbortSignal): AsyncIterable<CopyChunk> {
  try {
    const replica = replicaOf(supervisor, request);
    using expected = replica.expectAnswer(signal);
    const { guest } = replica.run;
    const tar = request.layer
      ? guest.readLayer(expected.signal)
      : guest.readTar(request.path, { followLinks: request.followLinks }, expected.signal);
    for await (const data of tar) {
      yield create(CopyChunkSchema, { data });
    }
  } catch (error) {
    throw toConnectError(error);
  }
}

const replicaOf = (supervisor: StackSupervisor, request: CopyRequest): ReturnType<typeof pickRunning> => {
  const place = placeOf(request);
  if (request.path === '') {
    throw new HyprError('HYPR_USAGE', 'a copy needs a path');
  }
  return pickRunning(supervisor, place);
};

async function* dataOf(messages: AsyncIterator<CopyInput>): AsyncGenerator<Uint8Array> {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    if (next.value.input.case === 'data') {
      yield next.value.input.value;
    }
  }
}
